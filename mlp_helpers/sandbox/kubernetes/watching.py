"""Watches: a stream of what happens to the objects of a kind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from mlp_helpers.sandbox.kubernetes.errors import ApiError, expired, internal, too_large_version
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.lists import check_version_options, parse_number
from mlp_helpers.sandbox.kubernetes.queries import parse_selectors
from mlp_helpers.sandbox.kubernetes.store import Change, Store, encode
from mlp_helpers.sandbox.kubernetes.versions import to_request

__all__ = ["Show", "Watch"]

Object = dict[str, Any]
Show = Callable[[Object], Object]  # the form in which a client wants objects: itself, its metadata, a table

BOOKMARK_SECONDS = 60.0
MINIMUM_SECONDS = 1800


class Watch:
    """One client's watch.

    Args:
        store: What is watched.
        kind: Of the objects.
        namespace: Empty for all.
        query: The options of the request.
        show: Makes an object what the client wants to see, or None for the object itself.

    Raises:
        ApiError: Options that cannot be read.
    """

    def __init__(
        self, store: Store, kind: Kind, namespace: str, query: Mapping[str, str], *, show: Show | None = None
    ) -> None:
        check_version_options(query, watch=True)
        self._store, self._kind, self._namespace, self._show = store, kind, namespace, show
        self._matches = parse_selectors(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        self._version = _version(query.get("resourceVersion", ""))
        self._initial = query.get("sendInitialEvents") in ("true", "1")
        self._bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        seconds = parse_number(query.get("timeoutSeconds", ""))
        self._seconds = seconds or MINIMUM_SECONDS * (1 + random.random())
        self._plain = show is None and kind.storage_version in ("", kind.version) and kind.group != "events.k8s.io"

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Encoded events, until the time is over."""
        with self._store.watch(self._kind.storage_key) as queue:
            seen = self._store.version
            try:
                for change in self._backlog():
                    if line := self._line(change):
                        yield line
            except ApiError as error:
                yield encode({"type": "ERROR", "object": error.status}) + b"\n"
                return
            if self._initial:
                yield self._bookmark(seen, {"k8s.io/initial-events-end": "true"})
            async for line in self._live(queue, seen):
                yield line

    async def _live(self, queue: asyncio.Queue[Change], seen: int) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        end, bookmark = clock() + self._seconds, clock() + BOOKMARK_SECONDS
        while (left := end - clock()) > 0:
            try:
                wait = min(left, bookmark - clock()) if self._bookmarks else left
                change = await asyncio.wait_for(queue.get(), max(wait, 0))
            except TimeoutError:
                if self._bookmarks and clock() >= bookmark:
                    # The store's version is safe to resume from: every change up to it is in no queue any more.
                    yield self._bookmark(self._store.version, {})
                    bookmark = clock() + BOOKMARK_SECONDS
                continue
            if change.version > seen and (line := self._line(change)):
                yield line

    def _backlog(self) -> Sequence[Change]:
        """What the client must hear first: all objects, or the changes since its version."""
        if self._initial or self._version == 0:
            things = self._store.list(self._kind.storage_key, self._namespace)
            return [Change("ADDED", thing) for thing in things]
        if self._version < self._store.oldest_version():
            raise expired(f"too old resource version: {self._version} ({self._store.oldest_version()})")
        if self._version > self._store.version:
            raise too_large_version(self._version, self._store.version)
        return self._store.changes_since(self._kind.storage_key, self._version)

    def _line(self, change: Change) -> bytes | None:
        """The event of a change for this client; None if it does not concern it."""
        metadata = change.object["metadata"]
        if self._namespace and metadata.get("namespace") != self._namespace:
            return None
        if self._matches is None:
            return self._encoded(change.type, change)
        shown = self._matches(change.object)
        was = change.previous is not None and self._matches(change.previous)
        if not shown and not was:
            return None
        if shown and change.type != "MODIFIED":
            return self._encoded(change.type, change)
        if shown:
            return self._encoded("MODIFIED" if was else "ADDED", change)
        # What leaves the selection is deleted for this client: as it was, but with the version of the change.
        before: Object = dict(change.previous or {})
        before["metadata"] = {**before["metadata"], "resourceVersion": metadata["resourceVersion"]}
        return self._encoded("DELETED", Change("DELETED", before))

    def _encoded(self, sort: str, change: Change) -> bytes:
        if self._plain:
            return b'{"type":"' + sort.encode() + b'","object":' + change.encoded + b"}\n"
        thing = to_request(self._kind, change.object)
        return encode({"type": sort, "object": self._show(thing) if self._show else thing}) + b"\n"

    def _bookmark(self, version: int, annotations: Mapping[str, str]) -> bytes:
        metadata: Object = {"resourceVersion": str(version)}
        if annotations:
            metadata["annotations"] = dict(annotations)
        thing: Object = {"kind": self._kind.name, "apiVersion": self._kind.api_version, "metadata": metadata}
        if self._show:
            thing = self._show(thing)
        return encode({"type": "BOOKMARK", "object": thing}) + b"\n"


def _version(text: str) -> int:
    try:
        return int(text or 0)
    except ValueError as error:
        why = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise internal(f"resourceVersion: {why}") from error
