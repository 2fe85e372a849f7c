"""The API's own errors: a Status with the code, reason and words of a real server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "ApiError",
    "already_exists",
    "bad_request",
    "cause",
    "conflict",
    "expired",
    "forbidden",
    "internal",
    "invalid",
    "method_not_allowed",
    "not_acceptable",
    "not_found",
    "plain_not_found",
    "split_resource",
    "stale",
    "too_large_version",
    "unauthorized",
    "unsupported_media_type",
]

Object = dict[str, Any]

_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
_OBJECT_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


class ApiError(Exception):
    """A refusal of the API server.

    Args:
        code: HTTP status.
        reason: Machine-readable reason; some of a real server's errors have none.
        message: What people read.
        details: The details of the Status; None leaves them out, empty ones are shown as `{}`.
    """

    def __init__(self, code: int, reason: str, message: str, *, details: Object | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({"details": details} if details is not None else {}),
            "code": code,
        }


def cause(reason: str, field: str, message: str) -> Object:
    """One cause in the details of a Status, e.g. of a 422."""
    return {"reason": reason, "message": message, "field": field}


def split_resource(resource: str) -> tuple[str, str]:
    """`roles.rbac.authorization.k8s.io` as ("roles", "rbac.authorization.k8s.io"); a core resource has no group."""
    plural, _, group = resource.partition(".")
    return plural, group


def _details(name: str, group: str, kind: str, causes: Sequence[Object] = ()) -> Object:
    named = {"name": name, "group": group, "kind": kind, "causes": list(causes)}
    return {key: value for key, value in named.items() if value}


def _about(resource: str, name: str) -> Object:
    plural, group = split_resource(resource)
    return _details(name, group, plural)


def not_found(resource: str, name: str) -> ApiError:
    """404 of an object."""
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', details=_about(resource, name))


def plain_not_found() -> ApiError:
    """404 of a path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: str, name: str, *, generated: bool = False) -> ApiError:
    """409 of a name that is taken."""
    more = ", the server was not able to generate a unique name for the object" if generated else ""
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists{more}', details=_about(resource, name))


def conflict(resource: str, name: str, why: str) -> ApiError:
    """409 of a write that does not fit what is stored."""
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_about(resource, name))


def stale(resource: str, name: str) -> ApiError:
    """409 of an update that was made from an older version."""
    return conflict(resource, name, _MODIFIED)


def forbidden(resource: str, name: str, message: str, *, causes: Sequence[Object] = ()) -> ApiError:
    """403; without a resource it is about a path."""
    if not resource:
        return ApiError(403, "Forbidden", f"forbidden: {message}", details={})
    subject = f'{resource} "{name}"' if name else resource
    details = _about(resource, name) | ({"causes": list(causes)} if causes else {})
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {message}", details=details)


def invalid(kind: str, group: str, name: str, causes: Sequence[Object]) -> ApiError:
    """422 with one cause per field; here the details name the Kind, not the plural."""
    subject = f"{kind}.{group}" if group else kind
    parts = [f"{one['field']}: {one['message']}" for one in causes]
    message = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    return ApiError(
        422, "Invalid", f'{subject} "{name}" is invalid: {message}', details=_details(name, group, kind, causes)
    )


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401 of a token that nobody issued."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})


def not_acceptable() -> ApiError:
    """406: no form of the answer that the client accepts."""
    message = f"only the following media types are accepted: {', '.join(_OBJECT_TYPES)}"
    return ApiError(406, "NotAcceptable", message)


def unsupported_media_type(accepted: Sequence[str] = _OBJECT_TYPES) -> ApiError:
    """415 of a body in a form that the resource does not take."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message)


def expired(message: str) -> ApiError:
    """410 of a version that is no longer known."""
    return ApiError(410, "Expired", message)


def too_large_version(wanted: int, current: int) -> ApiError:
    """504 of a version that does not exist yet."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return ApiError(504, "Timeout", message, details={"causes": causes, "retryAfterSeconds": 1})


def internal(message: str) -> ApiError:
    """500 as a real server words what it did not expect from a client; it has no reason."""
    return ApiError(500, "", message)
