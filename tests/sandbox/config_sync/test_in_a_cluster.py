"""The whole chain in a cluster with its control plane and node: feature, root sync, team's repo sync; Git over HTTP."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mlp_helpers.sandbox.controllers import config_sync
from mlp_helpers.sandbox.controllers.client import Client, NotFoundError
from mlp_helpers.sandbox.controllers.config_sync.install import configure, membership_state
from mlp_helpers.sandbox.controllers.config_sync.names import SYNC_API_VERSION
from mlp_helpers.sandbox.controllers.control_plane import register_control_plane
from mlp_helpers.sandbox.controllers.loop import Manager
from mlp_helpers.sandbox.github.store import READ_ONLY, Account
from mlp_helpers.sandbox.kubernetes.server import ApiServer
from mlp_helpers.sandbox.node.kubelet import Kubelet
from mlp_helpers.sandbox.node.runtimes import Runtimes
from mlp_helpers.sandbox.node.specs import NodeSpec
from tests.sandbox.config_sync.worlds import ROOT, Repository, World, config_map, until
from tests.sandbox.github.running import Running

READ_TOKEN = "canary-read-token"
ACCOUNTS = {"write": Account("mlp-sandbox", ("repo",)), READ_TOKEN: Account("mlp-sandbox", (READ_ONLY,))}
CONTROLLERS = "config-management-system"
TEAM = "ml-team"


@pytest.fixture
async def url(tmp_path: Path, repository: Repository) -> AsyncIterator[str]:
    """A private repository on the emulated GitHub, with a team declared in it."""
    from github import Auth, Github

    with Running(tmp_path / "github", ACCOUNTS.get) as github:
        url = f"{github.url}/mlp-sandbox/configuration.git"
        repository.commit(files(url))

        def publish() -> None:
            client = Github(
                base_url=f"{github.url}/api/v3", auth=Auth.Token("write"), seconds_between_requests=0, retry=None
            )
            client.get_user().create_repo("configuration", private=True)
            target = url.replace("://", "://write:write@")
            command = ["git", "--git-dir", str(repository.bare), "push", "--quiet", target, "dev"]
            subprocess.run(command, check=True, capture_output=True)

        await asyncio.to_thread(publish)
        yield url


def files(url: str) -> dict[str, Any]:
    """A cluster's folder that declares a team's space, and the team's own folder."""
    rights = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]}
    ]
    team = {"namespace": TEAM, "name": "team-reconciler"}
    rbac = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": "ns-reconciler-ml-team", "namespace": CONTROLLERS}
    git = {
        "repo": url,
        "branch": "dev",
        "dir": "teams/ml-team",
        "auth": "token",
        "secretRef": {"name": "git-creds"},
        "period": "1s",
    }
    dependency = {"config.kubernetes.io/depends-on": f"{rbac}/namespaces/{TEAM}/RoleBinding/team-reconciler"}
    return {
        "clusters/dev/namespace.yaml": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}},
        "clusters/dev/role.yaml": {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": team, "rules": rights},
        "clusters/dev/binding.yaml": {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": team,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "team-reconciler"},
            "subjects": [account],
        },
        "clusters/dev/reposync.yaml": {
            "apiVersion": SYNC_API_VERSION,
            "kind": "RepoSync",
            "metadata": {"namespace": TEAM, "name": "repo-sync", "annotations": dependency},
            "spec": {"sourceFormat": "unstructured", "git": git},
        },
        "teams/ml-team/settings.yaml": config_map("settings"),
    }


@pytest.fixture
async def kubelet(server: ApiServer, client: Client) -> AsyncIterator[Kubelet]:
    """The control plane, and a node that runs Config Sync's images."""
    manager = Manager(client)
    register_control_plane(manager)
    controllers = asyncio.create_task(manager.run())
    kubelet = Kubelet(
        server.folder / "node",
        server.kubeconfig(user="node", token=server.issue_token("node", ["system:masters"])),
        runtimes=Runtimes(config_sync.BUILTINS),
        nodes=[NodeSpec("node-1", {}, (), {"cpu": "8", "memory": "16Gi"})],
    )
    await kubelet.start()
    yield kubelet
    await kubelet.stop()
    controllers.cancel()
    await asyncio.gather(controllers, return_exceptions=True)


def feature(url: str) -> dict[str, Any]:
    git = {
        "syncRepo": url,
        "syncBranch": "dev",
        "policyDir": "clusters/dev",
        "secretType": "token",
        "syncWaitSecs": "1",
    }
    return {"configSync": {"enabled": True, "sourceFormat": "unstructured", "git": git}}


async def give_credentials(client: Client, namespace: str) -> None:
    data = {"username": "mlp-sandbox", "token": READ_TOKEN}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"namespace": namespace, "name": "git-creds"}
    await client.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded})


async def find(client: Client, api_version: str, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
    try:
        return await client.get(await client.resource(api_version, kind), name, namespace)
    except NotFoundError:
        return None


async def test_a_team_comes_from_git_into_the_cluster(
    client: Client, kubelet: Kubelet, url: str, tmp_path: Path
) -> None:
    await configure(client, feature(url), cluster="mlp-dev")

    async def is_stalled() -> bool:
        state = (await membership_state(client)).get("configSyncState", {}).get("syncState", {})
        return "Secret git-creds not found" in str(state.get("errors"))

    await until(is_stalled, seconds=30)
    await give_credentials(client, CONTROLLERS)

    async def is_synced() -> bool:
        state = (await membership_state(client)).get("configSyncState", {})
        return state.get("state") == "CONFIG_SYNC_INSTALLED" and state.get("syncState", {}).get("code") == "SYNCED"

    await until(is_synced, seconds=30)
    await give_credentials(client, TEAM)

    async def has_settings() -> bool:
        return await find(client, "v1", "ConfigMap", "settings", TEAM) is not None

    await until(has_settings, seconds=30)
    settings = await find(client, "v1", "ConfigMap", "settings", TEAM)
    assert settings is not None
    assert settings["metadata"]["annotations"]["configsync.gke.io/manager"] == TEAM
    assert not _traces_of_token(tmp_path / "cluster" / "node")


async def test_a_wrong_token_is_2004_and_is_not_shown(world: World, url: str) -> None:
    git = {"repo": url, "dir": "clusters/dev", "auth": "token", "secretRef": {"name": "git-creds"}}
    await world.declare(ROOT, git=git)
    world.start(ROOT, GITSYNC_USERNAME="mlp-sandbox", GITSYNC_PASSWORD="canary-wrong-token")
    error = await world.until_error(2004)
    assert "Authentication failed" in error["errorMessage"]
    assert "canary" not in error["errorMessage"]


def _traces_of_token(folder: Path) -> list[str]:
    """Files of the node that hold the token; only Git's process ever needs it, from its environment."""
    paths = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return [str(path) for path in paths if path.is_file() and READ_TOKEN.encode() in path.read_bytes()]
