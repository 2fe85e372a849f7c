"""One reconciler against a real API server and a real repository."""

from __future__ import annotations

from typing import Any

import pytest

from mlp_helpers.sandbox.controllers.client import ConflictError
from mlp_helpers.sandbox.controllers.config_sync.status import condition
from mlp_helpers.sandbox.kubernetes.server import ApiServer
from tests.sandbox.config_sync.worlds import ROOT, World, config_map, until

MANAGED = "configmanagement.gke.io/managed"


def toy_definition() -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "toys.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Toy", "plural": "toys", "singular": "toy", "listKind": "ToyList"},
            "versions": [version],
        },
    }


async def test_a_commit_is_applied_and_told(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    status = await world.until_synced(commit)
    applied = await world.config_map("a")
    assert applied is not None
    annotations = applied["metadata"]["annotations"]
    assert applied["data"] == {"value": "1"}
    assert annotations["configmanagement.gke.io/source-path"] == "config/a.yaml"
    assert annotations["configmanagement.gke.io/token"] == commit
    assert annotations["configmanagement.gke.io/cluster-name"] == "mlp-dev"
    assert annotations["configsync.gke.io/manager"] == ":root"
    assert status["source"]["gitStatus"] == {
        "repo": world.repository.url,
        "branch": "dev",
        "revision": "HEAD",
        "dir": "config",
    }
    assert {status[block]["commit"] for block in ("source", "rendering", "sync")} == {commit}
    assert status["sync"]["errorSummary"] == {"totalCount": 0, "truncated": False, "errorCountAfterTruncation": 0}
    assert status["rendering"]["message"] == "Rendering skipped"
    syncing = condition(status, "Syncing")
    assert (syncing["status"], syncing["message"], syncing["commit"]) == ("False", "Sync Completed", commit)

    async def is_listed() -> bool:
        one = (await world.statuses()).get("ConfigMap/a", {})
        return (one.get("status"), one.get("actuation"), one.get("reconcile")) == ("Current", "Succeeded", "Succeeded")

    await until(is_listed)


async def test_a_new_commit_changes_adds_and_prunes(world: World) -> None:
    world.repository.commit({"config/a.yaml": config_map("a"), "config/b.yaml": config_map("b")})
    await world.declare(ROOT)
    world.start(ROOT)
    commit = world.repository.commit(
        {"config/a.yaml": config_map("a", "2"), "config/b.yaml": None, "config/c.yaml": config_map("c")}
    )
    await world.until_synced(commit)
    changed = await world.config_map("a")
    assert changed is not None
    assert changed["data"] == {"value": "2"}
    assert await world.config_map("b") is None
    assert await world.config_map("c") is not None


async def test_a_broken_manifest_is_an_error_with_file_and_code_and_harms_nothing_else(world: World) -> None:
    good = world.repository.commit({"config/a.yaml": config_map("a"), "config/b.yaml": config_map("b")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(good)
    broken = world.repository.commit({"config/b.yaml": "kind: [ConfigMap\n", "config/a.yaml": config_map("a", "2")})
    error = await world.until_error(1006)
    assert error["errorResources"] == [{"sourcePath": "config/b.yaml"}]
    assert "config/b.yaml" in error["errorMessage"]
    status = await world.status()
    assert status["source"]["commit"] == broken
    assert status["sync"]["commit"] == good
    assert condition(status, "Syncing")["errorSourceRefs"] == ["SourceError"]
    for name in ("a", "b"):
        kept = await world.config_map(name)
        assert kept is not None
        assert kept["data"] == {"value": "1"}
    mended = world.repository.commit({"config/b.yaml": config_map("b", "2")})
    await world.until_synced(mended)


async def test_deleting_a_synced_object_by_hand_brings_it_back(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    before = await world.config_map("a")
    assert before is not None
    await world.delete("v1", "ConfigMap", "a", "ml-team")

    async def is_back() -> bool:
        now = await world.config_map("a")
        return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"]

    await until(is_back, seconds=3)


@pytest.mark.parametrize(
    "change",
    [{"data": {"value": "by hand"}}, {"data": None}, {"metadata": {"annotations": {MANAGED: None}}}],
)
async def test_a_change_by_hand_is_put_right(world: World, change: dict[str, Any]) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    await world.patch_config_map("a", change)

    async def is_right() -> bool:
        now = await world.config_map("a")
        assert now is not None
        return now.get("data") == {"value": "1"} and now["metadata"]["annotations"].get(MANAGED) == "enabled"

    await until(is_right, seconds=3)


async def test_what_others_add_stays(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    await world.patch_config_map("a", {"data": {"theirs": "x"}})
    commit = world.repository.commit({"config/b.yaml": config_map("b")})
    await world.until_synced(commit)
    now = await world.config_map("a")
    assert now is not None
    assert now["data"] == {"value": "1", "theirs": "x"}


async def test_pruning_stops_when_the_source_is_empty(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    world.repository.commit({"config/a.yaml": "# nothing left\n"})
    await world.until_error(2006)
    assert await world.config_map("a") is not None


async def test_a_source_that_cannot_be_read_is_2004_and_passes(world: World) -> None:
    await world.declare(ROOT, git={"branch": "absent"})
    world.repository.commit({"other/a.yaml": config_map("a")})
    world.start(ROOT)
    error = await world.until_error(2004)
    assert "Remote branch absent not found" in error["errorMessage"]
    await world.declare(ROOT, git={"dir": "absent"})

    async def names_directory() -> bool:
        return any('the directory "absent" does not exist' in one["errorMessage"] for one in await world.errors())

    await until(names_directory)
    commit = world.repository.commit({"absent/a.yaml": config_map("a")})
    await world.until_synced(commit)


async def test_a_directory_outside_of_the_repository_is_refused(world: World) -> None:
    world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT, git={"dir": "../../.."})
    world.start(ROOT)
    await world.until_error(2004)


async def test_a_revision_wins_over_the_branch(world: World) -> None:
    first = world.repository.commit({"config/a.yaml": config_map("a")})
    world.repository.commit({"config/a.yaml": config_map("a", "2")})
    await world.declare(ROOT, git={"revision": first})
    world.start(ROOT)
    await world.until_synced(first)
    now = await world.config_map("a")
    assert now is not None
    assert now["data"] == {"value": "1"}


async def test_an_unknown_kind_is_1021_and_stops_only_itself(world: World) -> None:
    toy = {"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "a", "namespace": "ml-team"}}
    commit = world.repository.commit({"config/toy.yaml": toy, "config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    error = await world.until_error(1021)
    assert error["errorResources"][0]["sourcePath"] == "config/toy.yaml"
    assert error["errorResources"][0]["resourceGVK"] == {"group": "example.com", "version": "v1", "kind": "Toy"}

    async def is_applied() -> bool:
        return await world.config_map("a") is not None

    await until(is_applied)
    await world.client.apply(toy_definition(), manager="tests")
    await world.until_synced(commit)
    assert await world.get("example.com/v1", "Toy", "a", "ml-team") is not None


async def test_a_definition_and_its_objects_may_come_in_one_commit(world: World) -> None:
    toy = {"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "a", "namespace": "toys"}}
    commit = world.repository.commit({"config/a-toy.yaml": toy, "config/definition.yaml": toy_definition()})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    assert await world.get("example.com/v1", "Toy", "a", "toys") is not None
    implicit = await world.get("v1", "Namespace", "toys")
    assert implicit is not None
    assert implicit["metadata"]["annotations"]["client.lifecycle.config.k8s.io/deletion"] == "detach"


async def test_a_kustomization_is_built_and_a_broken_one_is_1068(world: World) -> None:
    kustomization = "namePrefix: dev-\nresources: [a.yaml]\n"
    commit = world.repository.commit({"config/kustomization.yaml": kustomization, "config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    status = await world.until_synced(commit)
    assert status["rendering"]["message"] == "Rendering succeeded"
    assert await world.config_map("dev-a") is not None
    broken = world.repository.commit({"config/kustomization.yaml": "resources: [absent.yaml]\n"})
    error = await world.until_error(1068)
    assert "absent.yaml" in error["errorMessage"]
    status = await world.status()
    assert status["rendering"]["commit"] == broken
    assert condition(status, "Syncing")["errorSourceRefs"] == ["RenderingError"]
    assert await world.config_map("dev-a") is not None


async def test_the_default_format_of_a_root_sync_is_the_hierarchy(world: World) -> None:
    world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT, sourceFormat="")
    world.start(ROOT)
    error = await world.until_error(1017)
    assert "sourceFormat: unstructured" in error["errorMessage"]
    world.repository.commit({"config/system/repo.yaml": "kind: Repo\napiVersion: configmanagement.gke.io/v1\n"})
    await world.until_error(9998)


async def test_a_fight_over_an_object_is_2005_and_is_slowed_down(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)

    async def fight() -> bool:
        now = await world.config_map("a")
        if now is not None and now["data"]["value"] == "1":
            now["data"] = {"value": "mine"}
            try:
                await world.client.replace({"apiVersion": "v1", "kind": "ConfigMap", **now})
            except ConflictError:
                return False
        return any(error["code"] == "2005" for error in await world.errors())

    await until(fight)


async def test_a_chart_of_the_catalogue_is_installed_and_another_is_refused(world: World) -> None:
    helm = {
        "repo": "https://ray-project.github.io/kuberay-helm/",
        "chart": "kuberay-operator",
        "version": "1.7.0",
        "releaseName": "kuberay-operator",
        "namespace": "kuberay-system",
        "includeCRDs": True,
        "auth": "none",
        "period": "300ms",
    }
    await world.declare(ROOT, sourceType="helm", helm=helm)
    world.start(ROOT)
    await world.until_synced("1.7.0")
    assert await world.get("apps/v1", "Deployment", "kuberay-operator", "kuberay-system") is not None
    assert (await world.client.resource("ray.io/v1", "RayCluster")).namespaced
    await world.declare(ROOT, sourceType="helm", helm={**helm, "chart": "kuberay-apiserver"})
    error = await world.until_error(2004)
    assert "not available in the sandbox: chart kuberay-apiserver" in error["errorMessage"]


async def test_a_reconciler_goes_on_after_the_api_server_was_away(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    port = int(world.server.url.rpartition(":")[2])
    await world.server.stop()
    commit = world.repository.commit({"config/a.yaml": config_map("a", "2")})
    world.server = ApiServer(world.server.folder, port=port)
    await world.server.start()
    await world.until_synced(commit)
    now = await world.config_map("a")
    assert now is not None
    assert now["data"] == {"value": "2"}
    await world.stop()
    await world.server.stop()


async def test_a_new_reconciler_without_its_source_keeps_what_the_status_knows(world: World) -> None:
    commit = world.repository.commit({"config/a.yaml": config_map("a")})
    await world.declare(ROOT)
    world.start(ROOT)
    await world.until_synced(commit)
    await world.stop()
    world.repository.bare.rename(world.repository.bare.with_name("away.git"))
    world.start(ROOT)
    await world.until_error(2004)
    status = await world.status()
    assert status["source"]["commit"] == status["sync"]["commit"] == status["lastSyncedCommit"] == commit
    assert await world.config_map("a") is not None
