"""The status of a pod, from how its containers stand; decisions only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlp_helpers.sandbox.controllers.client import Object
from mlp_helpers.sandbox.controllers.conditions import condition, timestamp, with_conditions
from mlp_helpers.sandbox.controllers.quantities import pod_resources
from mlp_helpers.sandbox.node.processes import Exit

_FIRST_BACKOFF_SECONDS = 10.0
_LONGEST_BACKOFF_SECONDS = 300.0
_WELL_AFTER_SECONDS = 600.0


@dataclass
class ContainerRecord:
    """How one container stands."""

    name: str
    image: str
    container_id: str = ""
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict)
    restart_count: int = 0
    ready: bool = False
    started: bool = False

    def wait(self, reason: str, message: str = "") -> None:
        """It waits to be started."""
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self.ready = self.started = False

    def run(self, started_at: datetime) -> None:
        """It runs."""
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"running": {"startedAt": timestamp(started_at)}}

    def end(self, ended: Exit, started_at: datetime | None, message: str = "") -> None:
        """It has ended."""
        self.state = {"terminated": terminated(ended, started_at, self.container_id, message)}
        self.ready = self.started = False

    @property
    def exit_code(self) -> int | None:
        """The exit code of a container that has ended."""
        code = (self.state.get("terminated") or {}).get("exitCode")
        return None if code is None else int(code)

    def as_status(self) -> Object:
        """The entry in containerStatuses."""
        image = self.image if "/" in self.image else f"docker.io/library/{self.image}"
        return {
            "name": self.name,
            "image": image,
            "imageID": f"sandbox://{image}",
            **({"containerID": self.container_id} if self.container_id else {}),
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restart_count,
        }


def terminated(ended: Exit, started_at: datetime | None, container_id: str, message: str = "") -> Object:
    """A terminated state."""
    state: Object = {
        "exitCode": ended.code,
        "reason": ended.said_reason,
        "startedAt": timestamp(started_at) if started_at else "1970-01-01T00:00:00Z",
        "finishedAt": timestamp(ended.finished_at),
    }
    if container_id:
        state["containerID"] = container_id
    if message:
        state["message"] = message
    return state


def backoff_seconds(restarts: int, ran_seconds: float, first: float = _FIRST_BACKOFF_SECONDS) -> float:
    """How long a container that ended waits: the first restart is at once, then 10, 20, 40 ... 300 seconds."""
    if restarts == 0 or ran_seconds > _WELL_AFTER_SECONDS:
        return 0.0
    return float(min(first * 2.0 ** (restarts - 1), _LONGEST_BACKOFF_SECONDS))


def restarts(policy: str, ended: Exit) -> bool:
    """Whether a container that ended is started again."""
    return policy == "Always" or (policy == "OnFailure" and ended.code != 0)


def quality_of_service(spec: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort."""
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    resources = [one.get("resources") or {} for one in containers]
    if not any(one.get("requests") or one.get("limits") for one in resources):
        return "BestEffort"
    wanted, most = pod_resources(spec, "requests"), pod_resources(spec, "limits")
    limited = all({"cpu", "memory"} <= set(one.get("limits") or {}) for one in resources)
    same = all(wanted.get(name) == most.get(name) for name in ("cpu", "memory"))
    return "Guaranteed" if limited and same else "Burstable"


def phase_of(policy: str, first: Sequence[ContainerRecord], main: Sequence[ContainerRecord]) -> str:
    """Pending, Running, Succeeded or Failed."""
    if any(record.exit_code not in (None, 0) for record in first) and policy == "Never":
        return "Failed"
    if any(record.exit_code != 0 and "running" not in record.state for record in first):
        return "Pending"
    if all("waiting" in record.state and not record.last_state for record in main):
        return "Pending"
    codes = [record.exit_code for record in main]
    if policy == "Always" or any(code is None for code in codes):
        return "Running"
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Running" if policy == "OnFailure" else "Failed"


def pod_status(
    pod: Mapping[str, Any],
    first: Sequence[ContainerRecord],
    main: Sequence[ContainerRecord],
    *,
    is_ending: bool,
    now: datetime,
) -> Object:
    """The whole status.

    Args:
        pod: The pod as the API server has it.
        first: Its init containers, in order.
        main: Its containers.
        is_ending: Whether its containers were ended because it is deleted.
        now: The time.
    """
    before = pod.get("status") or {}
    policy = "Never" if is_ending else pod["spec"].get("restartPolicy", "Always")
    phase = phase_of(policy, first, main)
    status: Object = {
        "phase": phase,
        "conditions": with_conditions(before.get("conditions"), _conditions(phase, first, main), timestamp(now)),
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": before.get("startTime") or timestamp(now),
        "containerStatuses": [record.as_status() for record in main],
        "qosClass": before.get("qosClass") or quality_of_service(pod["spec"]),
        "observedGeneration": pod["metadata"].get("generation", 1),
    }
    if first:
        status["initContainerStatuses"] = [record.as_status() for record in first]
    return status


def _conditions(phase: str, first: Sequence[ContainerRecord], main: Sequence[ContainerRecord]) -> list[Object]:
    over = phase in ("Succeeded", "Failed")
    incomplete = [one.name for one in first if one.exit_code != 0 and not one.ready]
    unready = [one.name for one in main if not one.ready]
    initialized = condition("Initialized", True, "PodCompleted" if phase == "Succeeded" else "")
    if incomplete:
        message = f"containers with incomplete status: [{' '.join(incomplete)}]"
        initialized = condition("Initialized", False, "ContainersNotInitialized", message)
    if phase == "Succeeded":
        ready = ("PodCompleted", "")
    elif phase == "Failed":
        ready = ("PodFailed", "")
    else:
        ready = ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    pair = [
        condition(kind, not unready and not over, *(ready if unready or over else ()))
        for kind in ("Ready", "ContainersReady")
    ]
    return [
        condition("PodReadyToStartContainers", not over),
        initialized,
        *pair,
        condition("PodScheduled", True),
    ]
