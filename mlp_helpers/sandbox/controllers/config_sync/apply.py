"""Writes to the cluster for one sync: apply, release, prune. What to do is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from mlp_helpers.sandbox.controllers.client import (
    ApiError,
    Client,
    ConflictError,
    NotFoundError,
    Object,
    Resource,
    UnknownKindError,
)
from mlp_helpers.sandbox.controllers.config_sync.checks import dependencies, ignores_mutation, is_detached
from mlp_helpers.sandbox.controllers.config_sync.decide import (
    Claim,
    Origin,
    claim,
    conflict,
    contains,
    decorated,
    manager_of,
    released,
)
from mlp_helpers.sandbox.controllers.config_sync.names import FIELD_MANAGER, ObjectId, annotations_of
from mlp_helpers.sandbox.controllers.config_sync.parse import Declared
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError, Subject


class Applier:
    """Applies and removes objects under the reconciler's own account, so its access rights count."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._resources: dict[tuple[str, str], Resource] = {}

    async def apply(self, one: Declared, origin: Origin) -> Object:
        """Make the cluster's object as declared.

        Returns:
            The object as it is now.

        Raises:
            ProblemsError: KNV1060 if another sync manages it, KNV2009 if the server refuses.
        """
        try:
            live = await self.live(one)
            if live is not None and claim(live, origin.sync) is Claim.CONFLICT:
                raise ProblemsError([conflict(one, live, origin.sync)])
            wanted = decorated(one, origin)
            if live is None or not ignores_mutation(one):
                return await self._client.apply(wanted, manager=FIELD_MANAGER, force=True)
            if contains(live, {"metadata": wanted["metadata"]}):
                return live
            patch = {"metadata": {key: wanted["metadata"][key] for key in ("annotations", "labels")}}
            return await self._client.patch(await self._client.resource_of(live), one.id.name, one.id.namespace, patch)
        except (ApiError, UnknownKindError) as error:
            raise ProblemsError([Problem(2009, f"failed to apply {one.id}: {error}", (one.subject,))]) from error

    async def live(self, one: Declared) -> Object | None:
        """The cluster's object for a declared one, or None."""
        resource = await self._client.resource_of(one.obj)
        return await self._get(resource, one.id)

    async def find(self, object_id: ObjectId) -> tuple[Resource, Object] | None:
        """The resource and object of an inventory entry; None if the object, or its whole kind, is gone."""
        resource = await self._resource_for(object_id)
        live = await self._get(resource, object_id) if resource else None
        return (resource, live) if resource and live is not None else None

    async def is_managed(self, object_id: ObjectId, origin: Origin) -> bool:
        """Whether an object is (still) there and this sync's own."""
        found = await self.find(object_id)
        return found is not None and manager_of(found[1]) == origin.sync.manager

    async def needs(self, object_id: ObjectId) -> list[ObjectId]:
        """What a live object says that it depends on; nothing if it is gone or says it wrongly."""
        found = await self.find(object_id)
        try:
            return dependencies(found[1]) if found else []
        except ValueError:
            return []

    async def release(self, object_id: ObjectId, origin: Origin) -> None:
        """Let go of an object: it stays, without Config Sync's metadata."""
        found = await self.find(object_id)
        if found and manager_of(found[1]) == origin.sync.manager:
            resource, live = found
            await self._client.patch(resource, object_id.name, object_id.namespace, released(live))

    async def prune(self, object_id: ObjectId, origin: Origin) -> None:
        """Delete an object that is no longer declared, unless it is detached or somebody else's by now.

        Raises:
            ProblemsError: KNV2009 if the server refuses.
        """
        try:
            found = await self.find(object_id)
            if found is None or claim(found[1], origin.sync) is not Claim.OURS:
                return
            resource, live = found
            if is_detached(annotations_of(live)):
                await self.release(object_id, origin)
            elif not live["metadata"].get("deletionTimestamp"):
                await self._client.delete(
                    resource, object_id.name, object_id.namespace, propagation="Background", uid=live["metadata"]["uid"]
                )
        except (NotFoundError, ConflictError):
            # Gone, or replaced by a newer object of the same name that is not ours.
            return
        except ApiError as error:
            raise ProblemsError(
                [Problem(2009, f"failed to prune {object_id}: {error}", (Subject(object_id),))]
            ) from error

    async def _get(self, resource: Resource, object_id: ObjectId) -> Object | None:
        try:
            live = await self._client.get(resource, object_id.name, object_id.namespace)
        except NotFoundError:
            return None
        return _complete(live, resource)

    async def _resource_for(self, object_id: ObjectId) -> Resource | None:
        """Any served version of a kind: an inventory does not remember versions."""
        key = (object_id.group, object_id.kind)
        if key not in self._resources:
            served = await self._client.all_resources(verbs=("get", "delete"))
            self._resources.update({(resource.group, resource.kind): resource for resource in served})
        return self._resources.get(key)


def _complete(live: Mapping[str, object], resource: Resource) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **live}
