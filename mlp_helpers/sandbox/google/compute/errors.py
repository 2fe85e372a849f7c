"""Compute Engine's refusals."""

from __future__ import annotations

from collections.abc import Iterable

from mlp_helpers.sandbox.google.errors import GoogleError


def not_found(path: str) -> GoogleError:
    return GoogleError("NOT_FOUND", f"The resource '{path}' was not found")


def already_exists(path: str) -> GoogleError:
    return GoogleError("ALREADY_EXISTS", f"The resource '{path}' already exists", reason="alreadyExists")


def in_use(kind: str, path: str, user: str) -> GoogleError:
    return GoogleError(
        "FAILED_PRECONDITION",
        f"The {kind} resource '{path}' is already being used by '{user}'",
        reason="resourceInUseByAnotherResource",
    )


def not_ready(path: str) -> GoogleError:
    return GoogleError("FAILED_PRECONDITION", f"The resource '{path}' is not ready", reason="resourceNotReady")


def invalid(field: str, value: object, why: str) -> GoogleError:
    return GoogleError("INVALID_ARGUMENT", f"Invalid value for field '{field}': '{value}'. {why}", reason="invalid")


def required(field: str) -> GoogleError:
    return GoogleError("INVALID_ARGUMENT", f"Required field '{field}' not specified", reason="required")


def fingerprint_stale() -> GoogleError:
    return GoogleError(
        "FAILED_PRECONDITION", "Supplied fingerprint does not match current metadata fingerprint.", code=412,
        reason="conditionNotMet",
    )  # fmt: skip


def overlap(path: str, ranges: Iterable[str]) -> GoogleError:
    """The sentence that meets everyone who deploys two environments with one plan of addresses."""
    return GoogleError(
        "INVALID_ARGUMENT",
        f"Invalid IPCidrRange: {', '.join(ranges)} conflicts with existing subnetwork '{path}'",
        reason="invalid",
    )
