"""Whose an object is: conflicts, letting go, keeping, and the end of a sync."""

from __future__ import annotations

from mlp_helpers.sandbox.controllers.config_sync.names import SYNC_API_VERSION, SyncId
from tests.sandbox.config_sync.worlds import ROOT, World, config_map, until

MANAGED = "configmanagement.gke.io/managed"


async def test_two_roots_that_declare_one_object_conflict_and_the_first_keeps_it(world: World) -> None:
    other = SyncId("RootSync", ROOT.namespace, "other")
    commit = world.repository.commit({"config/a.yaml": config_map("a"), "other/a.yaml": config_map("a", "2")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    await world.declare(other, git={"dir": "other"})
    world.start(other)
    error = await world.until_error(1060, other)
    assert '":root_other"' in error["errorMessage"]
    assert '":root"' in error["errorMessage"]
    now = await world.config_map("a")
    assert now is not None
    assert now["data"] == {"value": "1"}


async def test_an_object_that_becomes_disabled_is_released_and_stays(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a"), "config/b.yaml": config_map("b")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    commit = world.repository.commit({"config/a.yaml": config_map("a", **{MANAGED: "disabled"})})
    await world.until_synced(commit)
    released = await world.config_map("a")
    assert released is not None
    assert not released["metadata"].get("annotations")
    assert "ConfigMap/a" not in await world.statuses()


async def test_a_detached_object_outlives_its_declaration(world: World) -> None:
    detached = config_map("a", **{"client.lifecycle.config.k8s.io/deletion": "detach"})
    commit = world.repository.commit({"config/a.yaml": detached, "config/b.yaml": config_map("b")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    commit = world.repository.commit({"config/a.yaml": None})
    await world.until_synced(commit)
    kept = await world.config_map("a")
    assert kept is not None
    assert MANAGED not in kept["metadata"]["annotations"]


async def test_an_object_that_ignores_mutation_is_made_once_and_then_left_alone(world: World) -> None:
    free = {"client.lifecycle.config.k8s.io/mutation": "ignore"}
    commit = world.repository.commit({"config/a.yaml": config_map("a", **free), "config/b.yaml": config_map("b")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    await world.patch_config_map("a", {"data": {"value": "by hand"}})
    commit = world.repository.commit({"config/b.yaml": config_map("b", "2")})
    await world.until_synced(commit)
    now = await world.config_map("a")
    assert now is not None
    assert now["data"] == {"value": "by hand"}
    assert now["metadata"]["annotations"]["configmanagement.gke.io/token"] == commit


async def test_a_sync_deleted_with_foreground_propagation_takes_its_objects_along(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    resource = await world.client.resource(SYNC_API_VERSION, "RootSync")
    annotation = {"metadata": {"annotations": {"configsync.gke.io/deletion-propagation-policy": "Foreground"}}}
    await world.client.patch(resource, ROOT.name, ROOT.namespace, annotation)
    world.start(ROOT)
    await world.until_synced(commit)
    await world.delete(SYNC_API_VERSION, "RootSync", ROOT.name, ROOT.namespace)

    async def is_gone() -> bool:
        return await world.get(SYNC_API_VERSION, "RootSync", ROOT.name, ROOT.namespace) is None

    await until(is_gone)
    assert await world.config_map("a") is None
    assert await world.get("kpt.dev/v1alpha1", "ResourceGroup", ROOT.name, ROOT.namespace) is None


async def test_a_sync_deleted_without_it_leaves_its_objects(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    await world.delete(SYNC_API_VERSION, "RootSync", ROOT.name, ROOT.namespace)
    await world.stop()
    assert await world.config_map("a") is not None


async def test_what_others_need_is_pruned_after_them(world: World) -> None:
    first = config_map("first", **{"config.kubernetes.io/depends-on": "/namespaces/ml-team/ConfigMap/second"})
    held = {**first, "metadata": {**first["metadata"], "finalizers": ["example.com/held"]}}
    files = {"config/a.yaml": held, "config/b.yaml": config_map("second"), "config/c.yaml": config_map("third")}
    commit = world.repository.commit(files)
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    world.repository.commit({"config/a.yaml": None, "config/b.yaml": None})

    async def is_ending() -> bool:
        live = await world.config_map("first")
        return live is not None and "deletionTimestamp" in live["metadata"]

    await until(is_ending)
    assert await world.config_map("second") is not None
    await world.patch_config_map("first", {"metadata": {"finalizers": None}})

    async def is_gone() -> bool:
        return await world.config_map("second") is None

    await until(is_gone)
