"""The platform's own Terraform roots against the emulated services: network, cluster, fleet, buckets, repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mlp_helpers.waiting import Ready, Waiting, wait_for
from tests.sandbox.terraform.conftest import Terraform, World

ROOTS = Path(__file__).parents[3] / "terraform"
CLUSTER = "/container/v1/projects/mlp-sandbox/locations/us-central1/clusters/mlp-dev"
FLEET = "/gkehub/v1/projects/mlp-sandbox/locations"


class Root(Terraform):
    """One root in a working copy, with state in a file."""

    def __init__(self, folder: Path, world: World, name: str, **variables: object) -> None:
        shutil.copytree(ROOTS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".terraform*"))
        self.folder, self._world = folder / name, world
        (self.folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        self.set(**variables)
        self.init()

    def set(self, **variables: object) -> None:
        (self.folder / "test.auto.tfvars.json").write_text(json.dumps(variables))

    def bring_up(self) -> None:
        self.run("apply", "-auto-approve", "-input=false", "-no-color")
        self.expect_no_changes()


def change_by_hand(world: World, method: str, path: str, body: object = None) -> None:
    """Change a cluster behind Terraform's back, and wait until that is done."""
    operation = world.google.call(method, path, body)
    place = "/container/v1/projects/mlp-sandbox/locations/us-central1/operations"

    def look() -> Ready[None] | Waiting:
        status = world.google.call("GET", f"{place}/{operation['name']}")["status"]
        return Ready(None) if status == "DONE" else Waiting(status)

    wait_for(look, operation["name"], timeout_seconds=20, first_pause_seconds=0.02)


@pytest.fixture
def variables() -> dict[str, object]:
    return {
        "project": "mlp-sandbox",
        "project_number": "100000000001",
        "region": "us-central1",
        "environment": "dev",
        "zones": ["us-central1-a", "us-central1-b"],
        "deletion_protection": False,
        "artifacts": {"bucket": "mlp-sandbox-mlp-dev-artifacts"},
        "config_sync": {"repository_url": "http://127.0.0.1:1/mlp-sandbox/mlp-configsync.git"},
        "teams": {"ml-team": {}},
    }


def test_the_whole_platform_comes_up_changes_and_goes(
    world: World, tmp_path: Path, variables: dict[str, object]
) -> None:
    project = Root(tmp_path / "roots", world, "project", project="mlp-sandbox")
    project.bring_up()
    environment = Root(tmp_path / "roots", world, "environment", **variables)
    environment.bring_up()

    cluster = world.google.call("GET", CLUSTER)
    assert {pool["name"] for pool in cluster["nodePools"]} == {"general", "system"}
    assert cluster["networkConfig"]["datapathProvider"] == "ADVANCED_DATAPATH"
    feature = world.google.call("GET", f"{FLEET}/global/features/configmanagement")
    (spec,) = feature["membershipSpecs"].values()
    assert spec["configmanagement"]["configSync"]["git"]["policyDir"] == "clusters/dev"

    # Drift: someone deletes a pool and turns off a setting of the cluster.
    change_by_hand(world, "DELETE", f"{CLUSTER}/nodePools/general")
    change_by_hand(world, "PUT", CLUSTER, {"update": {"desiredReleaseChannel": {"channel": "RAPID"}}})
    changes = {address: actions for address, (actions, _) in environment.plan().items()}
    assert changes == {
        "module.cluster.google_container_cluster.this": ["update"],
        'module.node_pool["general"].google_container_node_pool.this': ["create"],
    }
    environment.bring_up()

    environment.set(**variables, general_pool={"machine_type": "e2-standard-8"}, labels={"cost": "research"})
    changes = {address: actions for address, (actions, _) in environment.plan().items()}
    assert changes['module.node_pool["general"].google_container_node_pool.this'] == ["update"]
    assert all(actions == ["update"] for actions in changes.values()), changes
    environment.bring_up()
    assert world.google.call("GET", f"{CLUSTER}/nodePools/general")["config"]["machineType"] == "e2-standard-8"

    environment.set(**variables, general_pool={"spot": True})
    changes = environment.plan()
    address = 'module.node_pool["general"].google_container_node_pool.this'
    assert changes[address] == (["delete", "create"], [["node_config", 0, "spot"]])

    environment.run("destroy", "-auto-approve", "-no-color")
    assert world.google.find(CLUSTER) is None
    project.run("destroy", "-auto-approve", "-no-color")
    assert world.google.find(f"{FLEET}/global/features/configmanagement") is None
    assert not world.google_server.host.clusters
