"""The HTTP side: the sandbox's addresses and tokens, one JSON client, and waiting for operations."""

from __future__ import annotations

import http.client
import json
import math
import os
import socket
import threading
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlp_helpers.errors import WaitTimeoutError
from mlp_helpers.sandbox.terraform.errors import (
    ApiError,
    HalfMadeError,
    OperationError,
    ProviderError,
    SandboxDownError,
    StoppedError,
)
from mlp_helpers.waiting import Ready, Waiting, wait_for

Json = dict[str, Any]

ENDPOINTS_VARIABLE = "MLP_SANDBOX_ENDPOINTS"
_CALL_SECONDS = 60.0
# After an interruption most operations end by themselves in this time; only longer ones are left to go on alone.
_GRACE_SECONDS = 10.0


class Client:
    """JSON over HTTP with a bearer token; one kept connection a thread.

    Args:
        url: Where the service is; paths are appended.
        token_file: Read at each call, so that a token made anew is found.
    """

    def __init__(self, url: str, token_file: Path) -> None:
        address = urllib.parse.urlsplit(url)
        self._host, self._port, self._prefix = address.hostname or "", address.port or 80, address.path.rstrip("/")
        self._token_file = token_file
        self._local = threading.local()

    def check(self) -> None:
        """Raise if nobody listens."""
        try:
            socket.create_connection((self._host, self._port), timeout=5).close()
        except OSError as error:
            raise SandboxDownError(f"{self._host}:{self._port}: {error.strerror or error}.") from error

    def token(self) -> str:
        """The bearer token."""
        try:
            return self._token_file.read_text().strip()
        except OSError as error:
            raise SandboxDownError(f"The token file cannot be read: {error}.") from error

    def call(self, method: str, path: str, body: object = None, **params: str) -> Json:
        """Call the service.

        Args:
            method: HTTP method.
            path: Path below the service's address, with its slash; parts must be quoted already.
            body: Sent as JSON.
            **params: The query.

        Raises:
            ApiError: The service refused.
            SandboxDownError: Nobody answers.
        """
        target = f"{self._prefix}{path}" + (f"?{urllib.parse.urlencode(params)}" if params else "")
        headers = {"Authorization": f"Bearer {self.token()}", "Accept": "application/json"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        status, raw = self._exchange(method, target, data, headers)
        try:
            answer = json.loads(raw) if raw else {}
        except ValueError:
            answer = {"message": raw.decode(errors="replace")[:500]}
        if status >= 400:
            raise ApiError(status, _message(answer), call=f"{method} {target}")
        return answer if isinstance(answer, dict) else {"items": answer}

    def find(self, path: str, **params: str) -> Json | None:
        """GET, or None for what is not there."""
        try:
            return self.call("GET", path, **params)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _exchange(self, method: str, target: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        try:
            if kept is not None:
                try:
                    return self._send(kept, method, target, data, headers)
                except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                    pass  # the server closed the idle connection before it saw the call: a new one may try
            self._local.connection = http.client.HTTPConnection(self._host, self._port, timeout=_CALL_SECONDS)
            return self._send(self._local.connection, method, target, data, headers)
        except (http.client.HTTPException, OSError) as error:
            self._local.connection = None
            raise SandboxDownError(f"{method} http://{self._host}:{self._port}{target}: {error}.") from error

    @staticmethod
    def _send(
        connection: http.client.HTTPConnection, method: str, target: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection.request(method, target, data, headers)
        response = connection.getresponse()
        return response.status, response.read()


def _message(answer: Any) -> str:
    """The sentence in an error body: Google's {"error": {"message"}} or GitHub's {"message", "errors"}."""
    if not isinstance(answer, dict):
        return str(answer)
    error = answer.get("error")
    if isinstance(error, dict):
        return str(error.get("message", error))
    if "message" not in answer:
        return str(error or answer)
    details = [
        item.get("message") or item.get("code") or "" if isinstance(item, dict) else str(item)
        for item in answer.get("errors") or []
    ]
    return " ".join([str(answer["message"]), *filter(None, details)])


class Services:
    """What resources need: the clients, the provider block's arguments, and whether to stop.

    Args:
        provider: The provider block's arguments, environment fallbacks included.
        stopping: Set when Terraform was interrupted.
    """

    def __init__(self, provider: Mapping[str, Any], stopping: threading.Event) -> None:
        endpoints = _read_endpoints()
        self.provider = provider
        self.google = Client(endpoints["google"], Path(endpoints["google_token_file"]))
        self.github = Client(f"{endpoints['github']}/api/v3", Path(endpoints["github_token_file"]))
        self._stopping = stopping
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    @property
    def is_stopping(self) -> bool:
        """Whether Terraform was interrupted: finish what runs, start nothing that takes long."""
        return self._stopping.is_set()

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """One change at a time to what the name stands for: a cluster, a policy."""
        with self._locks[name]:
            yield

    def wait(
        self,
        operation: Json,
        poll: Callable[[], Json],
        *,
        timeout_seconds: float = 1800,
        grace_seconds: float = _GRACE_SECONDS,
    ) -> Json:
        """Wait for a long-running operation of Compute, GKE or the newer services.

        Args:
            operation: What the call answered.
            poll: Gets the operation anew.
            timeout_seconds: Upper bound on the wait.
            grace_seconds: How long to go on waiting after an interruption.

        Returns:
            The finished operation.

        Raises:
            OperationError: It ended with an error, or not in time.
            StoppedError: Terraform was interrupted; the operation goes on.
        """
        latest, stopped_at = operation, math.inf

        def probe() -> Ready[Json] | Waiting:
            nonlocal latest, stopped_at
            if not _is_done(latest):
                if self.is_stopping:
                    stopped_at = min(stopped_at, time.monotonic())
                if time.monotonic() - stopped_at > grace_seconds:
                    raise StoppedError(
                        "interrupted while waiting",
                        f"The operation {latest.get('name', '')} goes on without Terraform.",
                    )
                latest = poll()
            return Ready(latest) if _is_done(latest) else Waiting(str(latest.get("status", "running")))

        name = str(operation.get("name", "the operation"))
        try:
            finished = wait_for(
                probe, name, timeout_seconds=timeout_seconds, first_pause_seconds=0.05, longest_pause_seconds=0.5
            )
        except WaitTimeoutError as error:
            raise OperationError(error.what, error.why) from error
        if failure := _failure(finished):
            raise OperationError(f"Error waiting for {name}: {failure}")
        return finished


def _is_done(operation: Json) -> bool:
    return operation.get("done") is True or operation.get("status") == "DONE"


def _failure(operation: Json) -> str:
    error = operation.get("error")
    if not error:
        return ""
    errors = error.get("errors")  # Compute lists them
    return "; ".join(str(item.get("message", item)) for item in errors) if errors else str(error.get("message", error))


@contextmanager
def accepted(*, resumable: bool = False) -> Iterator[None]:
    """Around what follows an accepted creation: if it fails, an object may exist all the same.

    Args:
        resumable: Whether the next refresh can go on waiting, so that an interruption is no failure.
    """
    try:
        yield
    except ProviderError as error:
        stopped = isinstance(error, StoppedError)
        raise HalfMadeError(error, goes_on=stopped, resumable=stopped and resumable) from error


def quoted(part: str) -> str:
    """One part of a path."""
    return urllib.parse.quote(part, safe="")


def _read_endpoints() -> Json:
    path = os.environ.get(ENDPOINTS_VARIABLE, "")
    if not path:
        raise SandboxDownError(f"{ENDPOINTS_VARIABLE} is not set: this Terraform was not started for the sandbox.")
    try:
        endpoints: Json = json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise SandboxDownError(f"There is no {path}.") from error
    except (OSError, ValueError) as error:
        raise SandboxDownError(f"{path} cannot be read: {error}.") from error
    return endpoints
