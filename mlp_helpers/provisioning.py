"""The layers of Terraform: which root, with which state and variables, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp_helpers.config import PlatformConfig
from mlp_helpers.configsync import cluster_folder
from mlp_helpers.endpoints import Endpoints
from mlp_helpers.folders import PROJECT_FOLDER, mlp_home
from mlp_helpers.terraform import Terraform

SOURCE = PROJECT_FOLDER / "terraform"


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
    here = [name for name in config.environments if config.project_of(name) == project]
    groups = {team.group for name in here for team in config.teams_of(name).values()}
    variables = {"project": project, "gateway_members": sorted(f"group:{group}" for group in groups)}
    return Layer("project", f"project/{project}", variables)


def repository_layer(config: PlatformConfig) -> Layer:
    """The configuration repository: once per platform, a branch per environment."""
    variables = {
        "owner": config.github.owner,
        "name": config.github.repository,
        "visibility": config.github.visibility,
        "environments": list(config.environments),
        "deletion_protection": any(each.deletion_protection for each in config.environments.values()),
    }
    return Layer("repository", "repository", variables)


def environment_layer(config: PlatformConfig, name: str, *, repository_url: str, project_number: str) -> Layer:
    """Everything of one environment: network, cluster, fleet membership, Config Sync, artifact bucket.

    Args:
        repository_url: Address from which the cluster clones the configuration repository.
        project_number: Number of the environment's project; Workload Identity principals are named by it.
    """
    environment = config.environment(name)
    network = environment.network
    variables = {
        "project": config.project_of(name),
        "project_number": project_number,
        "region": config.region_of(name),
        "zones": list(config.zones_of(name)),
        "environment": name,
        "cluster": {"name": config.cluster_of(name), "release_channel": environment.release_channel},
        "network": {"nodes": network.nodes_cidr, "pods": network.pods_cidr, "services": network.services_cidr},
        "system_pool": {"machine_type": environment.system_machine_type},
        "general_pool": {
            "machine_type": environment.general_machine_type,
            "max_nodes": environment.general_max_nodes,
        },
        "deletion_protection": environment.deletion_protection,
        "config_sync": {"repository_url": repository_url, "branch": name, "directory": cluster_folder(name)},
        "artifacts": {"bucket": config.artifact_bucket(name), "location": config.buckets.location},
        "teams": {team: {} for team in config.teams_of(name)},
    }
    return Layer("environment", f"environment/{name}", variables)


def work_folder() -> Path:
    """Where Terraform's working copies lie."""
    return mlp_home() / "terraform"


def open_layer(layer: Layer, config: PlatformConfig, endpoints: Endpoints) -> Terraform:
    """Terraform for a layer, with its backend and the providers' environment."""
    return Terraform(
        SOURCE / layer.root,
        work_folder() / config.project / layer.prefix,
        backend=endpoints.terraform_backend(config.state_bucket, layer.prefix),
        environment=endpoints.terraform_environment(),
    )
