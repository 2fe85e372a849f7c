"""An API server that runs in a thread of its own, so that blocking clients can be used."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlp_helpers.sandbox.kubernetes.metadata import Clock, utc_now
from mlp_helpers.sandbox.kubernetes.server import ApiServer, User

USERS = {
    "admin": User("admin", ("system:masters", "system:authenticated"), "admin"),
    "alice": User("alice", ("ml-team", "system:authenticated"), "alice"),
    "bob": User("bob", ("other-team", "system:authenticated"), "bob"),
}


@contextmanager
def running(folder: Path, *, disabled_admission: Collection[str] = (), clock: Clock = utc_now) -> Iterator[ApiServer]:
    """A started server; tokens `admin-token`, `alice-token` and `bob-token` are known to it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> ApiServer:
        server = ApiServer(folder, disabled_admission=disabled_admission, clock=clock)
        for name, user in USERS.items():
            server.tokens.adopt(f"{name}-token", user)
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def write_kubeconfig(server: ApiServer, path: Path, user: str = "admin") -> Path:
    """A kubeconfig file for one of the users."""
    path.write_text(json.dumps(server.kubeconfig(user=user, token=f"{user}-token")))
    return path
