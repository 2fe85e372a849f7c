"""Whether a live object has become what it says: the rules that kstatus applies, kind by kind."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class State(enum.StrEnum):
    """The states of a managed object in a ResourceGroup."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Health:
    """A state and the reason for it."""

    state: State
    message: str = ""


def health(live: Mapping[str, Any] | None) -> Health:
    """Judge an object by its status; None is an object that is not there."""
    if live is None:
        return Health(State.NOT_FOUND, "Resource not found")
    metadata, status = live.get("metadata") or {}, live.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Health(State.TERMINATING, "Resource scheduled for deletion")
    if "observedGeneration" in status and status["observedGeneration"] != metadata.get("generation"):
        return Health(
            State.IN_PROGRESS,
            f"{live.get('kind')} generation is {metadata.get('generation')}, but latest "
            f"observed generation is {status['observedGeneration']}",
        )
    judge = _JUDGES.get(f"{live.get('kind')}")
    return judge(live) if judge else _by_conditions(live)


def _conditions(live: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(condition.get("type")): condition for condition in (live.get("status") or {}).get("conditions") or []}


def _by_conditions(live: Mapping[str, Any]) -> Health:
    conditions = _conditions(live)
    for kind, wrong, state in (
        ("Stalled", "True", State.FAILED),
        ("Reconciling", "True", State.IN_PROGRESS),
        ("Ready", "False", State.IN_PROGRESS),
        ("Ready", "Unknown", State.IN_PROGRESS),
    ):
        if conditions.get(kind, {}).get("status") == wrong:
            return Health(state, str(conditions[kind].get("message", "")))
    return Health(State.CURRENT, "Resource is current")


def _deployment(live: Mapping[str, Any]) -> Health:
    conditions, status = _conditions(live), live.get("status") or {}
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        return Health(State.FAILED, "Progress deadline exceeded")
    if "observedGeneration" not in status:
        return Health(State.IN_PROGRESS, "Deployment has not been observed yet")
    wanted = (live.get("spec") or {}).get("replicas", 1)
    for field, what in (("replicas", "Replicas"), ("updatedReplicas", "Updated"), ("availableReplicas", "Available")):
        if status.get(field, 0) < wanted:
            return Health(State.IN_PROGRESS, f"{what}: {status.get(field, 0)}/{wanted}")
    if status.get("replicas", 0) > wanted:
        return Health(State.IN_PROGRESS, f"Pending termination: {status['replicas'] - wanted}")
    return Health(State.CURRENT, f"Deployment is available. Replicas: {wanted}")


def _replicated(live: Mapping[str, Any]) -> Health:
    wanted, ready = (live.get("spec") or {}).get("replicas", 1), (live.get("status") or {}).get("readyReplicas", 0)
    if ready < wanted:
        return Health(State.IN_PROGRESS, f"Ready: {ready}/{wanted}")
    return Health(State.CURRENT, f"All replicas scheduled as expected. Replicas: {wanted}")


def _daemon_set(live: Mapping[str, Any]) -> Health:
    status = live.get("status") or {}
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    if "observedGeneration" not in status or ready < wanted:
        return Health(State.IN_PROGRESS, f"Ready: {ready}/{wanted}")
    return Health(State.CURRENT, f"All replicas scheduled as expected. Replicas: {wanted}")


def _job(live: Mapping[str, Any]) -> Health:
    conditions, status = _conditions(live), live.get("status") or {}
    if conditions.get("Failed", {}).get("status") == "True":
        return Health(State.FAILED, f"Job Failed. failed: {status.get('failed', 0)}")
    if conditions.get("Complete", {}).get("status") == "True":
        return Health(State.CURRENT, f"Job Completed. succeeded: {status.get('succeeded', 0)}")
    if not status.get("startTime"):
        return Health(State.IN_PROGRESS, "Job not started")
    return Health(State.CURRENT, f"Job in progress. active: {status.get('active', 0)}")


def _pod(live: Mapping[str, Any]) -> Health:
    phase = (live.get("status") or {}).get("phase", "Pending")
    if phase == "Succeeded":
        return Health(State.CURRENT, "Pod has completed successfully")
    if phase == "Failed":
        return Health(State.FAILED, "Pod has completed, but not successfully")
    if phase == "Running" and _conditions(live).get("Ready", {}).get("status") == "True":
        return Health(State.CURRENT, "Pod is Ready")
    return Health(State.IN_PROGRESS, f"Pod is {phase}")


def _definition(live: Mapping[str, Any]) -> Health:
    conditions = _conditions(live)
    if conditions.get("NamesAccepted", {}).get("status") == "False":
        return Health(State.FAILED, str(conditions["NamesAccepted"].get("message", "")))
    if conditions.get("Established", {}).get("status") == "True":
        return Health(State.CURRENT, "CRD is established")
    return Health(State.IN_PROGRESS, "Install in progress")


def _claim(live: Mapping[str, Any]) -> Health:
    phase = (live.get("status") or {}).get("phase", "")
    return Health(State.CURRENT, "PVC is Bound") if phase == "Bound" else Health(State.IN_PROGRESS, f"PVC is {phase}")


def _load_balanced(live: Mapping[str, Any]) -> Health:
    spec = live.get("spec") or {}
    if spec.get("type") == "LoadBalancer" and not spec.get("clusterIP"):
        return Health(State.IN_PROGRESS, "ClusterIP not set. Service type: LoadBalancer")
    return Health(State.CURRENT, "Service is ready")


_JUDGES = {
    "CustomResourceDefinition": _definition,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Job": _job,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "ReplicaSet": _replicated,
    "Service": _load_balanced,
    "StatefulSet": _replicated,
}
