"""The columns of the built-in kinds' tables.

A description that begins with a dot is the description of that field in the kind's OpenAPI schema, as in the real
server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.kubernetes import cells
from mlp_helpers.sandbox.kubernetes.ages import between
from mlp_helpers.sandbox.kubernetes.cells import Cell, at, containers, count, labels, ratio, selector, since, text
from mlp_helpers.sandbox.kubernetes.jsonpath import find
from mlp_helpers.sandbox.kubernetes.pod_summary import summarize_pod

__all__ = ["AGE", "COLUMNS", "CREATED_AT", "NAME", "Column"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: its head and what its cells show."""

    name: str
    cell: Cell
    description: str
    type: str = "string"
    priority: int = 0
    format: str = ""

    def wide(self) -> Column:
        """The column, shown only by `-o wide`."""
        return Column(self.name, self.cell, self.description, self.type, 1, self.format)


NAME = Column("Name", at(".metadata.name"), ".metadata.name", format="name")
AGE = Column("Age", since(".metadata.creationTimestamp"), ".metadata.creationTimestamp")
CREATED_AT = Column("Created At", at(".metadata.creationTimestamp", None), ".metadata.creationTimestamp", "date")


def _containers(template: str) -> tuple[Column, Column]:
    path = f"{template}.spec.containers"
    return (
        Column("Containers", containers(path, "name"), "Names of each container in the template.", priority=1),
        Column("Images", containers(path, "image"), "Images referenced by each container in the template.", priority=1),
    )


def _number(path: str) -> Cell:
    return at(path, 0)


def _binding(prefix: str) -> tuple[Column, ...]:
    role = {
        "roleBinding": "RoleRef can reference a Role in the current namespace or a ClusterRole in the global"
        " namespace. If the"
        " RoleRef cannot be resolved, the Authorizer must return an error.",
        "clusterRoleBinding": "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef"
        " cannot be"
        " resolved, the Authorizer must return an error.",
    }
    shown = (("Users", "User"), ("Groups", "Group"), ("ServiceAccounts", "ServiceAccount"))
    wide = [Column(name, cells.subjects(kind), f"{name} in the {prefix}", priority=1) for name, kind in shown]
    return (NAME, Column("Role", cells.role_reference, role[prefix]), AGE, *wide)


