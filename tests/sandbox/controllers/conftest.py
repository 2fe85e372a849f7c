"""A real API server on a free port, and a client that may do everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.controllers.loop import Manager
from mlp_helpers.sandbox.kubernetes.server import ApiServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    server = ApiServer(tmp_path / "cluster")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[Client]:
    token = server.issue_token("admin", ["system:masters"])
    client = Client(server.kubeconfig(user="admin", token=token), user_agent="tests")
    yield client
    await client.close()


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 10) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(manager: Manager) -> AsyncIterator[None]:
    """Run the manager's controllers meanwhile."""
    task = asyncio.create_task(manager.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
