"""Jobs: pods that run to an end, a number of times, with a limit on failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mlp_helpers.sandbox.controllers.client import NotFoundError, Object
from mlp_helpers.sandbox.controllers.conditions import (
    Condition,
    condition,
    find_condition,
    is_true,
    parse_timestamp,
    timestamp,
    with_conditions,
)
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.loop import Key, Manager, own_key, owner_keys
from mlp_helpers.sandbox.controllers.pods import PodControl, is_active, is_controlled_by, is_ready, pod_from

_FIRST_BACKOFF_SECONDS = 10.0
_LONGEST_BACKOFF_SECONDS = 360.0


@dataclass(frozen=True)
class Plan:
    """What to do for a Job now."""

    create: int = 0
    delete: tuple[Object, ...] = ()
    conditions: tuple[Condition, ...] = ()
    look_again_seconds: float | None = None


@dataclass(frozen=True)
class Tally:
    """The pods of a Job by how they stand."""

    active: tuple[Object, ...] = ()
    succeeded: int = 0
    failed: int = 0
    restarts: int = 0
    last_failure: datetime | None = field(default=None)


def tally(job: Mapping[str, Any], pods: Sequence[Object]) -> Tally:
    """Count pods; those that ended and are gone by now stay in the numbers of the status."""
    before = job.get("status") or {}
    phases = [(pod.get("status") or {}).get("phase") for pod in pods]
    failed_pods = [pod for pod, phase in zip(pods, phases, strict=True) if phase == "Failed"]
    active = tuple(pod for pod in pods if is_active(pod))
    return Tally(
        active,
        max(phases.count("Succeeded"), before.get("succeeded", 0)),
        max(len(failed_pods), before.get("failed", 0)),
        sum(_restarts(pod) for pod in active),
        max((_ended(pod) for pod in failed_pods), default=None),
    )


def plan(job: Mapping[str, Any], counted: Tally, now: datetime) -> Plan:
    """Decide what a Job needs: pods, fewer pods, or its end."""
    spec, started = job["spec"], (job.get("status") or {}).get("startTime")
    if spec.get("suspend"):
        return Plan(delete=counted.active, conditions=(condition("Suspended", True, "JobSuspended", "Job suspended"),))
    resumed = (condition("Suspended", False, "JobResumed", "Job resumed"),) if find_condition(job, "Suspended") else ()
    if counted.failed > spec.get("backoffLimit", 6) or (
        counted.restarts and counted.restarts >= max(1, spec.get("backoffLimit", 6))
    ):
        return _failure(counted, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left = _seconds_left(spec.get("activeDeadlineSeconds"), started, now)
    if left is not None and left <= 0:
        return _failure(counted, "DeadlineExceeded", "Job was active longer than specified deadline")
    completions, parallelism = spec.get("completions"), spec.get("parallelism", 1)
    if _is_complete(completions, counted):
        message = "Reached expected number of succeeded pods"
        said = tuple(
            condition(kind, True, "CompletionsReached", message) for kind in ("SuccessCriteriaMet", "Complete")
        )
        return Plan(delete=counted.active, conditions=said)
    if completions is None:
        wanted = len(counted.active) if counted.succeeded else parallelism
    else:
        wanted = min(parallelism, completions - counted.succeeded)
    missing = wanted - len(counted.active)
    waiting = _backoff_left(counted, now)
    if missing > 0 and waiting > 0:
        return Plan(conditions=resumed, look_again_seconds=min(waiting, left or waiting))
    return Plan(max(0, missing), counted.active[wanted:] if missing < 0 else (), resumed, left)


def _is_complete(completions: int | None, counted: Tally) -> bool:
    if completions is None:  # a work queue: one success, and nobody at work any more
        return counted.succeeded > 0 and not counted.active
    return counted.succeeded >= completions


def _failure(counted: Tally, reason: str, message: str) -> Plan:
    said = tuple(condition(kind, True, reason, message) for kind in ("FailureTarget", "Failed"))
    return Plan(delete=counted.active, conditions=said)


def _seconds_left(limit: int | None, started: str | None, now: datetime) -> float | None:
    if limit is None or started is None:
        return None
    return (parse_timestamp(started) + timedelta(seconds=limit) - now).total_seconds()


def _backoff_left(counted: Tally, now: datetime) -> float:
    """A failed pod is replaced after 10, 20, 40 ... seconds."""
    if counted.last_failure is None or not counted.failed:
        return 0.0
    pause = min(_FIRST_BACKOFF_SECONDS * 2.0 ** (counted.failed - 1), _LONGEST_BACKOFF_SECONDS)
    return pause - (now - counted.last_failure).total_seconds()


def _restarts(pod: Mapping[str, Any]) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return sum(one.get("restartCount", 0) for one in statuses)


def _ended(pod: Mapping[str, Any]) -> datetime:
    states = (one.get("state") or {} for one in (pod.get("status") or {}).get("containerStatuses") or ())
    ends = [state["terminated"]["finishedAt"] for state in states if (state.get("terminated") or {}).get("finishedAt")]
    return parse_timestamp(max(ends, default=pod["metadata"]["creationTimestamp"]))


class JobController:
    """Runs Jobs, and deletes finished ones after their time to live."""

    name = "job-controller"

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._jobs = manager.informer("batch/v1", "Job")
        self._pods = manager.informer("v1", "Pod")
        self._events = EventRecorder(manager.client, self.name)
        self._control = PodControl(manager.client, self._pods, self._events)
        manager.register(self, {self._jobs: own_key, self._pods: owner_keys("Job", "batch")})

    async def reconcile(self, key: Key) -> float | None:
        job = self._jobs.get(key[1], key[0])
        if job is None or "deletionTimestamp" in job["metadata"]:
            return None
        if finished_at(job):
            return await self._expire(job)
        pods = [pod for pod in self._pods.list(key[0]) if is_controlled_by(pod, job)]
        counted, now = tally(job, pods), datetime.now(UTC)
        decided = plan(job, counted, now)
        for pod in decided.delete:
            await self._control.delete(job, pod)
        for _ in range(decided.create):
            await self._control.create(job, pod_from(job["spec"]["template"], job, _labels(job)))
        await self._write_status(job, counted, decided, now)
        return decided.look_again_seconds

    async def _write_status(self, job: Object, counted: Tally, decided: Plan, now: datetime) -> None:
        before = job.get("status") or {}
        leaving = {pod["metadata"]["uid"] for pod in decided.delete}
        staying = [pod for pod in counted.active if pod["metadata"]["uid"] not in leaving]
        status: Object = {
            **before,
            "active": len(staying) + decided.create,
            "ready": sum(is_ready(pod) for pod in staying),
            "succeeded": counted.succeeded,
            "failed": counted.failed,
            "uncountedTerminatedPods": {},
        }
        if not job["spec"].get("suspend"):
            status.setdefault("startTime", timestamp(now))
        if decided.conditions:
            status["conditions"] = with_conditions(
                before.get("conditions"), decided.conditions, timestamp(now), update_time="lastProbeTime"
            )
        ended = {entry["type"] for entry in decided.conditions} & {"Complete", "Failed"}
        if "Complete" in ended:
            status["completionTime"] = timestamp(now)
        status = {
            name: value for name, value in status.items() if value or name in ("ready", "uncountedTerminatedPods")
        }
        if status == before:
            return
        try:
            self._jobs.note(await self._client.replace_status({**job, "status": status}))
        except NotFoundError:
            return
        for entry in decided.conditions:
            await self._say(job, entry)

    async def _say(self, job: Object, entry: Condition) -> None:
        if entry["type"] == "Complete":
            await self._events.normal(job, "Completed", "Job completed")
        elif entry["type"] == "Failed":
            await self._events.warning(job, entry["reason"], entry["message"])
        elif entry["type"] == "Suspended" and not is_true(job, "Suspended") and entry["status"] == "True":
            await self._events.normal(job, "Suspended", "Job suspended")

    async def _expire(self, job: Object) -> float | None:
        seconds, ended = job["spec"].get("ttlSecondsAfterFinished"), finished_at(job)
        if seconds is None or ended is None:
            return None
        left = (ended + timedelta(seconds=seconds) - datetime.now(UTC)).total_seconds()
        if left > 0:
            return left
        metadata = job["metadata"]
        resource = await self._client.resource("batch/v1", "Job")
        try:
            await self._client.delete(
                resource, metadata["name"], metadata["namespace"], propagation="Foreground", uid=metadata["uid"]
            )
        except NotFoundError:
            return None
        return None


def finished_at(job: Mapping[str, Any]) -> datetime | None:
    """When a Job completed or failed, or None while it has not."""
    for kind in ("Complete", "Failed"):
        found = find_condition(job, kind)
        if found is not None and found["status"] == "True":
            return parse_timestamp(found["lastTransitionTime"])
    return None


def _labels(job: Mapping[str, Any]) -> dict[str, str]:
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    return {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