_WORKLOADS: dict[str, tuple[Column, ...]] = {
    "pods": (
        NAME,
        Column(
            "Ready",
            lambda pod: "{0.ready}/{0.total}".format(summarize_pod(pod)),
            "The aggregate readiness state of this pod for accepting traffic.",
        ),
        Column("Status", lambda pod: summarize_pod(pod).state, "The aggregate status of the containers in this pod."),
        Column(
            "Restarts",
            lambda pod: summarize_pod(pod).restarts_shown,
            "The number of times the containers in this pod have been restarted and when the last container in this"
            " pod has"
            " restarted.",
        ),
        AGE,
        Column("IP", at(".status.podIP"), ".status.podIP").wide(),
        Column("Node", at(".spec.nodeName"), ".spec.nodeName").wide(),
        Column("Nominated Node", at(".status.nominatedNodeName"), ".status.nominatedNodeName").wide(),
        Column("Readiness Gates", lambda pod: _readiness_gates(pod), ".spec.readinessGates").wide(),
    ),
    "podtemplates": (
        NAME,
        Column(
            "Containers", containers(".template.spec.containers", "name"), "Names of each container in the template."
        ),
        Column(
            "Images",
            containers(".template.spec.containers", "image"),
            "Images referenced by each container in the template.",
        ),
        Column("Pod Labels", labels(".template.metadata.labels"), "The labels for the pod template."),
    ),
    "replicationcontrollers": (
        NAME,
        Column("Desired", _number(".spec.replicas"), ".spec.replicas", "integer"),
        Column("Current", _number(".status.replicas"), ".status.replicas", "integer"),
        Column("Ready", _number(".status.readyReplicas"), ".status.readyReplicas", "integer"),
        AGE,
        *_containers(".spec.template"),
        Column("Selector", labels(".spec.selector"), ".spec.selector").wide(),
    ),
    "deployments.apps": (
        NAME,
        Column("Ready", ratio(".status.readyReplicas", ".spec.replicas"), "Number of the pod with ready state"),
        Column("Up-to-date", _number(".status.updatedReplicas"), ".status.updatedReplicas"),
        Column("Available", _number(".status.availableReplicas"), ".status.availableReplicas"),
        AGE,
        *_containers(".spec.template"),
        Column("Selector", selector(".spec.selector"), ".spec.selector").wide(),
    ),
    "replicasets.apps": (
        NAME,
        Column("Desired", _number(".spec.replicas"), ".spec.replicas", "integer"),
        Column("Current", _number(".status.replicas"), ".status.replicas", "integer"),
        Column("Ready", _number(".status.readyReplicas"), ".status.readyReplicas", "integer"),
        AGE,
        *_containers(".spec.template"),
        Column("Selector", selector(".spec.selector"), ".spec.selector").wide(),
    ),
    "statefulsets.apps": (
        NAME,
        Column("Ready", ratio(".status.readyReplicas", ".spec.replicas"), "Number of the pod with ready state"),
        AGE,
        *_containers(".spec.template"),
    ),
    "daemonsets.apps": (
        NAME,
        Column("Desired", _number(".status.desiredNumberScheduled"), ".status.desiredNumberScheduled", "integer"),
        Column("Current", _number(".status.currentNumberScheduled"), ".status.currentNumberScheduled", "integer"),
        Column("Ready", _number(".status.numberReady"), ".status.numberReady", "integer"),
        Column("Up-to-date", _number(".status.updatedNumberScheduled"), ".status.updatedNumberScheduled", "integer"),
        Column("Available", _number(".status.numberAvailable"), ".status.numberAvailable", "integer"),
        Column("Node Selector", labels(".spec.template.spec.nodeSelector"), ".spec.template.spec.nodeSelector"),
        AGE,
        *_containers(".spec.template"),
        Column("Selector", selector(".spec.selector"), ".spec.selector").wide(),
    ),
    "controllerrevisions.apps": (
        NAME,
        Column("Controller", cells.controller_reference, "Controller of the object"),
        Column("Revision", at(".revision", 0), ".revision"),
        AGE,
    ),
    "jobs.batch": (
        NAME,
        Column("Status", cells.job_status, "Status of the job."),
        Column("Completions", cells.job_completions, ".status.succeeded"),
        Column(
            "Duration",
            lambda job: between(find(job, ".status.startTime"), find(job, ".status.completionTime")),
            "Time required to complete the job.",
        ),
        AGE,
        *_containers(".spec.template"),
        Column("Selector", selector(".spec.selector"), ".spec.selector").wide(),
    ),
    "cronjobs.batch": (
        NAME,
        Column("Schedule", at(".spec.schedule"), ".spec.schedule"),
        Column("Timezone", at(".spec.timeZone"), ".spec.timeZone"),
        Column("Suspend", lambda job: str(bool(find(job, ".spec.suspend"))), ".spec.suspend", "boolean"),
        Column("Active", count(".status.active"), ".status.active", "integer"),
        Column("Last Schedule", since(".status.lastScheduleTime", "<none>"), ".status.lastScheduleTime"),
        AGE,
        *_containers(".spec.jobTemplate.spec.template"),
        Column("Selector", selector(".spec.jobTemplate.spec.selector"), ".spec.jobTemplate.spec.selector").wide(),
    ),
    "horizontalpodautoscalers.autoscaling": (
        NAME,
        Column("Reference", cells.autoscaler_reference, ".spec.scaleTargetRef"),
        Column("Targets", cells.autoscaler_targets, ".spec.metrics"),
        Column("MinPods", text(".spec.minReplicas", "<unset>"), ".spec.minReplicas"),
        Column("MaxPods", at(".spec.maxReplicas", 0), ".spec.maxReplicas"),
        Column("Replicas", at(".status.currentReplicas", 0), ".status.currentReplicas"),
        AGE,
    ),
    "poddisruptionbudgets.policy": (
        NAME,
        Column(
            "Min Available", text(".spec.minAvailable", "N/A"), "The minimum number of pods that must be available."
        ),
        Column(
            "Max Unavailable",
            text(".spec.maxUnavailable", "N/A"),
            "The maximum number of pods that may be unavailable.",
        ),
        Column(
            "Allowed Disruptions",
            _number(".status.disruptionsAllowed"),
            "Calculated number of pods that may be disrupted at this time.",
            "integer",
        ),
        AGE,
    ),
}

