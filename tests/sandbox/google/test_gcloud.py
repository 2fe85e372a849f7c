"""The real gcloud, led to the sandbox by its environment alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.google.conftest import PROJECT, Sandbox
from tests.sandbox.google.test_hub import Fleet

GCLOUD = shutil.which("gcloud")
pytestmark = pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed")

SERVICES = ("container", "gkehub", "connectgateway", "cloudresourcemanager", "serviceusage", "iam", "cloudbilling")


class Gcloud:
    """gcloud with an environment of its own."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        token = folder / "token"
        token.write_text(sandbox.owner_token)
        overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}": f"{sandbox.url}/{name}/" for name in SERVICES}
        overrides["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"] = f"{sandbox.url}/compute/v1/"
        overrides["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"] = f"{sandbox.url}/storage/v1/"
        self.kubeconfig = folder / "kubeconfig"
        self.environment = {
            **os.environ,
            **overrides,
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "KUBECONFIG": str(self.kubeconfig),
        }

    def __call__(self, *arguments: str) -> Any:
        command = [str(GCLOUD), *arguments, "--format=json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture
def gcloud(start_sandbox: Callable[..., Sandbox], tmp_path: Path) -> Gcloud:
    sandbox = start_sandbox()
    fleet = Fleet(sandbox)
    fleet.cluster("dev")
    return Gcloud(sandbox, tmp_path)


def test_gcloud_sees_the_cluster_and_its_fleet(gcloud: Gcloud) -> None:
    assert [found["name"] for found in gcloud("container", "clusters", "list")] == ["dev"]
    gcloud("container", "fleet", "memberships", "register", "dev", "--gke-cluster=us-central1/dev")
    gcloud("container", "fleet", "memberships", "get-credentials", "dev")
    assert f"connectgateway_{PROJECT}_" in gcloud.kubeconfig.read_text()
    members = gcloud("container", "fleet", "memberships", "list")
    assert [found["name"].rpartition("/")[2] for found in members] == ["dev"]


def test_gcloud_copies_to_and_from_a_bucket(gcloud: Gcloud, tmp_path: Path) -> None:
    sent, received = tmp_path / "sent", tmp_path / "received"
    sent.write_bytes(os.urandom(9_000_000))
    gcloud("storage", "buckets", "create", "gs://copies-of-a-file", "--location=us-central1")
    gcloud("storage", "cp", str(sent), "gs://copies-of-a-file/folder/file")
    gcloud("storage", "cp", "gs://copies-of-a-file/folder/file", str(received))
    assert received.read_bytes() == sent.read_bytes()
    gcloud("storage", "rm", "--recursive", "gs://copies-of-a-file")
