"""Sending an object's bytes: whole or in part, with the headers that clients check."""

from __future__ import annotations

import calendar
import re
import time
from email.utils import formatdate

from mlp_helpers.sandbox.google.calls import Call, FilePart, Reply
from mlp_helpers.sandbox.google.storage import errors
from mlp_helpers.sandbox.google.storage.contents import Contents
from mlp_helpers.sandbox.google.storage.resources import Json
from mlp_helpers.sandbox.google.storage.store import Source

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_STORED_HEADERS = {
    "cacheControl": "Cache-Control",
    "contentDisposition": "Content-Disposition",
    "contentEncoding": "Content-Encoding",
    "contentLanguage": "Content-Language",
}


def send(call: Call, source: Source, contents: Contents) -> Reply:
    """The bytes that a call asks for: 206 for a range, else 200 with all."""
    size = int(source.resource["size"])
    wanted = _wanted_range(call.headers.get("range", ""), size)
    start, end = wanted or (0, size)
    headers = _headers(source.resource)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Reply(206 if wanted else 200, FilePart(contents.path(source.content), start, end - start), headers)


def _wanted_range(text: str, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of a Range header; None for the whole object, also where the header makes no sense."""
    match = _RANGE.fullmatch(text.strip())
    if not match or not (match[1] or match[2]):
        return None
    if size == 0:
        return None  # gcloud asks "bytes=0-" of every object and takes 416 for an error
    if not match[1]:
        return max(0, size - int(match[2])), size
    start = int(match[1])
    if start >= size:
        raise errors.range_not_satisfiable(size)
    return start, min(int(match[2]) + 1, size) if match[2] else size


def _headers(resource: Json) -> dict[str, str]:
    hashes = [f"crc32c={resource['crc32c']}"] + ([f"md5={resource['md5Hash']}"] if "md5Hash" in resource else [])
    updated = calendar.timegm(time.strptime(resource["updated"][:19], "%Y-%m-%dT%H:%M:%S"))
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": str(resource["contentType"]),
        "ETag": str(resource["etag"]),
        "Last-Modified": formatdate(updated, usegmt=True),
        "X-Goog-Generation": str(resource["generation"]),
        "X-Goog-Hash": ",".join(hashes),
        "X-Goog-Metageneration": str(resource["metageneration"]),
        "X-Goog-Storage-Class": str(resource["storageClass"]),
        "X-Goog-Stored-Content-Encoding": str(resource.get("contentEncoding", "identity")),
        "X-Goog-Stored-Content-Length": str(resource["size"]),
    }
    headers |= {header: str(resource[field]) for field, header in _STORED_HEADERS.items() if resource.get(field)}
    return headers | {f"X-Goog-Meta-{key}": str(value) for key, value in (resource.get("metadata") or {}).items()}
