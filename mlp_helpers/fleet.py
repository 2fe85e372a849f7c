"""The fleet: memberships, and the way in to private clusters through the Connect Gateway."""

from __future__ import annotations

from typing import Any

from mlp_helpers.endpoints import Endpoints
from mlp_helpers.errors import ServiceError
from mlp_helpers.kubernetes import Cluster


def membership_name(project: str, location: str, membership: str) -> str:
    """Full resource name of a membership."""
    return f"projects/{project}/locations/{location}/memberships/{membership}"


def fetch_kubeconfig(endpoints: Endpoints, *, project: str, location: str, membership: str) -> dict[str, Any]:
    """Ask the Connect Gateway for a kubeconfig, as `gcloud container fleet memberships get-credentials` does.

    Raises:
        ServiceError: The membership does not exist, or one of the three grants that the gateway needs is missing.
    """
    import yaml
    from google.api_core import exceptions

    name = membership_name(endpoints.project_number(project), location, membership)
    try:
        answer = endpoints.gateway().generate_credentials(request={"name": name})
    except exceptions.NotFound as error:
        raise ServiceError(
            f"The cluster {membership} is not a member of the fleet.",
            why=error.message,
            fix="Run the provisioning step (notebook 02, or mlp apply).",
        ) from error
    except exceptions.Forbidden as error:
        raise ServiceError(
            f"You may not use the Connect Gateway for {membership}.",
            why=error.message,
            fix="Three grants are needed: roles/gkehub.gatewayEditor, roles/gkehub.viewer, and Kubernetes RBAC in the "
            "cluster for your e-mail or group.",
        ) from error
    kubeconfig: dict[str, Any] = yaml.safe_load(answer.kubeconfig)
    return kubeconfig


def connect_cluster(endpoints: Endpoints, *, project: str, location: str, membership: str) -> Cluster:
    """A cluster by its membership, ready to use."""
    kubeconfig = fetch_kubeconfig(endpoints, project=project, location=location, membership=membership)
    return Cluster(kubeconfig, membership)


def list_memberships(endpoints: Endpoints, project: str) -> list[str]:
    """Full names of all memberships of a project's fleet."""
    parent = f"projects/{project}/locations/-"
    return [each.name for each in endpoints.hub().list_memberships(request={"parent": parent})]
