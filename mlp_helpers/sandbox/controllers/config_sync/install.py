"""What the fleet's Config Management feature puts into a cluster, takes out of it, and tells about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import yaml

from mlp_helpers.sandbox.controllers.client import Client, NotFoundError, Object, UnknownKindError
from mlp_helpers.sandbox.controllers.config_sync.accounts import SYSTEM_LABELS, base_roles
from mlp_helpers.sandbox.controllers.config_sync.deployments import MANAGER_NAME, VERSION, manager_deployment
from mlp_helpers.sandbox.controllers.config_sync.health import State, health
from mlp_helpers.sandbox.controllers.config_sync.names import (
    CONTROLLER_NAMESPACE,
    INVENTORY_NAMESPACE,
    SYNC_API_VERSION,
)
from mlp_helpers.sandbox.controllers.config_sync.status import condition

FIELD_MANAGER = "configmanagement-operator"
ROOT_SYNC = "root-sync"
ROOT_SECRET = "git-creds"
# Kinds of authentication that the feature expects a Secret git-creds for.
SECRET_TYPES = ("ssh", "cookiefile", "token")


def definitions() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of Config Sync."""
    folder = resources.files(__package__) / "crds"
    lists = [
        yaml.load((folder / name).read_text("utf-8"), yaml.CSafeLoader) for name in ("syncs.yaml", "inventory.yaml")
    ]
    return [item for each in lists for item in each["items"]]


def system_objects(cluster: str) -> list[dict[str, Any]]:
    """Everything that is installed before any sync: namespaces, definitions, roles, the reconciler manager."""
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": SYSTEM_LABELS}}
        for name in (CONTROLLER_NAMESPACE, INVENTORY_NAMESPACE)
    ]
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"namespace": CONTROLLER_NAMESPACE, "name": MANAGER_NAME, "labels": SYSTEM_LABELS},
    }
    admin = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": MANAGER_NAME, "labels": SYSTEM_LABELS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": MANAGER_NAME, "namespace": CONTROLLER_NAMESPACE}],
    }
    return [*namespaces, *definitions(), *base_roles(), account, admin, manager_deployment(cluster=cluster)]


def root_sync(config_sync: Mapping[str, Any]) -> dict[str, Any] | None:
    """The RootSync that the feature writes for its `git` block; None without one.

    Args:
        config_sync: `configSync` of the feature's membership spec, as the API's JSON has it.
    """
    git = config_sync.get("git") or {}
    if not git.get("syncRepo"):
        return None
    auth = git.get("secretType") or "none"
    wanted: dict[str, Any] = {
        "repo": git["syncRepo"],
        "branch": git.get("syncBranch") or "master",
        "revision": git.get("syncRev") or "HEAD",
        "dir": git.get("policyDir") or "",
        "period": f"{int(git.get('syncWaitSecs') or 15)}s",
        "auth": auth,
    }
    if auth in SECRET_TYPES:
        wanted["secretRef"] = {"name": ROOT_SECRET}
    if git.get("httpsProxy"):
        wanted["proxy"] = git["httpsProxy"]
    return {
        "apiVersion": SYNC_API_VERSION,
        "kind": "RootSync",
        "metadata": {"namespace": CONTROLLER_NAMESPACE, "name": ROOT_SYNC},
        "spec": {
            "sourceType": "git",
            "sourceFormat": config_sync.get("sourceFormat") or "hierarchy",
            "git": wanted,
        },
    }


async def configure(client: Client, config_management: Mapping[str, Any] | None, *, cluster: str) -> None:
    """Install, change or remove Config Sync in a cluster; idempotent.

    Args:
        client: An administrator of the cluster.
        config_management: The feature's `configmanagement` spec for the cluster's membership; None uninstalls.
        cluster: The cluster's name in the fleet.
    """
    config_sync = (config_management or {}).get("configSync") or {}
    # The feature takes a block without `enabled` for "do nothing", whatever else it says.
    if not config_sync.get("enabled"):
        await uninstall(client)
        return
    for wanted in system_objects((config_management or {}).get("cluster") or cluster):
        await client.apply(wanted, manager=FIELD_MANAGER)
    sync = root_sync(config_sync)
    if sync is not None:
        await client.apply(sync, manager=FIELD_MANAGER)


