"""What each kind needs besides the common rules when its objects are created or updated (Kubernetes' strategies)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

from mlp_helpers.sandbox.kubernetes import quantity
from mlp_helpers.sandbox.kubernetes.addresses import allocate
from mlp_helpers.sandbox.kubernetes.kinds import Kind

__all__ = ["counts_generations", "creates_on_update", "default_metadata", "prepare_create", "prepare_update"]

Object = dict[str, Any]
Lister = Callable[[str], Iterable[Object]]

CRD = "customresourcedefinitions.apiextensions.k8s.io"
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_GATED = "Scheduling is blocked due to non-empty scheduling gates"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"

# Built-in kinds whose objects have a generation; custom ones all have.
_WITH_GENERATION = {
    *("pods", "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch"),
    *("cronjobs.batch", "networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io"),
    *("ingressclasses.networking.k8s.io", "poddisruptionbudgets.policy", "priorityclasses.scheduling.k8s.io", CRD),
    *("endpointslices.discovery.k8s.io", "replicationcontrollers", "podtemplates"),
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
}
_CREATED_BY_PUT = {
    *("leases.coordination.k8s.io", "endpoints", "services", "events", "limitranges"),
    *(f"{name}.rbac.authorization.k8s.io" for name in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")),
}


def counts_generations(kind: Kind) -> bool:
    """Whether `metadata.generation` counts the changes of what is wanted."""
    return not kind.built_in or kind.resource in _WITH_GENERATION


def creates_on_update(kind: Kind) -> bool:
    """Whether a PUT of an object that does not exist creates it."""
    return kind.resource in _CREATED_BY_PUT


def default_metadata(kind: Kind, thing: Object) -> None:
    """What belongs to the object as if its author had written it."""
    if kind.resource == "namespaces":
        labels = thing["metadata"].setdefault("labels", {})
        labels[NAMESPACE_LABEL] = thing["metadata"]["name"]
    elif kind.resource == "secrets" and "stringData" in thing:
        _encode_string_data(thing)
    elif kind.resource == "daemonsets.apps":
        annotations = thing["metadata"].setdefault("annotations", {})
        annotations.setdefault(TEMPLATE_GENERATION, str(thing["metadata"].get("generation", 1)))
    elif kind.resource == "pods" and (address := (thing.get("status") or {}).get("podIP")):
        thing["status"].setdefault("podIPs", [{"ip": address}])
    elif kind.resource == CRD and isinstance(thing.get("spec"), dict):
        _default_names(thing["spec"])


def _encode_string_data(secret: Object) -> None:
    data = secret.setdefault("data", {})
    for key, value in (secret.pop("stringData") or {}).items():
        data[key] = b64encode(str(value).encode()).decode()


def _default_names(spec: Object) -> None:
    names = spec.get("names")
    if isinstance(names, dict) and names.get("kind"):
        names.setdefault("singular", str(names["kind"]).lower())
        names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})


def prepare_create(kind: Kind, thing: Object, list_objects: Lister) -> None:
    """What the server itself adds to a new object, and what a client may not set.

    Args:
        kind: Of the object.
        thing: Is changed.
        list_objects: All objects of a resource, for what must be unique in the cluster.
    """
    if "status" in kind.subresources:
        thing.pop("status", None)
    match kind.resource:
        case "namespaces":
            thing["spec"] = {"finalizers": ["kubernetes"]}
            thing["status"] = {"phase": "Active"}
        case "pods":
            thing["status"] = _new_pod_status(thing.get("spec") or {})
        case "persistentvolumeclaims" | "persistentvolumes":
            thing["status"] = {"phase": "Pending"}
        case "services":
            allocate(thing, lambda: list_objects("services"))
        case _ if kind.resource == CRD:
            thing["status"] = {
                "storedVersions": [one["name"] for one in thing["spec"]["versions"] if one.get("storage")]
            }
        case "jobs.batch":
            _label_job(thing)


def prepare_update(kind: Kind, thing: Object, live: Object, list_objects: Lister) -> None:
    """What an update may leave out because the server gave it."""
    match kind.resource:
        case "services":
            _keep_addresses(thing["spec"], live["spec"])
            allocate(thing, lambda: list_objects("services"))
        case "namespaces":
            thing["spec"] = live.get("spec", {})  # its finalizers move only through /finalize
        case "secrets":
            thing.setdefault("type", live.get("type"))
        case _ if kind.resource == CRD:
            _remember_storage(thing)


def _remember_storage(crd: Object) -> None:
    """A version in which objects may be kept from now on."""
    status = crd["status"] = dict(crd.get("status") or {})
    stored = list(status.get("storedVersions") or ())
    status["storedVersions"] = stored + [
        one["name"] for one in crd["spec"]["versions"] if one.get("storage") and one["name"] not in stored
    ]


def _keep_addresses(spec: Object, before: Object) -> None:
    if spec.get("type") == "ExternalName" or before.get("type") == "ExternalName":
        return
    for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if not spec.get(name) and name in before:
            spec[name] = before[name]
    ports = {port.get("port"): port.get("nodePort") for port in before.get("ports") or ()}
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        for port in spec.get("ports") or ():
            if not port.get("nodePort") and ports.get(port.get("port")):
                port["nodePort"] = ports[port["port"]]


def _new_pod_status(spec: Object) -> Object:
    status: Object = {"phase": "Pending", "qosClass": _quality_of_service(spec)}
    if spec.get("schedulingGates"):
        gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": _GATED}
        status["conditions"] = [{**gated, "lastProbeTime": None, "lastTransitionTime": None}]
    return status


def _quality_of_service(spec: Object) -> str:
    """BestEffort: nothing asked for; Guaranteed: cpu and memory of all containers, requests equal to limits."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    resources = [one.get("resources") or {} for one in containers]
    asked = [
        value
        for one in resources
        for part in ("requests", "limits")
        for name, value in (one.get(part) or {}).items()
        if name in ("cpu", "memory") and quantity.parse(value) > 0
    ]
    if not asked:
        return "BestEffort"
    guaranteed = all(_is_guaranteed(one.get("requests") or {}, one.get("limits") or {}) for one in resources)
    return "Guaranteed" if guaranteed else "Burstable"


def _is_guaranteed(requests: Object, limits: Object) -> bool:
    return all(
        name in limits and quantity.parse(requests.get(name, limits[name])) == quantity.parse(limits[name])
        for name in ("cpu", "memory")
    )


def _label_job(job: Object) -> None:
    """Give a job's pods labels of their own and the job the selector for them."""
    spec = job["spec"]
    if spec.get("manualSelector"):
        return
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    own = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    for holder in (job, spec["template"]):
        labels = holder.setdefault("metadata", {}).setdefault("labels", {})
        labels |= {key: value for key, value in own.items() if key not in labels}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
