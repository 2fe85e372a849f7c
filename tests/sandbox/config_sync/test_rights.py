"""A reconciler can only do what its account may: access control decides, not our code."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.accounts import NAMESPACE_ROLE, binding
from tests.sandbox.config_sync.worlds import TEAM, World, config_map, until

ACCOUNT = "system:serviceaccount:config-management-system:ns-reconciler-ml-team"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:config-management-system", "system:authenticated")
ALL = ["get", "list", "watch", "create", "update", "patch", "delete"]


def role(verbs: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "team-reconciler", "namespace": "ml-team"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}],
    }


async def give(world: World, verbs: list[str]) -> None:
    """Bind the team's role to the reconciler, beside the base role that the manager gives."""
    base = binding("RoleBinding", NAMESPACE_ROLE, "ClusterRole", NAMESPACE_ROLE, [TEAM], "ml-team")
    own = binding("RoleBinding", "team-reconciler", "Role", "team-reconciler", [TEAM], "ml-team")
    for obj in (base, own, role(verbs)):
        await world.client.apply(obj, manager="tests")


async def test_a_repo_sync_without_a_role_is_refused_with_2009_and_told_what_is_missing(world: World) -> None:
    base = binding("RoleBinding", NAMESPACE_ROLE, "ClusterRole", NAMESPACE_ROLE, [TEAM], "ml-team")
    await world.client.apply(base, manager="tests")
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(TEAM)
    world.start(TEAM, user=ACCOUNT, groups=GROUPS)
    error = await world.until_error(2009, TEAM)
    assert ACCOUNT in error["errorMessage"]
    assert error["errorResources"][0]["resourceName"] == "a"
    assert await world.config_map("a") is None
    await give(world, ALL)
    await world.until_synced(commit, TEAM)
    assert await world.config_map("a") is not None


async def test_a_reconciler_that_may_not_watch_says_so_with_2013(world: World) -> None:
    await give(world, ["get", "create", "patch"])
    world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(TEAM)
    world.start(TEAM, user=ACCOUNT, groups=GROUPS)
    error = await world.until_error(2013, TEAM)
    assert "Insufficient permission" in error["errorMessage"]
    assert await world.config_map("a") is not None


async def test_a_right_taken_away_later_is_2013_when_drift_cannot_be_corrected(world: World) -> None:
    await give(world, ALL)
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(TEAM)
    world.start(TEAM, user=ACCOUNT, groups=GROUPS)
    await world.until_synced(commit, TEAM)
    await give(world, ["get", "list", "watch"])
    await world.patch_config_map("a", {"data": {"value": "by hand"}})
    await world.until_error(2013, TEAM)
    await give(world, ALL)
    await world.until_synced(commit, TEAM)

    async def is_right() -> bool:
        now = await world.config_map("a")
        return now is not None and now["data"] == {"value": "1"}

    await until(is_right)


async def test_a_reconciler_that_may_not_read_its_inventory_is_2002(world: World) -> None:
    sync_only = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "sync-only", "namespace": "ml-team"},
        "rules": [{"apiGroups": ["configsync.gke.io"], "resources": ["*"], "verbs": ["*"]}],
    }
    bound = binding("RoleBinding", "sync-only", "Role", "sync-only", [TEAM], "ml-team")
    for obj in (sync_only, bound):
        await world.client.apply(obj, manager="tests")
    world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(TEAM)
    world.start(TEAM, user=ACCOUNT, groups=GROUPS)
    error = await world.until_error(2002, TEAM)
    assert "resourcegroups" in error["errorMessage"]
