"""A real API server with Config Sync's definitions, real Git repositories, and reconcilers that run in the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.controllers.config_sync.accounts import base_roles
from mlp_helpers.sandbox.controllers.config_sync.install import definitions
from mlp_helpers.sandbox.kubernetes.server import ApiServer
from tests.sandbox.config_sync.worlds import ADMIN_GROUP, Repository, World


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    server = ApiServer(tmp_path / "cluster")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[Client]:
    token = server.issue_token("admin", [ADMIN_GROUP])
    client = Client(server.kubeconfig(user="admin", token=token), user_agent="tests")
    yield client
    await client.close()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repositories")


@pytest.fixture
async def world(server: ApiServer, client: Client, repository: Repository, tmp_path: Path) -> AsyncIterator[World]:
    for name in ("config-management-system", "ml-team"):
        await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, manager="tests")
    for obj in (*definitions(), *base_roles()):
        await client.apply(obj, manager="tests")
    world = World(server, client, repository, tmp_path / "pods")
    yield world
    await world.stop()