_NETWORK: dict[str, tuple[Column, ...]] = {
    "services": (
        NAME,
        Column("Type", at(".spec.type"), ".spec.type"),
        Column("Cluster-IP", at(".spec.clusterIP"), ".spec.clusterIP"),
        Column("External-IP", cells.service_external_ip, ".spec.externalIPs"),
        Column("Port(s)", cells.service_ports, ".spec.ports"),
        AGE,
        Column("Selector", labels(".spec.selector"), ".spec.selector").wide(),
    ),
    "endpoints": (NAME, Column("Endpoints", cells.endpoints, ".subsets"), AGE),
    "endpointslices.discovery.k8s.io": (
        NAME,
        Column("AddressType", at(".addressType"), ".addressType"),
        Column("Ports", cells.slice_ports, ".ports"),
        Column("Endpoints", cells.slice_endpoints, ".endpoints"),
        AGE,
    ),
    "ingresses.networking.k8s.io": (
        NAME,
        Column(
            "Class",
            at(".spec.ingressClassName"),
            "The name of the IngressClass resource that should be used for additional configuration",
        ),
        Column(
            "Hosts", cells.ingress_hosts, "Hosts that incoming requests are matched against before the ingress rule"
        ),
        Column("Address", cells.ingress_address, "Address is a list containing ingress points for the load-balancer"),
        Column("Ports", cells.ingress_ports, "Ports of TLS configurations that open"),
        AGE,
    ),
    "ingressclasses.networking.k8s.io": (
        NAME,
        Column("Controller", at(".spec.controller", ""), "Controller that is responsible for handling this class"),
        Column("Parameters", at(".spec.parameters.name"), "A reference to a resource with additional parameters"),
        AGE,
    ),
    "networkpolicies.networking.k8s.io": (
        NAME,
        Column("Pod-Selector", selector(".spec.podSelector"), ".spec.podSelector"),
        AGE,
    ),
    "leases.coordination.k8s.io": (NAME, Column("Holder", at(".spec.holderIdentity", ""), ".spec.holderIdentity"), AGE),
}

