"""A local copy of the objects of one kind, kept true by list and watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence

import aiohttp

from mlp_helpers.sandbox.controllers.client import ApiError, Client, ExpiredError, Object, Resource, UnknownKindError

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name."""

Listener = Callable[[Object | None, Object | None], None]
"""Told the object as it was and as it is; None for "not there"."""

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_UNKNOWN_KIND_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


def key_of(obj: Object) -> Key:
    """Namespace and name of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Informer:
    """The objects of one kind, optionally of one namespace or selection. Treat what it returns as read-only.

    It waits for kinds that are not served yet, goes on after the API server restarted, and lists again when the server
    has forgotten the version it watched from.
    """

    def __init__(
        self,
        client: Client,
        api_version: str,
        kind: str,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self.api_version, self.kind = api_version, kind
        self.synced = asyncio.Event()
        self._client, self._namespace = client, namespace
        self._labels, self._fields = label_selector, field_selector
        self._objects: dict[str, dict[str, Object]] = {}
        self._listeners: list[Listener] = []
        self._version = 0

    def listen(self, listener: Listener) -> None:
        """Call the listener on each change from now on."""
        self._listeners.append(listener)

    def get(self, name: str, namespace: str = "") -> Object | None:
        """The object as last seen, or None."""
        return self._objects.get(namespace, {}).get(name)

    def list(self, namespace: str | None = None) -> list[Object]:
        """The objects of one namespace, or all."""
        if namespace is not None:
            return list(self._objects.get(namespace, {}).values())
        return list(self._all())

    def _all(self) -> Iterator[Object]:
        for objects in self._objects.values():
            yield from objects.values()

    def note(self, obj: Object) -> None:
        """Take in what a write of our own returned, so that the next look does not miss it.

        An answer that is older than the watch is already known, and perhaps already gone again.
        """
        version = int(obj["metadata"]["resourceVersion"])
        known = self.get(obj["metadata"]["name"], obj["metadata"].get("namespace", ""))
        if version > self._version and (known is None or version > int(known["metadata"]["resourceVersion"])):
            self._put({"apiVersion": self.api_version, "kind": self.kind, **obj})

    async def run(self) -> None:
        """Follow the server until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        version = ""
        while True:
            try:
                resource = await self._client.resource(self.api_version, self.kind)
                if not version:
                    version = await self._relist(resource)
                version = await self._follow(resource, version)
                pause = _FIRST_PAUSE_SECONDS
            except UnknownKindError:
                self._replace([])
                await asyncio.sleep(_UNKNOWN_KIND_PAUSE_SECONDS)
            except ExpiredError:
                version = ""
            except ApiError as error:
                _log.debug("%s %s: %s", self.api_version, self.kind, error)
                version = ""
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                # The server is away; its changes since the last version are still there when it comes back.
                _log.debug("%s %s: %r", self.api_version, self.kind, error)
                version = str(self._version) if version else ""
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _relist(self, resource: Resource) -> str:
        items, version = await self._client.list(
            resource, self._namespace, label_selector=self._labels, field_selector=self._fields
        )
        self._version = int(version)
        self._replace(items)
        self.synced.set()
        return version

    async def _follow(self, resource: Resource, version: str) -> str:
        changes = self._client.watch(
            resource,
            self._namespace,
            resource_version=version,
            label_selector=self._labels,
            field_selector=self._fields,
        )
        async for change, obj in changes:
            version = obj["metadata"]["resourceVersion"]
            self._version = int(version)
            if change == "DELETED":
                self._remove(obj)
            elif change != "BOOKMARK":
                self._put(obj)
        return version

    def _replace(self, items: Sequence[Object]) -> None:
        fresh = {key_of(item) for item in items}
        for obj in list(self._all()):
            if key_of(obj) not in fresh:
                self._remove(obj)
        for item in items:
            self._put(item)

    def _put(self, obj: Object) -> None:
        namespace, name = key_of(obj)
        before = self.get(name, namespace)
        if before is not None and before["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]:
            return
        self._objects.setdefault(namespace, {})[name] = obj
        self._tell(before, obj)

    def _remove(self, obj: Object) -> None:
        namespace, name = key_of(obj)
        before = self._objects.get(namespace, {}).pop(name, None)
        self._tell(before or obj, None)

    def _tell(self, before: Object | None, after: Object | None) -> None:
        for listener in self._listeners:
            listener(before, after)