async def uninstall(client: Client) -> None:
    """Remove Config Sync; what it applied stays. No manager is left to release syncs, so their finalizers go first."""
    for kind in ("RootSync", "RepoSync"):
        async for sync in _syncs(client, kind):
            await _let_go(client, kind, sync)
    for obj in reversed(system_objects("")):
        try:
            resource = await client.resource_of(obj)
            await client.delete(resource, obj["metadata"]["name"], obj["metadata"].get("namespace", ""))
        except (NotFoundError, UnknownKindError):
            continue


async def _let_go(client: Client, kind: str, sync: Object) -> None:
    resource = await client.resource(SYNC_API_VERSION, kind)
    name, namespace = sync["metadata"]["name"], sync["metadata"]["namespace"]
    try:
        await client.patch(resource, name, namespace, {"metadata": {"finalizers": None}})
        await client.delete(resource, name, namespace)
    except NotFoundError:
        return


async def _syncs(client: Client, kind: str) -> Any:
    try:
        found, _ = await client.list(await client.resource(SYNC_API_VERSION, kind))
    except (NotFoundError, UnknownKindError):
        return
    for sync in found:
        yield sync


async def membership_state(client: Client) -> dict[str, Any]:
    """The state of the feature for the cluster's membership, as the fleet API shows it under `configmanagement`."""
    manager = await _find(client, "apps/v1", "Deployment", MANAGER_NAME)
    if manager is None:
        return {"configSyncState": {"state": "CONFIG_SYNC_NOT_INSTALLED"}}
    is_ready = health(manager).state is State.CURRENT
    sync = await _find(client, SYNC_API_VERSION, "RootSync", ROOT_SYNC)
    state: dict[str, Any] = {
        "state": "CONFIG_SYNC_INSTALLED" if is_ready else "CONFIG_SYNC_PENDING",
        "version": {"reconcilerManager": VERSION},
        "deploymentState": {"reconcilerManager": "INSTALLED" if is_ready else "PENDING"},
        "rootsyncCrd": "INSTALLED",
        "reposyncCrd": "INSTALLED",
    }
    if sync is not None:
        state["syncState"] = sync_state(sync)
    return {
        "operatorState": {"version": VERSION, "deploymentState": "INSTALLED"},
        "configSyncState": state,
    }


def sync_state(sync: Mapping[str, Any]) -> dict[str, Any]:
    """`syncState` of the fleet API for a RootSync: SYNCED, PENDING or ERROR, with tokens and errors."""
    status = sync.get("status") or {}
    problems = [problem for block in ("source", "rendering", "sync") for problem in _errors(status, block)]
    stalled, syncing = condition(status, "Stalled"), condition(status, "Syncing")
    commit = (status.get("sync") or {}).get("commit", "")
    if stalled.get("status") == "True":
        problems.append({"code": "1061", "errorMessage": stalled.get("message", "")})
    if problems:
        code = "ERROR"
    elif commit and syncing.get("status") == "False" and commit == (status.get("source") or {}).get("commit"):
        code = "SYNCED"
    else:
        code = "PENDING"
    state: dict[str, Any] = {
        "code": code,
        "sourceToken": (status.get("source") or {}).get("commit", ""),
        "importToken": (status.get("source") or {}).get("commit", ""),
        "syncToken": status.get("lastSyncedCommit", ""),
    }
    if commit:
        state["lastSyncTime"] = (status.get("sync") or {}).get("lastUpdate", "")
    if problems:
        state["errors"] = [{"code": one["code"], "errorMessage": one["errorMessage"]} for one in problems]
    return state


def _errors(status: Mapping[str, Any], block: str) -> Iterator[Mapping[str, Any]]:
    yield from (status.get(block) or {}).get("errors") or []


async def _find(client: Client, api_version: str, kind: str, name: str) -> Object | None:
    try:
        resource = await client.resource(api_version, kind)
        return {"kind": kind, **await client.get(resource, name, CONTROLLER_NAMESPACE)}
    except (NotFoundError, UnknownKindError):
        return None
