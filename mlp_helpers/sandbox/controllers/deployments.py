"""Deployments: the ReplicaSet of the current template replaces the older ones."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime

from mlp_helpers.sandbox.controllers.client import AlreadyExistsError, NotFoundError, Object
from mlp_helpers.sandbox.controllers.conditions import (
    Condition,
    condition,
    find_condition,
    parse_timestamp,
    timestamp,
    with_conditions,
)
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.loop import Key, Manager, own_key, owner_keys
from mlp_helpers.sandbox.controllers.pods import is_controlled_by, owner_reference
from mlp_helpers.sandbox.controllers.rollout import (
    HASH_LABEL,
    REVISION,
    Bounds,
    available,
    has_template,
    recreate_step,
    replicas,
    revision_of,
    rolling_step,
    template_hash,
)

_LOOK_AGAIN_SECONDS = 0.5


def deployment_status(deployment: Object, new: Object | None, old: Sequence[Object], now: datetime) -> Object:
    """The status of a Deployment, with the conditions Available and Progressing."""
    spec, before = deployment["spec"], deployment.get("status") or {}
    everything = [*old, *([new] if new else [])]

    def count(field: str, sets: Sequence[Object]) -> int:
        return sum((one.get("status") or {}).get(field, 0) for one in sets)

    wanted, total_available = spec.get("replicas", 1), count("availableReplicas", everything)
    status: Object = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": count("replicas", everything),
        "updatedReplicas": count("replicas", [new] if new else []),
        "readyReplicas": count("readyReplicas", everything),
        "availableReplicas": total_available,
        "unavailableReplicas": max(0, max(wanted, sum(map(replicas, everything))) - total_available),
    }
    status = {name: value for name, value in status.items() if value}
    enough = total_available >= wanted - Bounds.of(deployment).unavailable
    conditions = [
        condition("Available", True, "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if enough
        else condition(
            "Available", False, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
        )
    ]
    if new is not None and (progress := _progress(deployment, new, status, now)):
        conditions.append(progress)
    status["conditions"] = with_conditions(
        before.get("conditions"), conditions, timestamp(now), update_time="lastUpdateTime"
    )
    return status


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether all pods are new and available."""
    wanted = deployment["spec"].get("replicas", 1)
    return all(status.get(name, 0) == wanted for name in ("updatedReplicas", "replicas", "availableReplicas"))


def _progress(deployment: Object, new: Object, status: Object, now: datetime) -> Condition | None:
    name, before = new["metadata"]["name"], deployment.get("status") or {}
    current = find_condition(deployment, "Progressing")
    if is_complete(deployment, status):
        message = f'ReplicaSet "{name}" has successfully progressed.'
        return condition("Progressing", True, "NewReplicaSetAvailable", message)
    fields = ("updatedReplicas", "readyReplicas", "availableReplicas")
    moved = any(status.get(field, 0) > before.get(field, 0) for field in fields)
    finished_before = current is not None and current["reason"] == "NewReplicaSetAvailable"
    if current is None or moved or (finished_before and name not in current.get("message", "")):
        message = f'ReplicaSet "{name}" is progressing.'
        # The condition's update time is the start of the deadline: it must move with every step.
        return condition("Progressing", True, "ReplicaSetUpdated", message, lastUpdateTime=timestamp(now))
    deadline = deployment["spec"].get("progressDeadlineSeconds", 600)
    since = parse_timestamp(current.get("lastUpdateTime") or timestamp(now))
    if not finished_before and (now - since).total_seconds() > deadline:
        message = f'ReplicaSet "{name}" has timed out progressing.'
        return condition("Progressing", False, "ProgressDeadlineExceeded", message)
    return None


