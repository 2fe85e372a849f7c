"""The three roots applied with the stand-in providers to the emulated Google and GitHub, from an empty state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mlp_helpers.errors import TerraformError
from mlp_helpers.sandbox.github.store import Account
from mlp_helpers.sandbox.terraform import write_mirror
from mlp_helpers.terraform import Plan, Terraform
from mlp_helpers.waiting import Interrupted
from tests.sandbox.github.running import Running
from tests.sandbox.google.conftest import NUMBER, PROJECT, Sandbox

SOURCE = Path(__file__).parent.parent / "terraform"
BUCKET = f"{PROJECT}-mlp-state"
ACCOUNTS = {"full-token": Account("mlp-sandbox", ("repo", "delete_repo", "workflow"))}
ENVIRONMENT = {
    "artifacts": {"bucket": f"{PROJECT}-mlp-dev-artifacts"},
    "config_sync": {"repository_url": "https://github.com/mlp-sandbox/mlp-configsync"},
    "deletion_protection": False,
    "environment": "dev",
    "project": PROJECT,
    "project_number": NUMBER,
    "region": "us-central1",
    "teams": {"ml-team": {}},
    "zones": ["us-central1-a"],
}


class Layers:
    """Opens roots with the emulated services as backend and world."""

    def __init__(self, folder: Path, google: Sandbox, github: Running) -> None:
        self.folder, self.google, self.github = folder, google, github
        google.storage().create_bucket(BUCKET)
        self._endpoints = folder / "endpoints.json"
        self._rc = write_mirror(folder / "mirror")
        for name, token in (("google-token", google.owner_token), ("github-token", "full-token")):
            (folder / name).write_text(token)
        self._endpoints.write_text(
            json.dumps(
                {
                    "version": 1,
                    "google": google.url,
                    "github": github.url,
                    "project": PROJECT,
                    "project_number": NUMBER,
                    "google_token_file": str(folder / "google-token"),
                    "github_token_file": str(folder / "github-token"),
                    "terraform_cli_config": str(self._rc),
                }
            )
        )

    def open(self, root: str, prefix: str) -> Terraform:
        backend = {"bucket": BUCKET, "prefix": prefix, "storage_custom_endpoint": f"{self.google.url}/storage/v1/"}
        environment = {
            "TF_CLI_CONFIG_FILE": str(self._rc),
            "MLP_SANDBOX_ENDPOINTS": str(self._endpoints),
            "GOOGLE_OAUTH_ACCESS_TOKEN": self.google.owner_token,
            "GITHUB_TOKEN": "full-token",
            "GITHUB_BASE_URL": f"{self.github.url}/",
        }
        return Terraform(SOURCE / root, self.folder / "work" / prefix, backend=backend, environment=environment)


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Layers]:
    google = Sandbox(tmp_path / "google")
    with Running(tmp_path / "github", ACCOUNTS.get) as github:
        yield Layers(tmp_path, google, github)
    google.stop()


def assert_settled(terraform: Terraform, variables: Mapping[str, object]) -> None:
    """A second plan finds nothing to do: what the services answer is what was asked for."""
    second: Plan = terraform.plan(variables)
    assert second.rows() == []
    assert not second.has_changes


def test_the_project_layer(layers: Layers) -> None:
    terraform = layers.open("project", f"project/{PROJECT}")
    variables = {"project": PROJECT, "gateway_members": ["group:ml-team@sandbox.example"]}

    outputs = terraform.apply(terraform.plan(variables))

    assert outputs["project"] == PROJECT
    assert outputs["config_management_feature"] == "configmanagement"
    assert_settled(terraform, variables)
    terraform.destroy(variables)
    assert len(terraform.outputs()) == 0


def test_the_repository_layer(layers: Layers) -> None:
    terraform = layers.open("repository", "repository")
    variables = {"owner": "mlp-sandbox", "environments": ["dev", "prod"], "deletion_protection": False}

    outputs = terraform.apply(terraform.plan(variables))

    assert outputs.text("full_name") == "mlp-sandbox/mlp-configsync"
    assert outputs.text("default_branch") == "dev"
    assert outputs.text("clone_url").endswith("/mlp-sandbox/mlp-configsync.git")
    assert_settled(terraform, variables)
    destroying = terraform.plan(variables, destroy=True)
    assert [change.type for change in destroying.destroys_data] == ["github_repository"]
    terraform.destroy(variables)


def test_branches_are_protected_after_the_first_commit(layers: Layers) -> None:
    terraform = layers.open("repository", "repository")
    variables = {"owner": "mlp-sandbox", "environments": ["dev", "prod"], "visibility": "public"}
    terraform.apply(terraform.plan(variables))

    protected = variables | {"protected_environments": ["prod"], "required_reviews": 0}
    plan = terraform.plan(protected)
    terraform.apply(plan)

    assert [change.type for change in plan.changes] == ["github_repository_ruleset"]
    assert_settled(terraform, protected)


def test_the_environment_layer(layers: Layers) -> None:
    project = layers.open("project", f"project/{PROJECT}")
    project.apply(project.plan({"project": PROJECT}))
    terraform = layers.open("environment", "environment/dev")

    outputs = terraform.apply(terraform.plan(ENVIRONMENT))

    assert outputs.text("cluster_id") == f"projects/{PROJECT}/locations/us-central1/clusters/mlp-dev"
    assert (outputs["membership_id"], outputs["membership_location"]) == ("mlp-dev", "us-central1")
    assert outputs.text("artifact_url") == f"gs://{PROJECT}-mlp-dev-artifacts"
    assert outputs["team_principals"] == {
        "ml-team": f"principal://iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools/"
        f"{PROJECT}.svc.id.goog/subject/ns/ml-team/sa/ray"
    }
    assert outputs["config_sync"] == {
        "branch": "dev",
        "directory": "clusters/dev",
        "secret_type": "token",
        "url": "https://github.com/mlp-sandbox/mlp-configsync",
    }
    assert_settled(terraform, ENVIRONMENT)
    spec = layers.google.host.clusters[outputs.text("cluster_id")]
    assert sorted(pool.name for pool in spec.node_pools) == ["general", "system"]

    terraform.destroy(ENVIRONMENT)

    assert layers.google.host.clusters == {}


def test_a_protected_cluster_is_not_destroyed(layers: Layers) -> None:
    project = layers.open("project", f"project/{PROJECT}")
    project.apply(project.plan({"project": PROJECT}))
    terraform = layers.open("environment", "environment/dev")
    protected = ENVIRONMENT | {"deletion_protection": True}
    terraform.apply(terraform.plan(protected))

    with pytest.raises(TerraformError, match="apply that, then destroy"):
        terraform.destroy(protected)

    (cluster,) = layers.google.host.clusters.values()
    assert len(cluster.node_pools) == 2  # refused before anything was touched

    terraform.apply(terraform.plan(ENVIRONMENT))
    terraform.destroy(ENVIRONMENT)

    assert layers.google.host.clusters == {}


class InterruptAt:
    """A watcher like a person who presses stop when a certain thing is made."""

    def __init__(self, begin: str) -> None:
        self._begin = begin

    def update(self, reason: str, *, done: int | None = None, total: int | None = None) -> None:
        if self._begin and reason.startswith(self._begin):
            self._begin = ""
            raise KeyboardInterrupt


def test_an_interrupted_environment_is_finished_by_the_next_apply(layers: Layers) -> None:
    project = layers.open("project", f"project/{PROJECT}")
    project.apply(project.plan({"project": PROJECT}))
    terraform = layers.open("environment", "environment/dev")

    with pytest.raises(Interrupted):
        terraform.apply(terraform.plan(ENVIRONMENT), watcher=InterruptAt("creating module.cluster."))
    assert terraform.state_lock() is None

    rest = terraform.plan(ENVIRONMENT)
    assert rest.has_changes
    terraform.apply(rest, allow_destroy=True)  # a cluster that was half made is made anew
    assert_settled(terraform, ENVIRONMENT)


def test_two_environments_of_one_project_do_not_take_from_each_other(layers: Layers) -> None:
    project = layers.open("project", f"project/{PROJECT}")
    project.apply(project.plan({"project": PROJECT}))
    prod = {"environment": "prod", "artifacts": {"bucket": f"{PROJECT}-mlp-prod-artifacts"}}
    dev = layers.open("environment", "environment/dev")
    other = layers.open("environment", "environment/prod")
    dev.apply(dev.plan(ENVIRONMENT))
    other.apply(other.plan(ENVIRONMENT | prod))

    other.destroy(ENVIRONMENT | prod)

    assert_settled(dev, ENVIRONMENT)


def test_a_network_too_small_is_refused_at_plan(layers: Layers) -> None:
    terraform = layers.open("environment", "environment/dev")
    small = {"nodes": "10.10.0.0/20", "pods": "10.16.0.0/22", "services": "10.20.0.0/20"}

    with pytest.raises(TerraformError, match=r"9 nodes do not fit: 10.10.0.0/20 carries 4092, 10.16.0.0/22 carries 4"):
        terraform.plan(ENVIRONMENT | {"network": small})


def test_ranges_that_overlap_are_refused_at_plan(layers: Layers) -> None:
    terraform = layers.open("environment", "environment/dev")
    crossing = {"nodes": "10.10.0.0/20", "pods": "10.16.0.0/14", "services": "10.19.0.0/20"}

    with pytest.raises(TerraformError, match="must not overlap: pods and services"):
        terraform.plan(ENVIRONMENT | {"network": crossing})
