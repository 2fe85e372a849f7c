"""The loop of every controller: changes become keys, and each key is reconciled until the world is as it should be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import aiohttp

from mlp_helpers.sandbox.controllers.client import ApiError, Client, ConflictError, Object
from mlp_helpers.sandbox.controllers.informer import Informer, Key, key_of

__all__ = ["Controller", "Informer", "Key", "KeyFunction", "Manager", "key_of", "own_key", "owner_keys"]

KeyFunction = Callable[[Object], Iterable[Key]]

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 30.0
_AT_ONCE = 4


class Controller(Protocol):
    """What the loop runs."""

    name: str

    async def reconcile(self, key: Key) -> float | None:
        """Look at one object (it may be gone) and do what is needed; idempotent.

        Returns:
            Seconds after which to look again, or None to wait for a change.
        """


def own_key(obj: Object) -> Iterable[Key]:
    """The object itself."""
    return [key_of(obj)]


def owner_keys(kind: str, group: str = "") -> KeyFunction:
    """The controlling owner of a kind, for watches on what a controller makes."""

    def keys(obj: Object) -> Iterable[Key]:
        for owner in obj["metadata"].get("ownerReferences") or ():
            is_kind = owner["kind"] == kind and owner["apiVersion"].rpartition("/")[0] == group
            if owner.get("controller") and is_kind:
                yield obj["metadata"].get("namespace", ""), owner["name"]

    return keys


class _Queue:
    """The keys of one controller: each waits once at most and is never reconciled twice at the same time."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.log = logging.getLogger(f"sandbox.{controller.name}")
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def add(self, key: Key) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._running:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, seconds: float, key: Key) -> None:
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is None or timer.when() > loop.time() + seconds:
            if timer is not None:
                timer.cancel()
            self._timers[key] = loop.call_later(seconds, self.add, key)

    async def work(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._running.add(key)
            try:
                pause = await self._reconcile(key)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif pause is not None:
                self.add_after(pause, key)

    async def _reconcile(self, key: Key) -> float | None:
        try:
            pause = await self.controller.reconcile(key)
        except ConflictError as error:
            # Somebody was faster: what they wrote is on its way to us.
            self.log.debug("%s: %s", "/".join(key), error)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            self.log.warning("%s: %s", "/".join(key), error or repr(error))
        except Exception:
            self.log.exception("%s: reconciling failed", "/".join(key))
        else:
            self._failures.pop(key, None)
            return pause
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return min(_FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20), _LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


class Manager:
    """Shares one informer per kind among controllers and runs them all.

    Args:
        client: The identity that the controllers act as.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._informers: dict[tuple[str, ...], Informer] = {}
        self._queues: dict[str, _Queue] = {}
        self._needs: dict[str, list[Informer]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def informer(
        self, api_version: str, kind: str, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Informer:
        """The shared informer of a kind; follows the server once the manager runs."""
        key = (api_version, kind, namespace, label_selector, field_selector)
        if key not in self._informers:
            self._informers[key] = Informer(
                self.client,
                api_version,
                kind,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
            )
            if self._tasks is not None:
                self._tasks.create_task(self._informers[key].run())
        return self._informers[key]

    def register(self, controller: Controller, watches: Mapping[Informer, KeyFunction]) -> None:
        """Reconcile the keys that a change of a watched object points to.

        A controller starts when all informers it watches have listed; one whose kind is not served yet waits for it.
        Both the object as it was and as it is are asked for keys, so that one that changes owner wakes both.
        """
        queue = self._queues[controller.name] = _Queue(controller)
        self._needs[controller.name] = list(watches)
        for informer, keys in watches.items():
            informer.listen(_listener(queue, keys))
        if self._tasks is not None:
            self._tasks.create_task(self._serve(queue, list(watches)))

    def enqueue(self, controller: Controller, key: Key, *, after_seconds: float = 0.0) -> None:
        """Have a key looked at, now or later."""
        queue = self._queues[controller.name]
        if after_seconds:
            queue.add_after(after_seconds, key)
        else:
            queue.add(key)

    async def run(self) -> None:
        """Run informers and controllers until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for informer in list(self._informers.values()):
                    tasks.create_task(informer.run())
                for name, queue in list(self._queues.items()):
                    tasks.create_task(self._serve(queue, self._needs[name]))
                await asyncio.Event().wait()
        finally:
            self._tasks = None
            for queue in self._queues.values():
                queue.close()

    async def _serve(self, queue: _Queue, needs: list[Informer]) -> None:
        for informer in needs:
            await informer.synced.wait()
        async with asyncio.TaskGroup() as workers:
            for _ in range(_AT_ONCE):
                workers.create_task(queue.work())


def _listener(queue: _Queue, keys: KeyFunction) -> Callable[[Object | None, Object | None], None]:
    def listener(before: Object | None, after: Object | None) -> None:
        for obj in (before, after):
            if obj is not None:
                for key in keys(obj):
                    queue.add(key)

    return listener
