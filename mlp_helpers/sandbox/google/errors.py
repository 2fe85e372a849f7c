"""How Google's services refuse: one exception, and the two shapes of body in which it reaches a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HTTP_CODES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}

LEGACY_REASONS = {400: "badRequest", 401: "authError", 403: "forbidden", 404: "notFound", 409: "conflict"}


@dataclass(eq=False)
class GoogleError(Exception):
    """A refusal, as the real service words it.

    Args:
        status: Canonical code (`google.rpc.Code`), such as `NOT_FOUND`.
        message: The service's sentence.
        code: HTTP status, where it is not the one that belongs to `status`.
        reason: Reason of the older APIs (storage, compute), such as `conditionNotMet`.
        details: `google.rpc` details as JSON, such as an `ErrorInfo`.
        location: Older APIs: the header or parameter that was wrong.
    """

    status: str
    message: str
    code: int = 0
    reason: str = ""
    details: tuple[Mapping[str, Any], ...] = ()
    location: str = ""

    def __post_init__(self) -> None:
        super().__init__(self.message)
        self.code = self.code or HTTP_CODES[self.status]
        self.reason = self.reason or LEGACY_REASONS.get(self.code, "backendError")


def error_info(reason: str, domain: str, **metadata: str) -> dict[str, Any]:
    """A `google.rpc.ErrorInfo`: what the client libraries show as `.reason`, `.domain` and `.metadata`."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }


def platform_body(error: GoogleError) -> dict[str, Any]:
    """The body of the newer APIs (container, hub, resource manager, service usage, IAM)."""
    body: dict[str, Any] = {"code": error.code, "message": error.message, "status": error.status}
    if error.details:
        body["details"] = [dict(detail) for detail in error.details]
    return {"error": body}


def legacy_body(error: GoogleError) -> dict[str, Any]:
    """The body of the older APIs (storage, compute)."""
    item: dict[str, Any] = {"message": error.message, "domain": "global", "reason": error.reason}
    if error.location:
        item |= {"locationType": "header", "location": error.location}
    body: dict[str, Any] = {"code": error.code, "message": error.message, "errors": [item]}
    if error.details:
        body |= {"status": error.status, "details": [dict(detail) for detail in error.details]}
    return {"error": body}


def unauthenticated() -> GoogleError:
    """No token, or one that nobody was given."""
    return GoogleError(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        details=(error_info("ACCESS_TOKEN_TYPE_UNSUPPORTED", "googleapis.com"),),
        location="Authorization",
    )


def not_emulated(method: str, path: str) -> GoogleError:
    """A call that the sandbox does not answer.

    A write gets 400 and not 501: gcloud repeats a 501 on a write five times, for half a minute.
    """
    sentence = f"not emulated in the sandbox: {method} {path}"
    if method in ("GET", "HEAD"):
        return GoogleError("UNIMPLEMENTED", sentence, reason="notImplemented")
    return GoogleError("INVALID_ARGUMENT", sentence, reason="notImplemented")


def permission_denied(permission: str, resource: str, service: str) -> GoogleError:
    """The caller lacks an IAM permission."""
    return GoogleError(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '//{service}/{resource}' (or it may not exist).",
        details=(error_info("IAM_PERMISSION_DENIED", service, permission=permission, resource=resource),),
    )


def invalid_argument(message: str) -> GoogleError:
    """A value that the service does not take."""
    return GoogleError("INVALID_ARGUMENT", message, reason="invalid")
