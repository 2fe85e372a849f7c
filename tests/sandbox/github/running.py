"""A server in a thread with a loop of its own, so that blocking clients can talk to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.github.server import GitHubServer
from mlp_helpers.sandbox.github.store import Account


class Running:
    """A running server; `restart` shows what outlives a stop."""

    def __init__(self, home: Path, tokens: Callable[[str], Account | None], **options: Any) -> None:
        self.home, self._tokens, self._options = home, tokens, options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._port = 0

    @property
    def url(self) -> str:
        return self.server.url

    def __enter__(self) -> Running:
        self._thread.start()
        self.start()
        return self

    def start(self) -> None:
        self.server = GitHubServer(self.home, tokens=self._tokens, port=self._port, **self._options)
        self._wait(self.server.start())
        self._port = int(self.server.url.rpartition(":")[2])

    def stop(self) -> None:
        self._wait(self.server.stop())

    def restart(self) -> None:
        self.stop()
        self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
