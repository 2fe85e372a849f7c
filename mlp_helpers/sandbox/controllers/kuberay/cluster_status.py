"""The status of a Ray cluster, from what is wanted and the pods that are there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from mlp_helpers.sandbox.controllers.kuberay.names import GROUP_LABEL, NODE_TYPE_LABEL
from mlp_helpers.sandbox.controllers.kuberay.pods import group_resources
from mlp_helpers.sandbox.controllers.quantities import format_quantity

HEAD_READY = "HeadPodReady"
PROVISIONED = "RayClusterProvisioned"
REPLICA_FAILURE = "ReplicaFailure"
SUSPENDING = "RayClusterSuspending"
SUSPENDED = "RayClusterSuspended"
_LIMIT = 2147483647


def now_text() -> str:
    """The present, as Kubernetes writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wanted_replicas(group: Mapping[str, Any]) -> int:
    """How many pods a group should have: its replicas within its bounds, times its hosts; none when suspended."""
    if group.get("suspend"):
        return 0
    low, high = group.get("minReplicas", 0), group.get("maxReplicas", _LIMIT)
    replicas = min(max(group.get("replicas", 0), low), high)
    return int(replicas * group.get("numOfHosts", 1))


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod runs and says that it is ready."""
    status = pod.get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    return status.get("phase") == "Running" and conditions.get("Ready") == "True" and not is_leaving(pod)


def is_running(pod: Mapping[str, Any]) -> bool:
    """Whether a pod counts as available: it runs, ready or not."""
    return (pod.get("status") or {}).get("phase") == "Running" and not is_leaving(pod)


def is_leaving(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def has_ended(pod: Mapping[str, Any]) -> bool:
    """Whether a pod will never run again."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def of_type(pods: Iterable[Mapping[str, Any]], node_type: str) -> list[Mapping[str, Any]]:
    """The head's or the workers' pods."""
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(NODE_TYPE_LABEL) == node_type]


def of_group(pods: Iterable[Mapping[str, Any]], group: str) -> list[Mapping[str, Any]]:
    """The pods of one group of workers."""
    return [pod for pod in of_type(pods, "worker") if pod["metadata"]["labels"].get(GROUP_LABEL) == group]


def cluster_status(
    cluster: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]],
    service: Mapping[str, Any] | None,
    *,
    failure: str = "",
) -> dict[str, Any]:
    """The status that follows from the pods.

    Args:
        cluster: The RayCluster, its present status included: some of it stays once it was true.
        pods: All pods of the cluster.
        service: The head's Service.
        failure: Why pods could not be made, if so.
    """
    spec, before = cluster["spec"], cluster.get("status") or {}
    groups = spec.get("workerGroupSpecs") or []
    workers, heads = of_type(pods, "worker"), of_type(pods, "head")
    head = next((pod for pod in heads if not is_leaving(pod)), None)
    desired = sum(wanted_replicas(group) for group in groups)
    suspended = bool(spec.get("suspend"))
    is_complete = (
        not suspended
        and head is not None
        and is_ready(head)
        and len([pod for pod in workers if is_ready(pod)]) == desired == len(workers)
    )
    status: dict[str, Any] = {
        **before,
        "observedGeneration": cluster["metadata"].get("generation", 1),
        "desiredWorkerReplicas": 0 if suspended else desired,
        "availableWorkerReplicas": len([pod for pod in workers if is_running(pod)]),
        "readyWorkerReplicas": len([pod for pod in workers if is_ready(pod)]),
        "minWorkerReplicas": sum(group.get("minReplicas", 0) * group.get("numOfHosts", 1) for group in groups),
        "maxWorkerReplicas": min(
            sum(group.get("maxReplicas", _LIMIT) * group.get("numOfHosts", 1) for group in groups), _LIMIT
        ),
        **_desired_resources(spec, groups),
        "endpoints": _endpoints(service),
        "head": _head(head, service),
        "reason": failure,
        "conditions": _conditions(cluster, head, pods, is_complete=is_complete, failure=failure),
    }
    if suspended and not pods:
        status["state"] = "suspended"
    elif is_complete:
        status["state"] = "ready"
    elif suspended or before.get("state") == "suspended":
        status.pop("state", None)
    if status.get("state") != before.get("state") and status.get("state"):
        status["stateTransitionTimes"] = {**(before.get("stateTransitionTimes") or {}), status["state"]: now_text()}
    return {key: value for key, value in status.items() if value not in ("", {}, None)}


def differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a status says something new; its own time does not count."""
    ignored = ("lastUpdateTime",)
    return {key: value for key, value in before.items() if key not in ignored} != {
        key: value for key, value in after.items() if key not in ignored
    }


def _desired_resources(spec: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    totals = dict.fromkeys(("cpu", "memory", "gpu", "tpu"), Decimal(0))
    counted = [(spec["headGroupSpec"], 1), *((group, wanted_replicas(group)) for group in groups)]
    for group, count in [] if spec.get("suspend") else counted:
        for name, amount in group_resources(group).items():
            totals[name] += amount * count
    return {
        "desiredCPU": format_quantity(totals["cpu"], "cpu"),
        "desiredMemory": format_quantity(totals["memory"], "memory"),
        "desiredGPU": format_quantity(totals["gpu"], "gpu"),
        "desiredTPU": format_quantity(totals["tpu"], "tpu"),
    }


def _endpoints(service: Mapping[str, Any] | None) -> dict[str, str]:
    ports = ((service or {}).get("spec") or {}).get("ports") or []
    return {port["name"]: str(port.get("nodePort") or port["port"]) for port in ports}


def _head(head: Mapping[str, Any] | None, service: Mapping[str, Any] | None) -> dict[str, str]:
    pod_ip = ((head or {}).get("status") or {}).get("podIP", "")
    cluster_ip = ((service or {}).get("spec") or {}).get("clusterIP", "")
    found = {
        "podIP": pod_ip,
        "podName": head["metadata"]["name"] if head else "",
        # A headless Service has no address of its own: the head's pod is its address.
        "serviceIP": pod_ip if cluster_ip in ("None", "") else cluster_ip,
        "serviceName": service["metadata"]["name"] if service else "",
    }
    return {key: value for key, value in found.items() if value}


def _conditions(
    cluster: Mapping[str, Any],
    head: Mapping[str, Any] | None,
    pods: Sequence[Mapping[str, Any]],
    *,
    is_complete: bool,
    failure: str,
) -> list[dict[str, Any]]:
    before = {one["type"]: one for one in (cluster.get("status") or {}).get("conditions") or []}
    suspend = bool(cluster["spec"].get("suspend"))
    was_provisioned = before.get(PROVISIONED, {}).get("status") == "True" and not suspend
    wanted: list[tuple[str, bool, str, str]] = []
    if head is None:
        wanted.append((HEAD_READY, False, "HeadPodNotFound", "Head Pod not found"))
    elif is_ready(head):
        wanted.append((HEAD_READY, True, "HeadPodRunningAndReady", ""))
    else:
        wanted.append((HEAD_READY, False, "ContainersNotReady", f"Head Pod is {_phase(head)}"))
    if is_complete or was_provisioned:
        wanted.append(
            (PROVISIONED, True, "AllPodRunningAndReadyFirstTime", "All Ray Pods are ready for the first time")
        )
    else:
        wanted.append((PROVISIONED, False, "RayClusterPodsProvisioning", "RayCluster Pods are being provisioned"))
    wanted.append((SUSPENDING, suspend and bool(pods), "UserRequest", ""))
    wanted.append((SUSPENDED, suspend and not pods, "UserRequest", ""))
    if failure:
        wanted.append((REPLICA_FAILURE, True, "FailedCreatePod", failure))
    return [_condition(before.get(kind), kind, is_true, reason, text) for kind, is_true, reason, text in wanted]


def _condition(before: Mapping[str, Any] | None, kind: str, is_true: bool, reason: str, message: str) -> dict[str, Any]:
    state = "True" if is_true else "False"
    since = before["lastTransitionTime"] if before and before["status"] == state else now_text()
    return {"type": kind, "status": state, "reason": reason, "message": message, "lastTransitionTime": since}


def _phase(pod: Mapping[str, Any]) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))
