"""Garbage collection: what is owned goes with its owners, in the background, in the foreground, or is orphaned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mlp_helpers.sandbox.controllers.client import NotFoundError, Object, UnknownKindError
from mlp_helpers.sandbox.controllers.informer import Informer, key_of
from mlp_helpers.sandbox.controllers.loop import Key, Manager

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

_KINDS = ("", "kinds")  # the key under which the served kinds are looked at
_KINDS_SECONDS = 30.0
_UNKNOWN_OWNER_SECONDS = 5.0


@dataclass(frozen=True)
class Owners:
    """The owners of an object, by what is known of them."""

    solid: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    """Being deleted in the foreground: they wait for this object."""
    dangling: tuple[str, ...] = ()


def owner_uids(obj: Mapping[str, Any]) -> list[str]:
    """The uids of an object's owners."""
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()]


def deletion_of(owners: Owners, finalizers: list[str], has_dependents: bool) -> str | None:
    """How an owned object must go now, as a propagation policy; None if it stays."""
    if owners.solid or not (owners.waiting or owners.dangling):
        return None
    if owners.waiting and has_dependents:
        return "Foreground"
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"


class GarbageCollector:
    """Follows every kind that is served and can be deleted."""

    name = "garbage-collector"

    def __init__(self, manager: Manager) -> None:
        self._manager, self._client = manager, manager.client
        self._informers: dict[tuple[str, str], Informer] = {}
        self._objects: dict[str, tuple[Informer, Key]] = {}
        self._dependents: defaultdict[str, set[str]] = defaultdict(set)
        definitions = manager.informer("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        manager.register(self, {definitions: lambda _: [_KINDS]})
        manager.enqueue(self, _KINDS)

    async def reconcile(self, key: Key) -> float | None:
        if key == _KINDS:
            return await self._follow_kinds()
        uid = key[1]
        obj = self._find(uid)
        if obj is None:
            return None
        finalizers = obj["metadata"].get("finalizers") or []
        if "deletionTimestamp" in obj["metadata"]:
            if ORPHAN in finalizers:
                await self._orphan(obj)
            elif FOREGROUND in finalizers:
                await self._delete_dependents(obj)
            return None
        return await self._judge(obj) if owner_uids(obj) else None

    async def _follow_kinds(self) -> float:
        for resource in await self._client.all_resources():
            kind = (resource.api_version, resource.kind)
            if kind not in self._informers and resource.kind != "Event":
                informer = self._informers[kind] = self._manager.informer(*kind)
                for obj in informer.list():
                    self._changed(informer, None, obj)
                informer.listen(partial(self._changed, informer))
        return _KINDS_SECONDS

    def _changed(self, informer: Informer, before: Object | None, after: Object | None) -> None:
        if before is not None:
            uid = before["metadata"]["uid"]
            replaced = after is not None and after["metadata"]["uid"] != uid
            for owner in owner_uids(before):
                self._dependents[owner].discard(uid)
                if after is None or replaced:
                    self._enqueue(owner)  # it may have waited for this one
            if after is None or replaced:
                self._objects.pop(uid, None)
                for dependent in self._dependents.pop(uid, set()):
                    self._enqueue(dependent)
        if after is not None:
            uid = after["metadata"]["uid"]
            self._objects[uid] = (informer, key_of(after))
            for owner in owner_uids(after):
                self._dependents[owner].add(uid)
            if owner_uids(after) or "deletionTimestamp" in after["metadata"]:
                self._enqueue(uid)

    def _enqueue(self, uid: str) -> None:
        self._manager.enqueue(self, ("", uid))

    def _find(self, uid: str) -> Object | None:
        if uid not in self._objects:
            return None
        informer, (namespace, name) = self._objects[uid]
        return informer.get(name, namespace)

    async def _judge(self, obj: Object) -> float | None:
        """Delete an object that has lost all its owners; drop the references to those that are gone."""
        try:
            owners = await self._owners(obj)
        except UnknownKindError:
            return _UNKNOWN_OWNER_SECONDS  # its definition may come back: no reason to delete anything
        metadata = obj["metadata"]
        has_dependents = bool(self._dependents.get(metadata["uid"]))
        propagation = deletion_of(owners, metadata.get("finalizers") or [], has_dependents)
        resource = await self._client.resource_of(obj)
        namespace, name = key_of(obj)
        try:
            if propagation:
                await self._client.delete(resource, name, namespace, propagation=propagation, uid=metadata["uid"])
            elif owners.dangling or (owners.waiting and owners.solid):
                await self._release(obj, {*owners.dangling, *owners.waiting})
        except NotFoundError:
            return None
        return None

    async def _owners(self, obj: Object) -> Owners:
        solid, waiting, dangling = [], [], []
        for reference in obj["metadata"]["ownerReferences"]:
            uid = reference["uid"]
            owner = self._find(uid) or await self._look_up(reference, obj["metadata"].get("namespace", ""))
            if owner is None:
                dangling.append(uid)
            elif "deletionTimestamp" in owner["metadata"] and FOREGROUND in (owner["metadata"].get("finalizers") or []):
                waiting.append(uid)
            else:
                solid.append(uid)
        return Owners(tuple(solid), tuple(waiting), tuple(dangling))

    async def _look_up(self, reference: Mapping[str, Any], namespace: str) -> Object | None:
        """The owner as the server has it: what is not seen yet must not count as gone."""
        resource = await self._client.resource(reference["apiVersion"], reference["kind"])
        try:
            owner = await self._client.get(resource, reference["name"], namespace if resource.namespaced else "")
        except NotFoundError:
            return None
        return owner if owner["metadata"]["uid"] == reference["uid"] else None

    async def _orphan(self, owner: Object) -> None:
        uid = owner["metadata"]["uid"]
        for dependent in self._dependents_of(owner):
            await self._release(dependent, {uid})
        await self._remove_finalizer(owner, ORPHAN)

    async def _delete_dependents(self, owner: Object) -> None:
        """Delete what is owned; the owner goes when nothing that blocks it is left."""
        uid, blocked = owner["metadata"]["uid"], False
        for dependent in self._dependents_of(owner):
            references = dependent["metadata"].get("ownerReferences") or ()
            blocked |= any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in references)
            if "deletionTimestamp" not in dependent["metadata"]:
                self._enqueue(dependent["metadata"]["uid"])
        if not blocked:
            await self._remove_finalizer(owner, FOREGROUND)

    def _dependents_of(self, owner: Object) -> list[Object]:
        found = (self._find(uid) for uid in sorted(self._dependents.get(owner["metadata"]["uid"], ())))
        return [obj for obj in found if obj is not None]

    async def _release(self, obj: Object, gone: set[str]) -> None:
        kept = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] not in gone]
        await self._patch(obj, {"ownerReferences": kept or None})

    async def _remove_finalizer(self, obj: Object, finalizer: str) -> None:
        kept = [name for name in obj["metadata"].get("finalizers") or () if name != finalizer]
        await self._patch(obj, {"finalizers": kept or None})

    async def _patch(self, obj: Object, metadata: Object) -> None:
        """Change lists of the metadata, only if nobody else changed the object meanwhile."""
        checked = {"uid": obj["metadata"]["uid"], "resourceVersion": obj["metadata"]["resourceVersion"]}
        namespace, name = key_of(obj)
        try:
            await self._client.patch(
                await self._client.resource_of(obj), name, namespace, {"metadata": {**metadata, **checked}}
            )
        except NotFoundError:
            return
