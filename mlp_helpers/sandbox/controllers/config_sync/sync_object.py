"""Read and write one RootSync or RepoSync: several parts of Config Sync share its status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlp_helpers.sandbox.controllers.client import Client, ConflictError, NotFoundError, Object
from mlp_helpers.sandbox.controllers.config_sync.names import SYNC_API_VERSION, SyncId

_ATTEMPTS = 8


class SyncObject:
    """The object of one sync in the cluster."""

    def __init__(self, client: Client, sync: SyncId) -> None:
        self._client, self.sync = client, sync

    async def read(self) -> Object | None:
        """The object, or None if it is gone."""
        resource = await self._client.resource(SYNC_API_VERSION, self.sync.kind)
        try:
            return await self._client.get(resource, self.sync.name, self.sync.namespace)
        except NotFoundError:
            return None

    async def update_status(self, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        """Change the status; a change that changes nothing is not written.

        Args:
            change: From the status as it is to the status as it should be; asked again after a conflict.
        """
        await self._update(
            lambda live: _with(live, status=change(live.get("status") or {})), self._client.replace_status
        )

    async def set_finalizer(self, finalizer: str, *, is_present: bool) -> None:
        """Add or remove one finalizer."""

        def change(live: Object) -> Object:
            before = live["metadata"].get("finalizers") or []
            after = [one for one in before if one != finalizer] + ([finalizer] if is_present else [])
            same = (finalizer in before) == is_present
            return live if same else _with(live, metadata={**live["metadata"], "finalizers": after})

        await self._update(change, self._client.replace)

    async def _update(self, change: Callable[[Object], Object], write: Callable[[Object], Any]) -> None:
        for attempt in range(_ATTEMPTS):
            live = await self.read()
            if live is None:
                return
            wanted = change(live)
            if wanted == live:
                return
            try:
                await write(wanted)
            except NotFoundError:
                return
            except ConflictError:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return


def _with(live: Object, **fields: Any) -> Object:
    return {**live, **fields}
