"""Google Kubernetes Engine's refusals."""

from __future__ import annotations

from mlp_helpers.sandbox.google.errors import GoogleError, error_info

SERVICE = "container.googleapis.com"


def not_found(name: str) -> GoogleError:
    return GoogleError("NOT_FOUND", f"Not found: {name}.")


def already_exists(name: str) -> GoogleError:
    return GoogleError("ALREADY_EXISTS", f"Already exists: {name}.")


def invalid(message: str) -> GoogleError:
    return GoogleError("INVALID_ARGUMENT", message, reason="badRequest")


def operation_running(operation: str, doing: str, cluster: str) -> GoogleError:
    """One operation at a time; Terraform's provider waits when it reads this reason."""
    return GoogleError(
        "FAILED_PRECONDITION",
        f"Operation {operation} is currently {doing} cluster {cluster}. Please wait and try again once it is done.",
        details=(error_info("CLUSTER_ALREADY_HAS_OPERATION", SERVICE, operation=operation, cluster=cluster),),
    )


def wrong_status(cluster: str, status: str) -> GoogleError:
    return GoogleError(
        "FAILED_PRECONDITION",
        f"Cluster {cluster} is in status {status}; only RUNNING clusters can be changed.",
        details=(error_info("CLUSTER_NOT_RUNNING", SERVICE, cluster=cluster, status=status),),
    )


def etag_stale(name: str) -> GoogleError:
    return GoogleError("ABORTED", f"The etag of {name} is not the current one: it has been changed in between.")


def fingerprint_stale() -> GoogleError:
    return GoogleError("FAILED_PRECONDITION", "Labels could not be set due to fingerprint mismatch.")


def unimplemented(rpc: str, *, reads: bool) -> GoogleError:
    """A method of GKE without a counterpart here; a write has 400 over REST, for gcloud repeats 501."""
    return GoogleError(
        "UNIMPLEMENTED",
        f"not emulated in the sandbox: {rpc} of Google Kubernetes Engine",
        code=501 if reads else 400,
        details=(error_info("NOT_EMULATED", SERVICE, method=rpc),),
    )
