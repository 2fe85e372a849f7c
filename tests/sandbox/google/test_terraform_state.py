"""Terraform's own gcs backend against the emulated Cloud Storage: state, versions, and a lock that holds."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from google.cloud import storage

from mlp_helpers.waiting import Ready, Waiting, wait_for
from tests.sandbox.google.conftest import Sandbox

TERRAFORM = shutil.which("terraform")
pytestmark = pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed")

ROOT = """
terraform {
  backend "gcs" {}
}
variable "held" {
  type    = number
  default = 0
}
resource "terraform_data" "first" {
  input = "one"
}
resource "terraform_data" "slow" {
  input = var.held
  provisioner "local-exec" {
    command = "sleep ${self.input}"
  }
}
"""


class Root:
    """A Terraform root whose state is in a bucket of the sandbox."""

    def __init__(self, folder: Path, sandbox: Sandbox, bucket: storage.Bucket) -> None:
        self.folder, self.bucket = folder, bucket
        (folder / "main.tf").write_text(ROOT)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE_", "TF_"))}
        self.environment = kept | {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "TF_INPUT": "0"}
        self.run(
            "init",
            f"-backend-config=bucket={bucket.name}",
            "-backend-config=prefix=environment/dev",
            f"-backend-config=storage_custom_endpoint={sandbox.url}/storage/v1/",
            f"-backend-config=access_token={sandbox.owner_token}",
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(TERRAFORM), *arguments, "-no-color"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start terraform and wait until it holds the lock."""
        process = subprocess.Popen(
            [str(TERRAFORM), *arguments, "-no-color"],
            cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        lock = self.bucket.blob("environment/dev/default.tflock")
        wait_for(lambda: Ready(None) if lock.exists() else Waiting("no lock"), "the lock", timeout_seconds=20)
        return process


@pytest.fixture
def root(tmp_path: Path, sandbox: Sandbox, bucket: storage.Bucket) -> Root:
    return Root(tmp_path, sandbox, bucket)


def test_state_is_written_read_and_versioned(root: Root) -> None:
    root.run("apply", "-auto-approve")
    assert "terraform_data.first" in root.run("state", "list")
    assert '"serial": ' in root.run("state", "pull")
    root.run("workspace", "new", "other")
    root.run("workspace", "select", "default")
    root.run("plan", "-detailed-exitcode")
    root.run("apply", "-auto-approve", "-replace=terraform_data.first")
    versions = [blob for blob in root.bucket.list_blobs(versions=True) if blob.name.endswith("default.tfstate")]
    assert len(versions) >= 2


def test_a_second_plan_is_refused_while_the_lock_is_held_and_can_wait_for_it(root: Root) -> None:
    first = root.start("apply", "-auto-approve", "-var=held=3")
    refused = root.run("plan", code=1)
    assert "Error acquiring the state lock" in refused
    assert "conditionNotMet" in refused
    began = time.monotonic()
    root.run("plan", "-lock-timeout=30s")
    assert time.monotonic() - began > 0.5
    assert first.wait(30) == 0


def test_the_lock_of_a_killed_run_stays_until_it_is_forced(root: Root) -> None:
    killed = root.start("apply", "-auto-approve", "-var=held=60")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(10)
    refused = root.run("plan", code=1)
    lock = re.search(r"ID:\s+(\d+)", refused)
    assert lock, refused
    root.run("force-unlock", "-force", lock[1])
    root.run("plan", "-detailed-exitcode", code=2)
