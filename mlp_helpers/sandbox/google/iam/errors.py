"""IAM's refusals."""

from __future__ import annotations

from mlp_helpers.sandbox.google.errors import GoogleError


def account_not_found(email: str, project: str) -> GoogleError:
    return GoogleError(
        "NOT_FOUND", f"Unknown service account: projects/{project}/serviceAccounts/{email}.", reason="notFound"
    )


def account_exists(account_id: str, project: str) -> GoogleError:
    return GoogleError(
        "ALREADY_EXISTS",
        f"Service account {account_id} already exists within project projects/{project}.",
    )


def account_id_invalid(account_id: str) -> GoogleError:
    return GoogleError(
        "INVALID_ARGUMENT",
        f"The account ID '{account_id}' does not have the correct format. It must be between 6 and 30 lowercase "
        "letters, digits and hyphens, begin with a letter and not end with a hyphen.",
    )


def policy_changed() -> GoogleError:
    return GoogleError(
        "ABORTED",
        "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
    )
