"""ReplicaSets: so many pods of one template, no more and no less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlp_helpers.sandbox.controllers.client import ApiError, NotFoundError, Object
from mlp_helpers.sandbox.controllers.conditions import condition, timestamp, with_conditions
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.loop import Key, Manager, own_key, owner_keys
from mlp_helpers.sandbox.controllers.pods import PodControl, is_active, is_ready, pod_from, seconds_until_available
from mlp_helpers.sandbox.controllers.selectors import matches

_AT_MOST_AT_ONCE = 500


def first_to_delete(pods: Sequence[Object]) -> list[Object]:
    """Pods in the order in which they may go: unassigned, not running, not ready, then the youngest."""

    def rank(pod: Object) -> tuple[bool, bool, bool]:
        status = pod.get("status") or {}
        return bool(pod["spec"].get("nodeName")), status.get("phase") == "Running", is_ready(pod)

    youngest_first = sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
    return sorted(youngest_first, key=rank)


def replica_status(
    replica_set: Mapping[str, Any], pods: Sequence[Object], failure: str, now: datetime
) -> tuple[Object, float | None]:
    """The status of a ReplicaSet, and the seconds until a ready pod counts as available."""
    spec, before = replica_set["spec"], replica_set.get("status") or {}
    labels = (spec.get("template") or {}).get("metadata", {}).get("labels") or {}
    waits = [seconds_until_available(pod, spec.get("minReadySeconds", 0), now) for pod in pods]
    status: Object = {
        "replicas": len(pods),
        "fullyLabeledReplicas": sum(
            matches({"matchLabels": labels}, pod["metadata"].get("labels") or {}) for pod in pods
        ),
        "readyReplicas": sum(wait is not None for wait in waits),
        "availableReplicas": sum(wait == 0 for wait in waits),
        "observedGeneration": replica_set["metadata"].get("generation", 1),
    }
    status = {name: value for name, value in status.items() if value or name == "replicas"}
    if failure:
        wanted = [condition("ReplicaFailure", True, "FailedCreate", failure)]
        status["conditions"] = with_conditions(before.get("conditions"), wanted, timestamp(now))
    return status, min((wait for wait in waits if wait), default=None)


class ReplicaSetController:
    """Creates and deletes pods until a ReplicaSet has what it asks for."""

    name = "replicaset-controller"

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._sets = manager.informer("apps/v1", "ReplicaSet")
        pods = manager.informer("v1", "Pod")
        events = EventRecorder(manager.client, self.name)
        self._control = PodControl(manager.client, pods, events)
        manager.register(self, {self._sets: own_key, pods: owner_keys("ReplicaSet", "apps")})

    async def reconcile(self, key: Key) -> float | None:
        replica_set = self._sets.get(key[1], key[0])
        if replica_set is None:
            return None
        claimed = await self._control.claim(replica_set, replica_set["spec"]["selector"])
        pods = [pod for pod in claimed if is_active(pod)]
        failure: ApiError | None = None
        if "deletionTimestamp" not in replica_set["metadata"]:
            try:
                pods = await self._scale(replica_set, pods)
            except ApiError as error:
                failure = error
        pause = await self._write_status(replica_set, pods, str(failure or ""))
        if failure is not None:
            raise failure
        return pause

    async def _scale(self, replica_set: Object, pods: list[Object]) -> list[Object]:
        missing = replica_set["spec"].get("replicas", 1) - len(pods)
        made = []
        for _ in range(min(missing, _AT_MOST_AT_ONCE)):
            made.append(await self._control.create(replica_set, pod_from(replica_set["spec"]["template"], replica_set)))
        leaving = first_to_delete(pods)[: max(0, -missing)]
        for pod in leaving:
            await self._control.delete(replica_set, pod)
        gone = {pod["metadata"]["uid"] for pod in leaving}
        return [pod for pod in pods if pod["metadata"]["uid"] not in gone] + made

    async def _write_status(self, replica_set: Object, pods: list[Object], failure: str) -> float | None:
        status, pause = replica_status(replica_set, pods, failure, datetime.now(UTC))
        if status != (replica_set.get("status") or {}):
            try:
                self._sets.note(await self._client.replace_status({**replica_set, "status": status}))
            except NotFoundError:
                return None
        return pause
