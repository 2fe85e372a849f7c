"""The reconciler manager and the installation: what each sync gets, and what is said when it cannot have it."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.controllers.config_sync import manager
from mlp_helpers.sandbox.controllers.config_sync.install import configure, membership_state, sync_state
from mlp_helpers.sandbox.controllers.config_sync.names import SYNC_API_VERSION, SyncId
from mlp_helpers.sandbox.controllers.config_sync.status import condition
from tests.sandbox.config_sync.worlds import ADMIN_GROUP, ROOT, TEAM, World, config_map, until

CONTROLLERS = "config-management-system"
TOKEN_AUTH = {"auth": "token", "secretRef": {"name": "git-creds"}}


@pytest.fixture
async def managed(world: World) -> AsyncIterator[World]:
    """A world with a running reconciler manager."""
    kubeconfig = world.server.kubeconfig(user="manager", token=world.server.issue_token("manager", [ADMIN_GROUP]))
    log = logging.getLogger("tests.manager")
    task = asyncio.create_task(manager.run(kubeconfig, {"CLUSTER_NAME": "mlp-dev"}, log))
    yield world
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def git_credentials(namespace: str, *, keys: tuple[str, ...] = ("username", "token")) -> dict[str, Any]:
    data = {key: base64.b64encode(b"canary").decode() for key in keys}
    metadata = {"name": "git-creds", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


async def until_stalled(world: World, words: str, sync: SyncId = ROOT) -> None:
    async def is_stalled() -> bool:
        stalled = condition(await world.status(sync), "Stalled")
        return stalled.get("status") == "True" and words in stalled.get("message", "")

    await until(is_stalled)
    assert condition(await world.status(sync), "Stalled")["reason"] == "Validation"


async def until_there(world: World, kind: str, name: str, namespace: str = CONTROLLERS) -> dict[str, Any]:
    versions = {"Deployment": "apps/v1", "Secret": "v1", "ServiceAccount": "v1", "ConfigMap": "v1", "Namespace": "v1"}
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        version = versions.get(kind, "rbac.authorization.k8s.io/v1")
        live = await world.get(version, kind, name, namespace)
        found[:] = [live] if live else []
        return bool(found)

    await until(is_there)
    return found[0]


def subjects(binding: dict[str, Any]) -> list[str]:
    return [subject["name"] for subject in binding["subjects"]]


async def test_a_root_sync_gets_a_reconciler_that_is_administrator(managed: World) -> None:
    await managed.declare(ROOT)
    deployment = await until_there(managed, "Deployment", "root-reconciler")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].startswith("gcr.io/config-management-release/reconciler:")
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["SYNC_NAME"] == "root-sync"
    assert environment["NAMESPACE_NAME"] == ":root"
    assert environment["CLUSTER_NAME"] == "mlp-dev"
    await until_there(managed, "ServiceAccount", "root-reconciler")
    binding = await until_there(managed, "ClusterRoleBinding", "configsync.gke.io:root-reconciler", "")
    assert binding["roleRef"]["name"] == "cluster-admin"
    assert subjects(binding) == ["root-reconciler"]

    async def is_waiting() -> bool:
        reconciling = condition(await managed.status(), "Reconciling")
        return reconciling.get("status") == "True" and "root-reconciler" in reconciling.get("message", "")

    await until(is_waiting)
    assert (await managed.status())["reconciler"] == "root-reconciler"


async def test_a_root_sync_with_role_references_is_no_administrator(managed: World) -> None:
    reference = {"kind": "ClusterRole", "name": "view", "namespace": "ml-team"}
    await managed.declare(ROOT, override={"roleRefs": [reference]})
    await until_there(managed, "Deployment", "root-reconciler")
    binding = await until_there(managed, "ClusterRoleBinding", "configsync.gke.io:root-reconciler", "")
    assert not binding.get("subjects")
    resource = await managed.client.resource("rbac.authorization.k8s.io/v1", "RoleBinding")
    found, _ = await managed.client.list(resource, "ml-team")
    assert [one["roleRef"]["name"] for one in found] == ["view"]


async def test_a_repo_sync_gets_a_reconciler_with_its_inventory_and_nothing_else(managed: World) -> None:
    await managed.client.create(git_credentials("ml-team"))
    await managed.declare(TEAM, git=TOKEN_AUTH)
    deployment = await until_there(managed, "Deployment", "ns-reconciler-ml-team")
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    references = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in environment if "valueFrom" in one}
    copy = "ns-reconciler-ml-team-git-creds"
    assert references == {
        "GITSYNC_USERNAME": {"name": copy, "key": "username"},
        "GITSYNC_PASSWORD": {"name": copy, "key": "token"},
    }
    assert "canary" not in str(deployment)
    await until_there(managed, "Secret", copy)
    binding = await until_there(managed, "RoleBinding", "configsync.gke.io:ns-reconciler", "ml-team")
    assert binding["roleRef"]["name"] == "configsync.gke.io:ns-reconciler"
    assert subjects(binding) == ["ns-reconciler-ml-team"]


async def test_a_changed_secret_makes_a_new_pod(managed: World) -> None:
    await managed.client.create(git_credentials("ml-team"))
    await managed.declare(TEAM, git=TOKEN_AUTH)
    before = (await until_there(managed, "Deployment", "ns-reconciler-ml-team"))["spec"]["template"]["metadata"]
    secrets = await managed.client.resource("v1", "Secret")
    change = {"data": {"token": base64.b64encode(b"another").decode()}}
    await managed.client.patch(secrets, "git-creds", "ml-team", change)

    async def is_new() -> bool:
        now = (await until_there(managed, "Deployment", "ns-reconciler-ml-team"))["spec"]["template"]["metadata"]
        return bool(now["annotations"] != before["annotations"])

    await until(is_new)


async def test_a_missing_secret_stalls_the_sync_until_it_is_there(managed: World) -> None:
    await managed.declare(ROOT, git=TOKEN_AUTH)
    await until_stalled(managed, "Secret git-creds not found")
    await managed.client.create(git_credentials(CONTROLLERS, keys=("token",)))
    await until_stalled(managed, "username key is not present in git-creds secret")
    secrets = await managed.client.resource("v1", "Secret")
    change = {"data": {"username": base64.b64encode(b"someone").decode()}}
    await managed.client.patch(secrets, "git-creds", CONTROLLERS, change)
    await until_there(managed, "Deployment", "root-reconciler")

    async def goes_on() -> bool:
        return condition(await managed.status(), "Stalled").get("status") == "False"

    await until(goes_on)


async def test_a_wrong_spec_is_1061(managed: World) -> None:
    wrong = SyncId("RootSync", "ml-team", "root-sync")
    await managed.declare(wrong)
    await until_stalled(managed, "KNV1061: RootSync objects are only allowed in the config-management-system", wrong)


async def test_a_deleted_sync_takes_its_reconciler_along(managed: World) -> None:
    await managed.client.create(git_credentials("ml-team"))
    await managed.declare(TEAM, git=TOKEN_AUTH)
    await until_there(managed, "Deployment", "ns-reconciler-ml-team")

    async def is_held() -> bool:
        live = await managed.get(SYNC_API_VERSION, "RepoSync", "repo-sync", "ml-team")
        return bool((live or {}).get("metadata", {}).get("finalizers"))

    await until(is_held)
    await managed.delete(SYNC_API_VERSION, "RepoSync", "repo-sync", "ml-team")

    async def is_gone() -> bool:
        return await managed.get(SYNC_API_VERSION, "RepoSync", "repo-sync", "ml-team") is None

    await until(is_gone)
    assert await managed.get("apps/v1", "Deployment", "ns-reconciler-ml-team", CONTROLLERS) is None
    assert await managed.get("v1", "Secret", "ns-reconciler-ml-team-git-creds", CONTROLLERS) is None
    assert await managed.get("v1", "ServiceAccount", "ns-reconciler-ml-team", CONTROLLERS) is None


FEATURE = {
    "configSync": {
        "enabled": True,
        "sourceFormat": "unstructured",
        "git": {
            "syncRepo": "https://example.com/config.git",
            "syncBranch": "dev",
            "policyDir": "clusters/dev",
            "secretType": "token",
            "syncWaitSecs": "5",
        },
    }
}


async def test_the_fleet_feature_installs_and_uninstalls_config_sync(client: Client) -> None:
    assert (await membership_state(client))["configSyncState"]["state"] == "CONFIG_SYNC_NOT_INSTALLED"
    await configure(client, FEATURE, cluster="mlp-dev")
    resource = await client.resource(SYNC_API_VERSION, "RootSync")
    spec = (await client.get(resource, "root-sync", CONTROLLERS))["spec"]
    assert spec == {
        "sourceType": "git",
        "sourceFormat": "unstructured",
        "git": {
            "repo": "https://example.com/config.git",
            "branch": "dev",
            "revision": "HEAD",
            "dir": "clusters/dev",
            "period": "5s",
            "auth": "token",
            "secretRef": {"name": "git-creds"},
        },
    }
    state = await membership_state(client)
    assert state["configSyncState"]["state"] == "CONFIG_SYNC_PENDING"
    assert state["configSyncState"]["syncState"]["code"] == "PENDING"
    await configure(client, FEATURE, cluster="mlp-dev")
    await configure(client, None, cluster="mlp-dev")
    assert (await membership_state(client))["configSyncState"]["state"] == "CONFIG_SYNC_NOT_INSTALLED"


async def test_a_feature_without_enabled_installs_nothing(client: Client) -> None:
    quiet = {"configSync": {"git": FEATURE["configSync"]["git"]}}
    await configure(client, quiet, cluster="mlp-dev")
    assert (await membership_state(client))["configSyncState"]["state"] == "CONFIG_SYNC_NOT_INSTALLED"


async def test_the_fleet_shows_what_the_root_sync_says(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    synced = sync_state({"status": await world.until_synced(commit)})
    assert (synced["code"], synced["syncToken"]) == ("SYNCED", commit)
    world.repository.commit({"config/a.yaml": "kind: [\n"})
    await world.until_error(1006)
    failed = sync_state({"status": await world.status()})
    assert failed["code"] == "ERROR"
    assert failed["errors"][0]["code"] == "1006"
