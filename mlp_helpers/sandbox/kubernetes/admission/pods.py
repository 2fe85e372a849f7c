"""What the cluster gives to new pods and claims: a service account, a priority, tolerations, protection in use."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.kubernetes.admission.request import AdmissionRequest, Storage, refusal

__all__ = ["give_priority", "give_service_account", "give_tolerations", "protect_volumes"]

Object = dict[str, Any]

_PRIORITY_CLASSES = "priorityclasses.scheduling.k8s.io"
_PATIENCE_SECONDS = 300
_PATIENTLY_BORNE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_PROTECTION = {
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "persistentvolumes": "kubernetes.io/pv-protection",
}


def give_service_account(request: AdmissionRequest, storage: Storage) -> None:
    """Let a pod run as a service account that exists, by default as the one called default.

    Raises:
        ApiError: 403 without such an account.
    """
    if not request.creates("pods") or request.obj is None:
        return
    spec = request.obj["spec"]
    name = spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = name
    if storage.get("serviceaccounts", request.namespace, name) is None:
        why = f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
        raise refusal(request, why)


def give_priority(request: AdmissionRequest, storage: Storage) -> None:
    """Look up the priority of a new pod.

    Raises:
        ApiError: 403 for a class that does not exist.
    """
    if not request.creates("pods") or request.obj is None:
        return
    spec = request.obj["spec"]
    name = spec.get("priorityClassName")
    if name:
        found = storage.get(_PRIORITY_CLASSES, "", name)
        if found is None:
            raise refusal(request, f"no PriorityClass with name {name} was found")
    else:
        classes = [one for one in storage.list(_PRIORITY_CLASSES) if one.get("globalDefault")]
        found = min(classes, key=lambda one: int(one["value"])) if classes else None
        if found:
            spec["priorityClassName"] = found["metadata"]["name"]
    spec["priority"] = (found or {}).get("value", 0)
    spec.setdefault("preemptionPolicy", (found or {}).get("preemptionPolicy") or "PreemptLowerPriority")


def give_tolerations(request: AdmissionRequest) -> None:
    """Let a new pod stay for a while on a node that has become unready or unreachable."""
    if not request.creates("pods") or request.obj is None:
        return
    spec = request.obj["spec"]
    tolerations = spec.get("tolerations") or []
    for key in _PATIENTLY_BORNE:
        if not any(_bears(one, key) for one in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _PATIENCE_SECONDS}
            )
    spec["tolerations"] = tolerations


def _bears(toleration: Object, key: str) -> bool:
    return toleration.get("key") in (None, "", key) and toleration.get("effect") in (None, "", "NoExecute")


def protect_volumes(request: AdmissionRequest) -> None:
    """Keep a claim or volume from being deleted while it is used."""
    if request.obj is None or not request.creates(*_PROTECTION):
        return
    finalizers = request.obj["metadata"].setdefault("finalizers", [])
    if _PROTECTION[request.kind.resource] not in finalizers:
        finalizers.append(_PROTECTION[request.kind.resource])