_CLUSTER: dict[str, tuple[Column, ...]] = {
    "namespaces": (NAME, Column("Status", at(".status.phase", ""), "The status of the namespace"), AGE),
    "nodes": (
        NAME,
        Column("Status", cells.node_status, "The status of the node"),
        Column("Roles", cells.node_roles, "The roles of the node"),
        AGE,
        Column("Version", at(".status.nodeInfo.kubeletVersion", ""), ".status.nodeInfo.kubeletVersion"),
        Column("Internal-IP", cells.node_address("InternalIP"), ".status.addresses").wide(),
        Column("External-IP", cells.node_address("ExternalIP"), ".status.addresses").wide(),
        Column("OS-Image", at(".status.nodeInfo.osImage", "<unknown>"), ".status.nodeInfo.osImage").wide(),
        Column("Kernel-Version", cells.node_kernel, ".status.nodeInfo.kernelVersion").wide(),
        Column(
            "Container-Runtime",
            at(".status.nodeInfo.containerRuntimeVersion", "<unknown>"),
            ".status.nodeInfo.containerRuntimeVersion",
        ).wide(),
    ),
    "events": (
        Column("Last Seen", cells.event_last_seen, ".lastTimestamp"),
        Column("Type", at(".type", ""), ".type"),
        Column("Reason", at(".reason", ""), ".reason"),
        Column("Object", cells.event_object, ".involvedObject"),
        Column("Subobject", at(".involvedObject.fieldPath", ""), ".involvedObject.fieldPath").wide(),
        Column("Source", cells.event_source, ".source").wide(),
        Column("Message", lambda event: event.get("message", "").strip(), ".message"),
        Column("First Seen", cells.event_first_seen, ".firstTimestamp").wide(),
        Column("Count", cells.event_count, ".count").wide(),
        NAME.wide(),
    ),
    "secrets": (NAME, Column("Type", at(".type"), ".type"), Column("Data", count(".data"), ".data"), AGE),
    "configmaps": (NAME, Column("Data", count(".data", ".binaryData"), ".data"), AGE),
    "serviceaccounts": (NAME, AGE),
    "resourcequotas": (
        NAME,
        Column(
            "Request",
            cells.quota(limits=False),
            "Request represents a minimum amount of cpu/memory that a container may consume.",
        ),
        Column(
            "Limit",
            cells.quota(limits=True),
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on"
            " the node.",
        ),
        AGE,
    ),
    "rolebindings.rbac.authorization.k8s.io": _binding("roleBinding"),
    "clusterrolebindings.rbac.authorization.k8s.io": _binding("clusterRoleBinding"),
    "persistentvolumes": (
        NAME,
        Column("Capacity", at(".spec.capacity.storage", ""), ".spec.capacity"),
        Column("Access Modes", cells.access_modes(".spec.accessModes"), ".spec.accessModes"),
        Column("Reclaim Policy", at(".spec.persistentVolumeReclaimPolicy"), ".spec.persistentVolumeReclaimPolicy"),
        Column("Status", cells.terminating_or(".status.phase"), ".status.phase"),
        Column("Claim", cells.claim_reference, ".spec.claimRef"),
        Column("StorageClass", at(".spec.storageClassName", ""), "StorageClass of the pv"),
        Column(
            "VolumeAttributesClass", at(".spec.volumeAttributesClassName", "<unset>"), "VolumeAttributesClass of the pv"
        ),
        Column("Reason", at(".status.reason", ""), ".status.reason"),
        AGE,
        Column("VolumeMode", at(".spec.volumeMode", "<unset>"), ".spec.volumeMode").wide(),
    ),
    "persistentvolumeclaims": (
        NAME,
        Column("Status", cells.terminating_or(".status.phase"), ".status.phase"),
        Column("Volume", at(".spec.volumeName", ""), ".spec.volumeName"),
        Column("Capacity", cells.if_bound(".status.capacity.storage"), ".status.capacity"),
        Column("Access Modes", cells.if_bound(cells.access_modes(".status.accessModes")), ".status.accessModes"),
        Column("StorageClass", at(".spec.storageClassName", ""), "StorageClass of the pvc"),
        Column(
            "VolumeAttributesClass",
            at(".spec.volumeAttributesClassName", "<unset>"),
            "VolumeAttributesClass of the pvc",
        ),
        AGE,
        Column("VolumeMode", at(".spec.volumeMode", "<unset>"), ".spec.volumeMode").wide(),
    ),
    "storageclasses.storage.k8s.io": (
        Column("Name", cells.storage_class_name, ".metadata.name", format="name"),
        Column("Provisioner", at(".provisioner", ""), ".provisioner"),
        Column("ReclaimPolicy", at(".reclaimPolicy", "Delete"), ".reclaimPolicy"),
        Column("VolumeBindingMode", at(".volumeBindingMode", "Immediate"), ".volumeBindingMode"),
        Column("AllowVolumeExpansion", at(".allowVolumeExpansion", False), ".allowVolumeExpansion"),
        AGE,
    ),
    "priorityclasses.scheduling.k8s.io": (
        NAME,
        Column("Value", at(".value", 0), ".value", "integer"),
        Column("Global-Default", at(".globalDefault", False), ".globalDefault", "boolean"),
        AGE,
        Column("PreemptionPolicy", at(".preemptionPolicy", ""), ".preemptionPolicy"),
    ),
    "validatingadmissionpolicies.admissionregistration.k8s.io": (
        NAME,
        Column(
            "Validations",
            count(".spec.validations"),
            "Validations indicates the number of validation rules defined in this configuration",
            "integer",
        ),
        Column(
            "ParamKind",
            cells.parameter_kind,
            "ParamKind specifies the kind of resources used to parameterize this policy",
        ),
        AGE,
    ),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": (
        NAME,
        Column(
            "PolicyName",
            at(".spec.policyName", ""),
            "PolicyName indicates the policy definition which the policy binding binded to",
        ),
        Column(
            "ParamRef",
            cells.parameter_reference,
            "ParamRef indicates the param resource which sets the configration param",
        ),
        AGE,
    ),
    "apiservices.apiregistration.k8s.io": (
        NAME,
        Column("Service", lambda obj: _api_service(obj), "The reference to the service that hosts this API endpoint."),
        Column("Available", lambda obj: _availability(obj), "Whether this service is available."),
        AGE,
    ),
}

COLUMNS: dict[str, tuple[Column, ...]] = {**_WORKLOADS, **_NETWORK, **_CLUSTER}
"""By resource (`deployments.apps`). Kinds that are not here show their name and when they were created."""


def _readiness_gates(pod: Object) -> str:
    gates = find(pod, ".spec.readinessGates") or ()
    if not gates:
        return "<none>"
    true = sum(cells.condition(pod, gate["conditionType"]).get("status") == "True" for gate in gates)
    return f"{true}/{len(gates)}"


def _api_service(obj: Object) -> str:
    service = find(obj, ".spec.service")
    return f"{service['namespace']}/{service['name']}" if service else "Local"


def _availability(obj: Object) -> str:
    available = cells.condition(obj, "Available")
    status = str(available.get("status", "Unknown"))
    return status if status != "False" else f"False ({available.get('reason', '')})"
