"""What `kubectl get pods` says of a pod: ready containers, one word for its state, restarts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlp_helpers.sandbox.kubernetes.ages import age

__all__ = ["PodSummary", "summarize_pod"]

Object = dict[str, Any]


@dataclass
class PodSummary:
    """The cells of a pod's row that are computed from all its containers."""

    state: str
    ready: int = 0
    total: int = 0
    restarts: int = 0
    last_restart: str = ""
    initializing: bool = field(default=False, repr=False)

    @property
    def restarts_shown(self) -> str:
        """Restarts, and how long ago the last one was."""
        return (
            f"{self.restarts} ({age(self.last_restart)} ago)"
            if self.restarts and self.last_restart
            else str(self.restarts)
        )

    def count_restarts(self, status: Object) -> None:
        """Add a container's restarts."""
        self.restarts += status.get("restartCount", 0)
        ended = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        self.last_restart = max(self.last_restart, ended)


def summarize_pod(pod: Object) -> PodSummary:
    """Reduce a pod to what its row shows."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = {one["name"] for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"}
    phase = status.get("phase", "")
    summary = PodSummary(status.get("reason") or phase, total=len(spec.get("containers") or ()) + len(sidecars))
    if _condition(status, "PodScheduled").get("reason") == "SchedulingGated":
        summary.state = "SchedulingGated"
    sidecar_restarts = _add_init_containers(summary, spec, status, sidecars)
    if not summary.initializing or _condition(status, "Initialized").get("status") == "True":
        summary.restarts, summary.last_restart = sidecar_restarts
        _add_containers(summary, status)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            summary.state = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            summary.state = "Terminating"
    return summary


def _condition(status: Object, kind: str) -> Object:
    return next((one for one in status.get("conditions") or () if one.get("type") == kind), {})


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    return f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode', 0)}"


def _add_init_containers(summary: PodSummary, spec: Object, status: Object, sidecars: set[str]) -> tuple[int, str]:
    """Take in init containers up to the first that is not done; returns the sidecars' restarts."""
    of_sidecars = PodSummary("")
    for number, container in enumerate(status.get("initContainerStatuses") or ()):
        state, is_sidecar = container.get("state") or {}, container["name"] in sidecars
        summary.count_restarts(container)
        if is_sidecar:
            of_sidecars.count_restarts(container)
        terminated, waiting = state.get("terminated"), (state.get("waiting") or {}).get("reason")
        if terminated and terminated.get("exitCode", 0) == 0:
            continue
        if is_sidecar and container.get("started"):
            summary.ready += bool(container.get("ready"))
            continue
        if terminated:
            summary.state = f"Init:{_ended(terminated)}"
        elif waiting and waiting != "PodInitializing":
            summary.state = f"Init:{waiting}"
        else:
            summary.state = f"Init:{number}/{len(spec.get('initContainers') or ())}"
        summary.initializing = True
        break
    return of_sidecars.restarts, of_sidecars.last_restart


def _add_containers(summary: PodSummary, status: Object) -> None:
    has_running = False
    for container in reversed(status.get("containerStatuses") or []):
        summary.count_restarts(container)
        state = container.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            summary.state = state["waiting"]["reason"]
        elif state.get("terminated"):
            summary.state = _ended(state["terminated"])
        elif container.get("ready") and state.get("running") is not None:
            has_running = True
            summary.ready += 1
    if summary.state == "Completed" and has_running:
        summary.state = "Running" if _condition(status, "Ready").get("status") == "True" else "NotReady"
