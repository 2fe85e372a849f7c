"""Operations: work that goes on after a call has been answered, and over a kill of the sandbox.

An operation is written down together with what it is to do. When the sandbox starts again, the unfinished ones begin
anew; so the work of an operation must bear being done twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.errors import GoogleError

Json = dict[str, Any]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Operation:
    """One operation.

    Args:
        name: Name within its service; later operations sort after earlier ones.
        scope: What it belongs to, such as `projects/P/locations/L`.
        kind: What it does, in the service's term.
        target: Resource that it works on.
        arguments: What the work needs to know.
        started: Seconds since 1970.
        ended: The same; None while it runs.
        response: Result of one that succeeded.
        error: `{"status", "message"}` of one that failed.
    """

    name: str
    scope: str
    kind: str
    target: str
    arguments: Json = field(default_factory=dict)
    started: float = 0.0
    ended: float | None = None
    response: Json = field(default_factory=dict)
    error: Json = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.ended is not None


Finish = Callable[[], Json | None]
"""The change of the store with which an operation ends; returns the operation's response."""

Work = Callable[[Operation], Awaitable[Finish]]
Fail = Callable[[Operation, GoogleError], None]


def no_change() -> None:
    """The end of an operation that leaves no trace."""


def ignore_failure(operation: Operation, error: GoogleError) -> None:
    """The failure of an operation whose resource has no state of its own."""


class Operations:
    """The operations of one service.

    Args:
        documents: Where they are kept.
        service: Name of the collection.
        seconds: How long an operation runs at least.
        new_name: Makes a name like the service's own.
        work: Does the work and returns the change that ends it.
        fail: Marks the resource of an operation that failed.
    """

    def __init__(
        self,
        documents: Documents,
        *,
        service: str,
        seconds: float,
        new_name: Callable[[], str],
        work: Work,
        fail: Fail = ignore_failure,
    ) -> None:
        self._documents, self._collection, self._seconds = documents, f"operations-{service}", seconds
        self._new_name, self._work, self._fail = new_name, work, fail
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, kind: str, *, scope: str, target: str, arguments: Mapping[str, Any] | None = None) -> Operation:
        """Write an operation down and set it going; call it within the transaction of the change that it belongs to."""
        operation = Operation(
            self._new_name(), scope, kind, target, arguments=dict(arguments or {}), started=time.time()
        )
        self._write(operation)
        self._start(operation)
        return operation

    def done(self, kind: str, *, scope: str, target: str, response: Json | None = None) -> Operation:
        """An operation that has nothing to wait for."""
        now = time.time()
        operation = Operation(self._new_name(), scope, kind, target, started=now, ended=now, response=response or {})
        self._write(operation)
        return operation

    def get(self, name: str) -> Operation | None:
        """An operation by name."""
        body = self._documents.get(self._collection, name)
        return Operation(**body) if body else None

    def all(self) -> list[Operation]:
        """All operations, old ones as well, as they began."""
        operations = [Operation(**body) for _, body in self._documents.list(self._collection)]
        return sorted(operations, key=lambda operation: operation.started)

    async def wait(self, name: str, timeout_seconds: float) -> Operation | None:
        """An operation when it has ended, or as it is at the deadline."""
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait([task], timeout=timeout_seconds)
        return self.get(name)

    def resume(self) -> None:
        """Go on with what a stop or a kill broke off."""
        for operation in self.all():
            if not operation.is_done:
                self._start(operation)

    async def stop(self) -> None:
        """Break off; `resume` goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _write(self, operation: Operation) -> None:
        self._documents.put(self._collection, operation.name, asdict(operation))

    def _start(self, operation: Operation) -> None:
        task = asyncio.get_running_loop().create_task(self._run(operation))
        self._tasks[operation.name] = task
        task.add_done_callback(lambda _: self._tasks.pop(operation.name, None))

    async def _run(self, operation: Operation) -> None:
        try:
            finish = await self._work(operation)
            await asyncio.sleep(max(0.0, operation.started + self._seconds - time.time()))
            with self._documents.transaction():
                response = finish() or {}
                self._write(replace(operation, ended=time.time(), response=response))
        except GoogleError as error:
            self._end_badly(operation, error)
        except Exception as error:
            _log.exception("%s %s failed", operation.kind, operation.target)
            self._end_badly(operation, GoogleError("INTERNAL", str(error) or type(error).__name__))

    def _end_badly(self, operation: Operation, error: GoogleError) -> None:
        with self._documents.transaction():
            self._fail(operation, error)
            problem = {"status": error.status, "message": error.message}
            self._write(replace(operation, ended=time.time(), error=problem))


def long_running(operation: Operation, *, name: str, metadata: Json, response_type: str = "") -> Json:
    """An operation as the newer APIs show it (`google.longrunning.Operation`)."""
    shown: Json = {"name": name, "metadata": metadata, "done": operation.is_done}
    if operation.error:
        code = _RPC_CODES.get(operation.error["status"], 2)
        shown["error"] = {"code": code, "message": operation.error["message"]}
    elif operation.is_done:
        shown["response"] = {"@type": f"type.googleapis.com/{response_type or _EMPTY}", **operation.response}
    return shown


_EMPTY = "google.protobuf.Empty"
_RPC_CODES = {"INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7}
_RPC_CODES |= {"RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "ABORTED": 10, "INTERNAL": 13, "UNAVAILABLE": 14}


def moment(seconds: float) -> str:
    """A moment as the newer APIs write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1e6) % 1_000_000:06d}Z"
