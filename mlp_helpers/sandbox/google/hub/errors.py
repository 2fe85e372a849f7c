"""The fleet's refusals."""

from __future__ import annotations

from mlp_helpers.sandbox.google.errors import GoogleError, error_info

SERVICE = "gkehub.googleapis.com"


def not_found(name: str) -> GoogleError:
    return GoogleError("NOT_FOUND", f"Resource '{name}' was not found")


def already_exists(name: str) -> GoogleError:
    return GoogleError("ALREADY_EXISTS", f"Resource '{name}' already exists")


def invalid_field(field: str, why: str) -> GoogleError:
    return GoogleError("INVALID_ARGUMENT", f"InvalidValueError for field {field}: {why}")


def already_registered(cluster: str, membership: str) -> GoogleError:
    """The cluster is a member already: a leftover of an earlier run, or it was registered twice."""
    return invalid_field(
        "endpoint.gke_cluster.resource_link", f"cluster {cluster} is already registered to the fleet as {membership}"
    )


def has_children(name: str, children: str) -> GoogleError:
    return GoogleError(
        "FAILED_PRECONDITION", f"Resource '{name}' has nested resources ({children}). Delete them first, or use force."
    )


def feature_in_use(name: str, members: int) -> GoogleError:
    return GoogleError(
        "FAILED_PRECONDITION",
        f"Feature '{name}' still has resources in {members} membership(s): remove their specs first, or use force.",
    )


def operation_running(name: str, operation: str) -> GoogleError:
    return GoogleError(
        "ABORTED",
        f"Resource '{name}' is being changed by operation '{operation}'. Try again once it is done.",
        details=(error_info("RESOURCE_BUSY", SERVICE, operation=operation),),
    )