class DeploymentController:
    """Rolls Deployments out."""

    name = "deployment-controller"

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._deployments = manager.informer("apps/v1", "Deployment")
        self._sets = manager.informer("apps/v1", "ReplicaSet")
        self._pods = manager.informer("v1", "Pod")
        self._events = EventRecorder(manager.client, self.name)
        manager.register(self, {self._deployments: own_key, self._sets: owner_keys("Deployment", "apps")})

    async def reconcile(self, key: Key) -> float | None:
        deployment = self._deployments.get(key[1], key[0])
        if deployment is None or "deletionTimestamp" in deployment["metadata"]:
            return None
        owned = [one for one in self._sets.list(key[0]) if is_controlled_by(one, deployment)]
        new = self._current(deployment, owned)
        old = [one for one in owned if one is not new]
        is_paused = deployment["spec"].get("paused", False)
        if new is None and not is_paused and not self._must_wait(deployment, old):
            new = await self._create(deployment, owned)
        changed = await self._step(deployment, new, old) if not is_paused or not old else []
        by_name = {one["metadata"]["name"]: one for one in changed}
        new = by_name.get(new["metadata"]["name"], new) if new else None
        old = [by_name.get(one["metadata"]["name"], one) for one in old]
        status = await self._write_status(deployment, new, old)
        if is_complete(deployment, status):
            await self._forget(deployment, old)
            return None
        waits = self._must_wait(deployment, old)
        return _LOOK_AGAIN_SECONDS if waits else float(deployment["spec"].get("progressDeadlineSeconds", 600)) + 1

    @staticmethod
    def _current(deployment: Object, owned: Sequence[Object]) -> Object | None:
        same = [one for one in owned if has_template(one, deployment["spec"]["template"])]
        return min(same, key=lambda one: str(one["metadata"]["creationTimestamp"]), default=None)

    def _must_wait(self, deployment: Object, old: Sequence[Object]) -> bool:
        """Whether Recreate still waits for old pods to go."""
        return _recreates(deployment) and (any(map(replicas, old)) or bool(self._pods_of(old)))

    def _pods_of(self, sets: Sequence[Object]) -> int:
        namespace = sets[0]["metadata"]["namespace"] if sets else ""
        return sum(any(is_controlled_by(pod, one) for one in sets) for pod in self._pods.list(namespace)) if sets else 0

    async def _create(self, deployment: Object, owned: Sequence[Object]) -> Object:
        template = deepcopy(deployment["spec"]["template"])
        digest = template_hash(template)
        labels = {**(template.get("metadata") or {}).get("labels", {}), HASH_LABEL: digest}
        template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
        selector = deepcopy(deployment["spec"]["selector"])
        selector["matchLabels"] = {**selector.get("matchLabels", {}), HASH_LABEL: digest}
        revision = str(max(map(revision_of, owned), default=0) + 1)
        name = f"{deployment['metadata']['name']}-{digest}"
        size = 0 if owned else deployment["spec"].get("replicas", 1)
        made: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": deployment["metadata"]["namespace"],
                "labels": labels,
                "annotations": {REVISION: revision},
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": size, "selector": selector, "template": template},
        }
        if seconds := deployment["spec"].get("minReadySeconds"):
            made["spec"]["minReadySeconds"] = seconds
        try:
            made = await self._client.create(made)
        except AlreadyExistsError:
            return await self._client.get(
                await self._client.resource("apps/v1", "ReplicaSet"), name, deployment["metadata"]["namespace"]
            )
        self._sets.note(made)
        if size:
            await self._say_scaled(deployment, name, 0, size)
        return made

    async def _step(self, deployment: Object, new: Object | None, old: Sequence[Object]) -> list[Object]:
        wanted = deployment["spec"].get("replicas", 1)
        if _recreates(deployment):
            sizes = recreate_step(wanted, new, old, self._pods_of(old))
        else:
            sizes = rolling_step(wanted, Bounds.of(deployment), new, old) if new else {}
        changed = []
        for one in [*([new] if new else []), *old]:
            name = one["metadata"]["name"]
            if name in sizes:
                resource = await self._client.resource("apps/v1", "ReplicaSet")
                scaled = await self._client.patch(
                    resource, name, one["metadata"]["namespace"], {"spec": {"replicas": sizes[name]}}
                )
                self._sets.note(scaled)
                changed.append({"apiVersion": "apps/v1", "kind": "ReplicaSet", **scaled})
                await self._say_scaled(deployment, name, replicas(one), sizes[name])
        return changed

    async def _say_scaled(self, deployment: Object, name: str, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        await self._events.normal(deployment, "ScalingReplicaSet", message)

    async def _write_status(self, deployment: Object, new: Object | None, old: Sequence[Object]) -> Object:
        if new is not None and revision_of(deployment) != revision_of(new):
            deployment = await self._note_revision(deployment, new, old)
        status = deployment_status(deployment, new, old, datetime.now(UTC))
        if status != deployment.get("status"):
            try:
                self._deployments.note(await self._client.replace_status({**deployment, "status": status}))
            except NotFoundError:
                return status
        return status

    async def _note_revision(self, deployment: Object, new: Object, old: Sequence[Object]) -> Object:
        """A template that comes back (rollout undo) gets the newest revision number."""
        resource = await self._client.resource("apps/v1", "ReplicaSet")
        namespace, revision = deployment["metadata"]["namespace"], revision_of(new)
        newest = max(map(revision_of, old), default=0)
        if revision <= newest:
            revision = newest + 1
            change = {"metadata": {"annotations": {REVISION: str(revision)}}}
            self._sets.note(await self._client.patch(resource, new["metadata"]["name"], namespace, change))
        change = {"metadata": {"annotations": {REVISION: str(revision)}}}
        resource = await self._client.resource("apps/v1", "Deployment")
        noted = await self._client.patch(resource, deployment["metadata"]["name"], namespace, change)
        self._deployments.note(noted)
        return {"apiVersion": "apps/v1", "kind": "Deployment", **noted}

    async def _forget(self, deployment: Object, old: Sequence[Object]) -> None:
        """Delete the oldest of the ReplicaSets that are only kept to go back to."""
        kept = deployment["spec"].get("revisionHistoryLimit", 10)
        idle = sorted((one for one in old if not replicas(one) and not available(one)), key=revision_of)
        resource = await self._client.resource("apps/v1", "ReplicaSet")
        for one in idle[: max(0, len(idle) - kept)]:
            try:
                await self._client.delete(resource, one["metadata"]["name"], one["metadata"]["namespace"])
            except NotFoundError:
                continue


def _recreates(deployment: Object) -> bool:
    return bool((deployment["spec"].get("strategy") or {}).get("type") == "Recreate")
