"""The layers of Terraform: which root, with which state and variables, in which order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp_helpers.config import PlatformConfig
from mlp_helpers.configsync import cluster_folder
from mlp_helpers.endpoints import Endpoints
from mlp_helpers.terraform import Terraform

SOURCE = Path(__file__).resolve().parent.parent / "terraform"


@dataclass(frozen=True)
class Layer:
    """One Terraform root with a state of its own.

    Args:
        root: Folder under terraform/.
        prefix: Where its state lies in the state bucket.
        variables: What the configuration says, as the root's variables.
    """

    root: str
    prefix: str
    variables: Mapping[str, Any]


def project_layer(config: PlatformConfig, project: str) -> Layer:
    """APIs and the fleet's features: once per project."""
    return Layer("project", f"project/{project}", {"project_id": project})


def repository_layer(config: PlatformConfig) -> Layer:
    """The configuration repository: once per platform, a branch per environment."""
    variables = {
        "owner": config.github.owner,
        "name": config.github.repository,
        "visibility": config.github.visibility,
        "environments": list(config.environments),
    }
    return Layer("repository", "repository", variables)


def environment_layer(config: PlatformConfig, name: str, *, repository_url: str) -> Layer:
    """Everything of one environment: network, cluster, fleet membership, Config Sync, artifact bucket."""
    environment = config.environment(name)
    variables = {
        "project_id": config.project_of(name),
        "region": config.region_of(name),
        "zones": list(config.zones_of(name)),
        "environment": name,
        "cluster_name": config.cluster_of(name),
        "network": environment.network.model_dump(),
        "release_channel": environment.release_channel,
        "deletion_protection": environment.deletion_protection,
        "system_machine_type": environment.system_machine_type,
        "general_machine_type": environment.general_machine_type,
        "general_max_nodes": environment.general_max_nodes,
        "config_sync": {"repository": repository_url, "branch": name, "directory": cluster_folder(name)},
        "artifact_bucket": config.artifact_bucket(name),
        "teams": sorted(config.teams_of(name)),
    }
    return Layer("environment", f"environment/{name}", variables)


def work_folder() -> Path:
    """Where Terraform's working copies lie: under MLP_HOME, by default .mlp."""
    return Path(os.environ.get("MLP_HOME", ".mlp")).expanduser().resolve() / "terraform"


def open_layer(layer: Layer, config: PlatformConfig, endpoints: Endpoints) -> Terraform:
    """Terraform for a layer, with its backend and the providers' environment."""
    return Terraform(
        SOURCE / layer.root,
        work_folder() / config.project / layer.prefix,
        backend=endpoints.terraform_backend(config.state_bucket, layer.prefix),
        environment=endpoints.terraform_environment(),
    )
