"""The emulated services, real Terraform, and a working folder for each test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlp_helpers.sandbox.github.store import Account
from mlp_helpers.sandbox.terraform import write_mirror
from mlp_helpers.sandbox.terraform.api import Client
from mlp_helpers.waiting import Ready, Waiting, wait_for
from tests.sandbox.github.running import Running
from tests.sandbox.google.conftest import NUMBER, PROJECT, Sandbox

GITHUB_TOKEN = "github-canary-token"

HEADER = """
terraform {
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
    github = {
      source  = "integrations/github"
      version = "~> 6.13"
    }
  }
}

provider "google" {
  project = "mlp-sandbox"
  region  = "us-central1"
}

provider "github" {}
"""


@dataclass(frozen=True)
class World:
    """The running services and how to reach them."""

    endpoints: Path
    cli_config: Path
    google_server: Sandbox
    google: Client
    github: Client

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.endpoints.parent),
            "TF_CLI_CONFIG_FILE": str(self.cli_config),
            "MLP_SANDBOX_ENDPOINTS": str(self.endpoints),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
        }


def serve(home: Path, *, operation_seconds: float = 0.05) -> Iterator[World]:
    """Run both servers under a home with a space in its path."""
    home.mkdir(parents=True)
    google = Sandbox(home, operation_seconds=operation_seconds)
    (home / "google-token").write_text(google.owner_token)
    (home / "github-token").write_text(GITHUB_TOKEN)
    accounts = {GITHUB_TOKEN: Account("mlp-sandbox", ("repo", "delete_repo", "workflow"))}
    with Running(home, accounts.get) as github:
        endpoints = home / "endpoints.json"
        endpoints.write_text(
            json.dumps(
                {
                    "google": google.url,
                    "github": github.url,
                    "project": PROJECT,
                    "project_number": NUMBER,
                    "google_token_file": str(home / "google-token"),
                    "github_token_file": str(home / "github-token"),
                }
            )
        )
        world = World(
            endpoints,
            write_mirror(home / "terraform"),
            google,
            Client(google.url, home / "google-token"),
            Client(f"{github.url}/api/v3", home / "github-token"),
        )
        for name in ("compute", "container", "gkehub", "iam"):
            _enable(world.google, f"{name}.googleapis.com")
        yield world
    google.stop()


def _enable(google: Client, name: str) -> None:
    """Enable an API and wait: nothing answers before."""
    service = f"/serviceusage/v1/projects/{PROJECT}/services/{name}"
    google.call("POST", f"{service}:enable", {})

    def look() -> Ready[None] | Waiting:
        state = google.call("GET", service)["state"]
        return Ready(None) if state == "ENABLED" else Waiting(state)

    wait_for(look, name, timeout_seconds=20, first_pause_seconds=0.02)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from serve(tmp_path_factory.mktemp("world") / "home with space")


@pytest.fixture
def slow_world(tmp_path: Path) -> Iterator[World]:
    """Services of the test's own whose operations take their time."""
    yield from serve(tmp_path / "slow home", operation_seconds=3)


class Terraform:
    """Real Terraform in a folder."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self._world = folder, world
        folder.mkdir()

    def write(self, text: str, *, header: str = HEADER) -> None:
        (self.folder / "main.tf").write_text(header + text)

    def run(self, *arguments: str, ok: tuple[int, ...] = (0,), **environment: str) -> subprocess.CompletedProcess[str]:
        finished = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=self._world.environment() | environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert finished.returncode in ok, finished.stdout + finished.stderr
        return finished

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["terraform", *arguments],
            cwd=self.folder,
            env=self._world.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def init(self) -> None:
        self.run("init", "-input=false", "-no-color")

    def apply(self, text: str) -> None:
        """Apply a configuration; the next plan must find nothing to do."""
        self.write(text)
        if not (self.folder / ".terraform").exists():
            self.init()
        self.run("apply", "-auto-approve", "-input=false", "-no-color")
        self.expect_no_changes()

    def expect_no_changes(self) -> None:
        plan = self.run("plan", "-input=false", "-no-color", "-detailed-exitcode", ok=(0, 1, 2))
        assert plan.returncode == 0, plan.stdout + plan.stderr

    def plan(self) -> dict[str, tuple[list[str], Any]]:
        """Actions and the paths that force a replacement, by address; only what changes."""
        self.run("plan", "-input=false", "-out=tfplan", "-no-color")
        shown = json.loads(self.run("show", "-json", "tfplan").stdout)
        return {
            change["address"]: (change["change"]["actions"], change["change"].get("replace_paths", []))
            for change in shown["resource_changes"]
            if change["change"]["actions"] not in (["no-op"], ["read"])
        }

    def destroy(self) -> None:
        self.run("destroy", "-auto-approve", "-input=false", "-no-color")
        assert self.resources() == {}

    def resources(self) -> dict[str, dict[str, Any]]:
        """The attributes in the state, by address."""
        shown = json.loads(self.run("show", "-json").stdout)
        found = shown.get("values", {}).get("root_module", {}).get("resources", [])
        return {each["address"]: each["values"] for each in found if each["mode"] == "managed"}


@pytest.fixture
def terraform(world: World, tmp_path: Path) -> Terraform:
    if shutil.which("terraform") is None:
        pytest.skip("needs the terraform program")
    return Terraform(tmp_path / "work", world)


@pytest.fixture
def terraform_in(tmp_path: Path) -> Callable[[World], Terraform]:
    if shutil.which("terraform") is None:
        pytest.skip("needs the terraform program")
    return lambda world: Terraform(tmp_path / "work", world)
