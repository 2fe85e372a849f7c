"""Decode protobuf bodies: kubectl's typed commands (`create namespace`, `auth can-i`) send nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from mlp_helpers.sandbox.kubernetes.definitions import load_data
from mlp_helpers.sandbox.kubernetes.errors import bad_request

__all__ = ["MAGIC", "decode"]

Object = dict[str, Any]

MAGIC = b"k8s\0"
_PACKAGE = "k8s.io.apimachinery.pkg."
_TIMES = (f"{_PACKAGE}apis.meta.v1.Time", f"{_PACKAGE}apis.meta.v1.MicroTime")
_RAW = (f"{_PACKAGE}apis.meta.v1.FieldsV1", f"{_PACKAGE}runtime.RawExtension")
_EPOCH = "1970-01-01T00:00:00Z"
_VARINT, _FIXED64, _FIXED32 = 0, 1, 5


@cache
def _tables() -> Any:
    return load_data("protobuf.json.gz")


def decode(body: bytes) -> Object:
    """The object in a protobuf body, as the JSON that means the same.

    Raises:
        ApiError: 400 for a body that is none.
    """
    try:
        envelope = dict(_wire(body[len(MAGIC) :]))
        names = {key: value.decode() for key, value in _wire(envelope["1"])}
        api_version, kind = names.get("1", ""), names.get("2", "")
        name = _tables()["kinds"].get(f"{api_version} {kind}")
        return {"apiVersion": api_version, "kind": kind, **(_message(name, envelope.get("2", b"")) if name else {})}
    except (IndexError, KeyError, ValueError, AttributeError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type Runtime): {error!r}") from error


def _wire(data: bytes) -> Iterator[tuple[str, Any]]:
    """The (field number, value) pairs of one message; a value is an int or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == _VARINT:
            value, at = _varint(data, at)
            yield str(key >> 3), value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(key & 7)
        if size is None:
            size, at = _varint(data, at)
        yield str(key >> 3), data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _scalar(kind: str, value: Any) -> Any:
    match kind:
        case "string":
            return value.decode()
        case "bytes":
            return base64.b64encode(value).decode()
        case "bool":
            return bool(value)
    return value - 2**64 if value >= 2**63 else value


def _known_message(name: str, data: bytes) -> Any:
    """A message whose JSON is no object of its fields; None for every other."""
    fields = dict(_wire(data))
    if name == f"{_PACKAGE}api.resource.Quantity":
        return fields["1"].decode()
    if name == f"{_PACKAGE}util.intstr.IntOrString":
        return fields["3"].decode() if fields.get("1") else _scalar("int64", fields.get("2", 0))
    if name in _TIMES:
        return datetime.fromtimestamp(fields.get("1", 0), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if name in _RAW:
        return json.loads(fields["1"])
    return None


def _message(name: str, data: bytes) -> Any:
    if name.startswith(_PACKAGE) and (known := _known_message(name, data)) is not None:
        return known
    table = _tables()["messages"].get(name, {})
    result: Object = {}
    for number, value in _wire(data):
        if number not in table:
            continue
        field, kind, shape = table[number]
        if shape == "map":
            pair = dict(_wire(value))
            result.setdefault(field, {})[pair.get("1", b"").decode()] = _value(kind, pair.get("2", b""))
        elif shape == "list":
            result.setdefault(field, []).append(_value(kind, value))
        elif shape == "inline":
            result |= _value(kind, value)
        else:
            result[field] = _value(kind, value)
    # Go's encoder writes empty strings, empty structs and zero times, which JSON leaves out.
    return {key: value for key, value in result.items() if value not in ("", {}, _EPOCH)}


def _value(kind: str, value: Any) -> Any:
    return _message(kind, value) if "." in kind else _scalar(kind, value)
