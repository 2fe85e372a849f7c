"""The inventory of a sync: a ResourceGroup that lists what it manages and how each object is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.controllers.client import AlreadyExistsError, Client, NotFoundError, Object, Resource
from mlp_helpers.sandbox.controllers.config_sync.decide import rank
from mlp_helpers.sandbox.controllers.config_sync.health import Health, State
from mlp_helpers.sandbox.controllers.config_sync.names import INVENTORY_API_VERSION, ObjectId, SyncId


@dataclass(frozen=True)
class Actuation:
    """What the last run did, or could not do, with one object."""

    strategy: str
    outcome: str
    message: str = ""


class Inventory:
    """Reads and writes the ResourceGroup of one sync; the same namespace and name as the sync."""

    def __init__(self, client: Client, sync: SyncId) -> None:
        self._client, self._sync = client, sync
        self._written: Object | None = None

    async def load(self) -> set[ObjectId]:
        """What the sync manages, as the cluster remembers it."""
        live = await self._live()
        entries = ((live or {}).get("spec") or {}).get("resources") or []
        return {ObjectId(entry["group"], entry["kind"], entry["namespace"], entry["name"]) for entry in entries}

    async def store(self, ids: Collection[ObjectId]) -> None:
        """Remember what the sync manages; written before objects are made, so that none is forgotten by a crash."""
        resources = [
            {"group": one.group, "kind": one.kind, "namespace": one.namespace, "name": one.name}
            for one in sorted(ids, key=rank)
        ]
        live = await self._live()
        if live is None:
            try:
                await self._client.create(self._new(resources))
            except AlreadyExistsError:
                live = await self._live()
            else:
                return
        if live is not None and (live.get("spec") or {}).get("resources", []) != resources:
            await self._client.replace({**live, "spec": {**(live.get("spec") or {}), "resources": resources}})

    async def store_statuses(
        self, healths: Mapping[ObjectId, Health], actuations: Mapping[ObjectId, Actuation], commit: str
    ) -> None:
        """Say how each managed object is; nothing is written if nothing changed."""
        live = await self._live()
        if live is None:
            return
        entries = (live.get("spec") or {}).get("resources") or []
        statuses = [self._status(entry, healths, actuations, commit) for entry in entries]
        status = {"observedGeneration": live["metadata"].get("generation", 1), "resourceStatuses": statuses}
        if {key: (live.get("status") or {}).get(key) for key in status} != status:
            await self._client.replace_status({**live, "status": {**(live.get("status") or {}), **status}})

    async def remove(self) -> None:
        """Forget everything."""
        try:
            await self._client.delete(await self._resource(), self._sync.name, self._sync.namespace)
        except NotFoundError:
            return

    def _status(
        self,
        entry: Mapping[str, str],
        healths: Mapping[ObjectId, Health],
        actuations: Mapping[ObjectId, Actuation],
        commit: str,
    ) -> dict[str, Any]:
        object_id = ObjectId(entry["group"], entry["kind"], entry["namespace"], entry["name"])
        health = healths.get(object_id, Health(State.UNKNOWN))
        actuation = actuations.get(object_id, Actuation("Apply", "Pending"))
        status: dict[str, Any] = {
            **entry,
            "status": health.state.value,
            "strategy": actuation.strategy,
            "actuation": actuation.outcome,
            "reconcile": _reconcile(health, actuation),
            "sourceHash": commit[:7],
        }
        message = actuation.message or (health.message if health.state is not State.CURRENT else "")
        if message:
            status["conditions"] = [
                {"type": "Message", "status": "True", "reason": status["status"], "message": message}
            ]
        return status

    def _new(self, resources: list[dict[str, str]]) -> Object:
        return {
            "apiVersion": INVENTORY_API_VERSION,
            "kind": "ResourceGroup",
            "metadata": {
                "namespace": self._sync.namespace,
                "name": self._sync.name,
                "labels": {"cli-utils.sigs.k8s.io/inventory-id": self._sync.inventory},
            },
            "spec": {"resources": resources},
        }

    async def _live(self) -> Object | None:
        try:
            return await self._client.get(await self._resource(), self._sync.name, self._sync.namespace)
        except NotFoundError:
            return None

    async def _resource(self) -> Resource:
        return await self._client.resource(INVENTORY_API_VERSION, "ResourceGroup")


def _reconcile(health: Health, actuation: Actuation) -> str:
    if actuation.outcome != "Succeeded":
        return "Skipped" if actuation.outcome in ("Skipped", "Failed") else "Pending"
    wanted = State.NOT_FOUND if actuation.strategy == "Delete" else State.CURRENT
    if health.state is wanted:
        return "Succeeded"
    return "Failed" if health.state is State.FAILED else "Pending"
