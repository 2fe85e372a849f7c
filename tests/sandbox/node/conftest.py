"""A cluster with its control plane and one node that runs real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.kubernetes.server import ApiServer
from mlp_helpers.sandbox.node.kubelet import Kubelet
from mlp_helpers.sandbox.node.runtimes import Builtin, Runtimes
from mlp_helpers.sandbox.node.specs import NodeSpec
from tests.sandbox.controllers.conftest import Cluster, client, cluster, control_plane, server

__all__ = ["Cluster", "client", "cluster", "control_plane", "server"]

NODE = NodeSpec("node-1", {"pool": "default"}, (), {"cpu": "8", "memory": "16Gi"})


class Node:
    """Starts kubelets on one folder, one after the other."""

    def __init__(self, server: ApiServer) -> None:
        self.folder = server.folder / "node"
        self._kubeconfig = server.kubeconfig(user="node", token=server.issue_token("node", ["system:masters"]))
        self.builtins: dict[str, Builtin] = {}

    def kubelet(self, nodes: Sequence[NodeSpec]) -> Kubelet:
        return Kubelet(
            self.folder,
            self._kubeconfig,
            runtimes=Runtimes(self.builtins),
            nodes=nodes,
            environment_for=lambda pod: {"GCE_METADATA_HOST": f"{pod['metadata']['name']}.test"},
            first_backoff_seconds=0.5,
        )

    @asynccontextmanager
    async def running(self, *, keep_pods: bool = False, nodes_later: bool = False) -> AsyncIterator[Kubelet]:
        kubelet = self.kubelet([] if nodes_later else [NODE])
        await kubelet.start()
        if nodes_later:
            await kubelet.set_nodes([NODE])
        try:
            yield kubelet
        finally:
            await kubelet.stop(keep_pods=keep_pods)


@pytest.fixture
async def node(server: ApiServer, control_plane: object) -> Node:
    return Node(server)


@pytest.fixture
async def kubelet(node: Node) -> AsyncIterator[Kubelet]:
    async with node.running() as kubelet:
        yield kubelet


async def logs(client: Client, pod: str, **query: str) -> str:
    """A pod's log through the API server, as kubectl reads it."""
    resource = await client.resource("v1", "Pod")
    path = resource.path("default", pod, "log")
    async with asyncio.timeout(10), client._request("GET", path, params=query) as response:
        return await response.text()


def folder_of(kubelet_folder: Path, uid: str) -> Path:
    return kubelet_folder / "pods" / uid
