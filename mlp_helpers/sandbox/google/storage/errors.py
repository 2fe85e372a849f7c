"""Cloud Storage's refusals."""

from __future__ import annotations

from xml.sax.saxutils import escape

from mlp_helpers.sandbox.google.errors import GoogleError


def bucket_not_found() -> GoogleError:
    return GoogleError("NOT_FOUND", "The specified bucket does not exist.")


def object_not_found(bucket: str, name: str) -> GoogleError:
    return GoogleError("NOT_FOUND", f"No such object: {bucket}/{name}")


def bucket_exists(*, own: bool) -> GoogleError:
    """A bucket's name is taken: by a project of this caller, or by someone else in the world."""
    if own:
        return GoogleError(
            "ALREADY_EXISTS", "Your previous request to create the named bucket succeeded and you already own it."
        )
    return GoogleError(
        "ALREADY_EXISTS",
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again.",
    )


def bucket_not_empty() -> GoogleError:
    return GoogleError("ALREADY_EXISTS", "The bucket you tried to delete is not empty.")


def condition_not_met(header: str = "If-Match") -> GoogleError:
    return GoogleError(
        "FAILED_PRECONDITION",
        "At least one of the pre-conditions you specified did not hold.",
        code=412,
        reason="conditionNotMet",
        location=header,
    )


def not_modified() -> GoogleError:
    return GoogleError("FAILED_PRECONDITION", "Not Modified", code=304, reason="notModified")


def invalid(message: str, reason: str = "invalid") -> GoogleError:
    return GoogleError("INVALID_ARGUMENT", message, reason=reason)


def checksum_mismatch(kind: str, given: str, computed: str) -> GoogleError:
    return invalid(f'Provided {kind} hash "{given}" doesn\'t match calculated {kind} hash "{computed}".')


def range_not_satisfiable(size: int) -> GoogleError:
    return GoogleError(
        "OUT_OF_RANGE", f"Request range not satisfiable; the object has {size} bytes.", code=416,
        reason="requestedRangeNotSatisfiable", location="Range",
    )  # fmt: skip


def forbidden(email: str, permission: str, resource: str) -> GoogleError:
    return GoogleError(
        "PERMISSION_DENIED",
        f"{email} does not have {permission} access to the Google Cloud Storage {resource}. "
        f"Permission '{permission}' denied on resource (or it may not exist).",
    )


_XML_CODES = {
    400: "InvalidArgument",
    401: "AuthenticationRequired",
    403: "AccessDenied",
    404: "NoSuchKey",
    412: "PreconditionFailed",
    416: "InvalidRange",
}


def xml_body(error: GoogleError) -> bytes:
    """A refusal as the XML API words it; Go's client reads objects through that API."""
    no_bucket = error.code == 404 and "bucket" in error.message
    code = "NoSuchBucket" if no_bucket else _XML_CODES.get(error.code, "InternalError")
    text = f"<Error><Code>{code}</Code><Message>{escape(error.message)}</Message></Error>"
    return f"<?xml version='1.0' encoding='UTF-8'?>{text}".encode()
