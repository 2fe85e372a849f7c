"""Terraform's values: cty types as JSON has them, msgpack on the wire, plain Python here.

A type is "string", "number", "bool", or a list: ["list", T], ["set", T], ["map", T], ["object", {name: T}].
A value is None, str, int, float, bool, list, dict, or UNKNOWN ("known after apply").
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgpack

Type = Any
Value = Any
Values = dict[str, Any]  # an object: a resource's configuration or state

_UNKNOWN_EXTENSION = 0
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1  # what msgpack carries as an integer


class Unknown:
    """The one value that stands for "known after apply"; it equals only itself and survives copying."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __copy__(self) -> Unknown:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Unknown:
        return self


UNKNOWN: Final = Unknown()


def decode(raw: bytes, of: Type) -> Value:
    """Read a msgpack value of a type."""
    if not raw:
        return None
    # Any extension is an unknown; refinements (code 12) narrow it, and losing them is allowed.
    return conform(msgpack.unpackb(raw, ext_hook=lambda code, data: UNKNOWN, raw=False, strict_map_key=False), of)


def decode_json(raw: bytes, of: Type) -> Value:
    """Read a JSON value of a type: how state is kept in a state file."""
    return conform(json.loads(raw), of) if raw else None


def encode(value: Value, of: Type) -> bytes:
    """Write a value of a type as msgpack."""
    packed: bytes = msgpack.packb(_packable(conform(value, of)), use_bin_type=True)
    return packed


def _packable(value: Value) -> Any:
    if value is UNKNOWN:
        return msgpack.ExtType(_UNKNOWN_EXTENSION, b"\x00")
    if isinstance(value, list):
        return [_packable(item) for item in value]
    if isinstance(value, dict):
        return {key: _packable(item) for key, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and not _SMALLEST <= value <= _LARGEST:
        return str(value)  # the wire form of numbers that no machine type holds
    return value


def conform(value: Value, to: Type) -> Value:
    """Fit a value to a type.

    Absent attributes become null, foreign ones go, primitives are converted as Terraform converts them.
    """
    if value is None or value is UNKNOWN:
        return value
    if isinstance(to, str):
        return _PRIMITIVES[to](value)
    kind, inner = to
    if kind in ("list", "set"):
        return [conform(item, inner) for item in value]
    if kind == "map":
        return {str(key): conform(item, inner) for key, item in value.items()}
    if kind == "object":
        return {name: conform(value.get(name), attribute) for name, attribute in inner.items()}
    raise ValueError(f"no such type: {to}")


def _string(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _number(value: Value) -> int | float:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return float(value)
    number: int | float = value
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _bool(value: Value) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


_PRIMITIVES = {"string": _string, "number": _number, "bool": _bool}


def is_zero(value: Value) -> bool:
    """Whether a value is null, or what an API leaves out: "", 0, false, nothing inside.

    The providers' SDK takes these for the same.
    """
    if isinstance(value, list):
        return all(is_zero(item) for item in value)
    if isinstance(value, dict):
        return all(is_zero(item) for item in value.values())
    return value is None or value in ("", 0, False)


def same(left: Value, right: Value) -> bool:
    """Whether two values are equal as the providers' SDK compares them: zero values equal null, at any depth."""
    if left is UNKNOWN or right is UNKNOWN:
        return left is right
    if is_zero(left) and is_zero(right):
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return all(same(left.get(key), right.get(key)) for key in left.keys() | right.keys())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def without_unknowns(value: Value) -> Value:
    """The value with null in the place of every unknown."""
    if value is UNKNOWN:
        return None
    if isinstance(value, list):
        return [without_unknowns(item) for item in value]
    if isinstance(value, dict):
        return {key: without_unknowns(item) for key, item in value.items()}
    return value


def has_unknowns(value: Value) -> bool:
    """Whether anything in the value is unknown."""
    if isinstance(value, list):
        return any(map(has_unknowns, value))
    if isinstance(value, dict):
        return any(map(has_unknowns, value.values()))
    return value is UNKNOWN
