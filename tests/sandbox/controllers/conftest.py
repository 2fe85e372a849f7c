"""A real API server on a free port, and a client that may do everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mlp_helpers.sandbox.controllers.client import Client, NotFoundError, Object
from mlp_helpers.sandbox.controllers.conditions import condition, timestamp
from mlp_helpers.sandbox.controllers.control_plane import register_control_plane
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


@pytest.fixture
async def control_plane(client: Client, cluster: Cluster) -> AsyncIterator[Manager]:
    """All controllers of the control plane at work; the namespace default is ready for pods."""
    manager = Manager(client)
    register_control_plane(manager)
    async with running(manager):
        await until(lambda: cluster.get("v1", "ServiceAccount", "default"))
        yield manager


class Cluster:
    """Short ways to write and read objects."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def create(self, api_version: str, kind: str, name: str, **content: Any) -> Object:
        """Create an object in the namespace default (or a cluster-scoped one)."""
        metadata = {"name": name, **content.pop("metadata", {})}
        resource = await self.client.resource(api_version, kind)
        if resource.namespaced:
            metadata.setdefault("namespace", "default")
        return await self.client.create({"apiVersion": api_version, "kind": kind, "metadata": metadata, **content})

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "default") -> Object | None:
        """Read an object, or None."""
        resource = await self.client.resource(api_version, kind)
        try:
            return await self.client.get(resource, name, namespace if resource.namespaced else "")
        except NotFoundError:
            return None

    async def list(self, api_version: str, kind: str, namespace: str = "default", **selectors: str) -> Sequence[Object]:
        """The objects of a kind."""
        resource = await self.client.resource(api_version, kind)
        items, _ = await self.client.list(resource, namespace if resource.namespaced else "", **selectors)
        return items

    async def delete(self, api_version: str, kind: str, name: str, namespace: str = "default", **options: Any) -> None:
        """Delete an object."""
        resource = await self.client.resource(api_version, kind)
        await self.client.delete(resource, name, namespace if resource.namespaced else "", **options)

    async def patch(self, api_version: str, kind: str, name: str, change: Object, subresource: str = "") -> Object:
        """Merge a change into an object of the namespace default."""
        resource = await self.client.resource(api_version, kind)
        namespace = "default" if resource.namespaced else ""
        return await self.client.patch(resource, name, namespace, change, subresource=subresource)

    async def events(self, reason: str) -> Sequence[str]:
        """The messages of the events of a reason in the namespace default."""
        return [event["message"] for event in await self.list("v1", "Event") if event["reason"] == reason]

    async def node(self, name: str = "node-1", *, cpu: str = "4", **spec: Any) -> Object:
        """A node that is ready, without a kubelet behind it."""
        await self.create("v1", "Node", name, metadata={"labels": {"kubernetes.io/hostname": name}}, spec=spec)
        allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
        return await self.patch(
            "v1", "Node", name, {"status": {"allocatable": allocatable, "capacity": allocatable}}, "status"
        )

    async def be_kubelet(self, pod: str, phase: str = "Running", *, ready: bool = True, exit_code: int = 0) -> None:
        """Write the status of a pod as its kubelet would."""
        now = timestamp()
        state: Object = {"running": {"startedAt": now}}
        if phase in ("Succeeded", "Failed"):
            state = {"terminated": {"exitCode": exit_code, "startedAt": now, "finishedAt": now, "reason": "x"}}
        container = {"name": "c", "image": "i", "imageID": "i", "ready": ready, "restartCount": 0, "state": state}
        conditions = [condition(kind, ready, lastTransitionTime=now) for kind in ("Ready", "ContainersReady")]
        status = {"phase": phase, "podIP": "127.0.0.1", "conditions": conditions, "containerStatuses": [container]}
        await self.patch("v1", "Pod", pod, {"status": status}, "status")


@pytest.fixture
def cluster(client: Client) -> Cluster:
    return Cluster(client)


@asynccontextmanager
async def running(manager: Manager) -> AsyncIterator[None]:
    """Run the manager's controllers meanwhile."""
    task = asyncio.create_task(manager.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
