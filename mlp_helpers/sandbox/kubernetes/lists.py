"""Lists: selectors, pages, and the versions they may ask for."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.kubernetes.errors import (
    ApiError,
    bad_request,
    cause,
    expired,
    invalid,
    too_large_version,
)
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.queries import Matches, parse_selectors
from mlp_helpers.sandbox.kubernetes.store import Store, encode
from mlp_helpers.sandbox.kubernetes.versions import to_request

__all__ = ["Page", "check_version_options", "list_objects", "parse_number"]

Object = dict[str, Any]

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without"
)
_INVALID_CONTINUE = "invalid continue token: continue key is not valid: "
_LIST = ("ListOptions", "meta.k8s.io", "")


@dataclass(frozen=True)
class Page:
    """Objects of a list.

    Args:
        items: Objects, or None where `bodies` are enough.
        bodies: The same encoded, if nobody had to look inside.
        metadata: Of the list.
    """

    items: list[Object] | None
    bodies: Sequence[str]
    metadata: Object


def parse_number(text: str) -> int:
    """A number of a query.

    Raises:
        ApiError: 400.
    """
    try:
        return int(text or 0)
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def check_version_options(query: Mapping[str, str], *, watch: bool) -> None:
    """Refuse combinations of options that make no sense.

    Raises:
        ApiError: 422.
    """
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    if watch:
        initial = query.get("sendInitialEvents") in ("true", "1")
        if initial and match != "NotOlderThan":
            raise _forbidden(
                "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            )
        if match and not initial:
            raise _forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        return
    if match and not version:
        raise _forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match not in ("", "Exact", "NotOlderThan"):
        supported = 'supported values: "Exact", "NotOlderThan"'
        raise invalid(
            *_LIST,
            [cause("FieldValueNotSupported", "resourceVersionMatch", f'Unsupported value: "{match}": {supported}')],
        )


def _forbidden(field: str, why: str) -> ApiError:
    return invalid(*_LIST, [cause("FieldValueForbidden", field, f"Forbidden: {why}")])


def list_objects(store: Store, kind: Kind, namespace: str, query: Mapping[str, str], *, decode: bool) -> Page:
    """One page of a list.

    Args:
        store: Where objects are kept.
        kind: Of the objects.
        namespace: Empty for all.
        query: The options of the request.
        decode: Whether the caller needs the objects themselves.

    Raises:
        ApiError: Options that cannot be read, or versions that are gone or not yet there.
    """
    check_version_options(query, watch=False)
    matches = parse_selectors(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
    limit, after, version = parse_number(query.get("limit", "")), ("", ""), store.version
    if query.get("continue"):
        after, version = _resume(store, query["continue"], namespace)
    else:
        _check_version(store, query)
    if limit:
        return _page(store, kind, namespace, matches, limit, after, version)
    bodies = store.bodies(kind.storage_key, namespace, after=after)
    metadata = {"resourceVersion": str(version)}
    if matches is None and not decode and kind.storage_version in ("", kind.version) and kind.group != "events.k8s.io":
        return Page(None, bodies, metadata)
    items = [thing for thing in map(json.loads, bodies) if matches is None or matches(thing)]
    return Page([to_request(kind, thing) for thing in items], [], metadata)


def _page(
    store: Store, kind: Kind, namespace: str, matches: Matches | None, limit: int, after: tuple[str, str], version: int
) -> Page:
    """Up to `limit` objects, and where to go on."""
    found: list[Object] = []
    last = after
    for body in store.bodies(kind.storage_key, namespace, after=after):
        thing = json.loads(body)
        if matches is not None and not matches(thing):
            continue
        if len(found) == limit:
            metadata: Object = {"resourceVersion": str(version), "continue": _token(version, last, namespace)}
            if matches is None:
                metadata["remainingItemCount"] = store.count(kind.storage_key, namespace, after=last)
            return Page([to_request(kind, one) for one in found], [], metadata)
        found.append(thing)
        last = (thing["metadata"].get("namespace", ""), thing["metadata"]["name"])
    return Page([to_request(kind, one) for one in found], [], {"resourceVersion": str(version)})


def _token(version: int, last: tuple[str, str], namespace: str) -> str:
    start = "/".join(filter(None, (None if namespace else last[0], last[1])))
    token = {"v": "meta.k8s.io/v1", "rv": version, "start": f"{start if '/' in start else '/' + start}\0"}
    return urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).decode().rstrip("=")


def _resume(store: Store, token: str, namespace: str) -> tuple[tuple[str, str], int]:
    """Namespace and name after which a page starts, and the version of the first page."""
    try:
        decoded = json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, start = int(decoded["rv"]), str(decoded["start"]).rstrip("\0")
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request(f"{_INVALID_CONTINUE}{_go_error(token)}") from error
    if version < store.oldest_version():
        fresh = _token(store.version, ("", start.lstrip("/")), namespace)
        gone = expired(
            f"{_TOO_OLD} the continue parameter, or use the continue token in this response to retrieve the remainder."
        )
        gone.status["metadata"] = {"continue": fresh}
        raise gone
    inside, _, name = start.lstrip("/").rpartition("/")
    return (namespace or inside, name), version


def _go_error(token: str) -> str:
    """How Go complains about a token that is no JSON in base64."""
    try:
        text = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("latin-1")
    except binascii.Error:
        return "illegal base64 data at input byte 0"
    letter = text[:1]
    shown = letter if letter.isprintable() else f"\\u{ord(letter):04x}"
    return f"invalid character '{shown}' looking for beginning of value" if letter else "unexpected end of JSON input"


def _check_version(store: Store, query: Mapping[str, str]) -> None:
    text = query.get("resourceVersion", "")
    if text in ("", "0"):
        return
    try:
        wanted = int(text)
    except ValueError as error:
        why = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise bad_request(f"invalid resource version: resourceVersion: {why}") from error
    if wanted > store.version:
        raise too_large_version(wanted, store.version)
    if query.get("resourceVersionMatch") == "Exact" and wanted < store.oldest_version():
        raise expired("The resourceVersion for the provided list is too old.")


def encode_list(kind: Kind, page: Page) -> bytes:
    """A list as JSON; encoded bodies are joined as they are, but items of built-in kinds do not repeat their type."""
    if not kind.built_in:
        page.metadata.setdefault("continue", "")  # a real server's custom lists always have it
    head: Object = {"kind": kind.list_name, "apiVersion": kind.api_version, "metadata": page.metadata}
    if page.items is not None:
        return encode({**head, "items": page.items})
    bodies = page.bodies
    if kind.built_in:
        prefix = encode({"apiVersion": kind.api_version, "kind": kind.name}).decode()[:-1] + ","
        bodies = ["{" + body.removeprefix(prefix) if body.startswith(prefix) else body for body in bodies]
    return encode(head)[:-1] + b',"items":[' + ",".join(bodies).encode() + b"]}"
