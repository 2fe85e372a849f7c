"""A real API server with KubeRay's definitions, the operator, and a stand-in for the kubelet. No Ray."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.controllers.kuberay import chart, operator
from mlp_helpers.sandbox.kubernetes.server import ApiServer
from tests.sandbox.kuberay.kubelet import Kubelet

OPERATOR = "system:serviceaccount:kuberay:kuberay-operator"


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
    for name in ("kuberay", "ml-team"):
        await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, manager="tests")
    # What the control plane gives each namespace; there is none here.
    account = {"name": "default", "namespace": "ml-team"}
    await client.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, manager="tests")
    manifests = chart.manifests({}, "kuberay-operator", "kuberay", chart.VERSIONS[0])
    for obj in (*chart.definitions().values(), *manifests.values()):
        await client.apply(obj, manager="tests")
    yield client
    await client.close()


@pytest.fixture
async def kubelet(server: ApiServer, client: Client) -> AsyncIterator[Kubelet]:
    """The operator runs under its own account, with the chart's rights and no others."""
    token = server.issue_token(OPERATOR, ["system:serviceaccounts", "system:authenticated"])
    kubeconfig = server.kubeconfig(user=OPERATOR, token=token)
    kubelet = Kubelet(client)
    tasks = [
        asyncio.create_task(operator.run(kubeconfig, {}, logging.getLogger("tests.kuberay"))),
        asyncio.create_task(kubelet.run()),
    ]
    yield kubelet
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    await kubelet.close()
    wrong = [one for one in ended if isinstance(one, Exception)]
    if wrong:
        raise wrong[0]
