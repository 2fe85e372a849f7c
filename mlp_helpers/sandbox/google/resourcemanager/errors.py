"""Resource Manager's refusals."""

from __future__ import annotations

from mlp_helpers.sandbox.google.errors import GoogleError, error_info, permission_denied

SERVICE = "cloudresourcemanager.googleapis.com"


def project_not_found(project: str) -> GoogleError:
    """The real service does not tell a missing project from a hidden one."""
    return permission_denied("resourcemanager.projects.get", f"projects/{project}", SERVICE)


def project_exists() -> GoogleError:
    return GoogleError("ALREADY_EXISTS", "Requested entity already exists")


def consumer_invalid(project: str, service: str) -> GoogleError:
    """A call names a project that there is not (other services than Resource Manager)."""
    return GoogleError(
        "PERMISSION_DENIED",
        f"Permission denied on resource project {project}.",
        details=(error_info("CONSUMER_INVALID", "googleapis.com", service=service, consumer=f"projects/{project}"),),
    )


def policy_changed() -> GoogleError:
    return GoogleError(
        "ABORTED",
        "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff. "
        "The request's ETag does not match the current policy's ETag.",
    )
