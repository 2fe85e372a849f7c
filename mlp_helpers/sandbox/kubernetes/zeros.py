"""What a real server writes of an object, for it holds objects as Go structs: empty optional fields vanish, others are
there even when nobody set them. The definitions of the built-in kinds mark both sorts of fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.kubernetes.definitions import child, items_of, resolve

__all__ = ["as_written", "without_empty", "zero"]

Schema = Mapping[str, Any]


def without_empty(value: Any, schema: Schema) -> Any:
    """The value without optional fields that are empty: to a real server they are not there.

    Args:
        value: Part of an object of a built-in kind; not changed.
        schema: Of that part; where it knows nothing, the value stays as it is.
    """
    return _walk(value, schema, fill=False)


def as_written(value: Any, schema: Schema) -> Any:
    """The same, and with obligatory fields that nobody set."""
    return _walk(value, schema, fill=True)


def _walk(value: Any, schema: Schema, *, fill: bool) -> Any:
    if isinstance(value, list):
        items = items_of(schema)
        return [_walk(one, items, fill=fill) for one in value] if items else value
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties")
    if not properties:
        below = schema.get("additionalProperties")
        inner = resolve(below) if isinstance(below, dict) else {}
        return {key: _walk(one, inner, fill=fill) for key, one in value.items()} if inner else value
    result = {}
    for key, one in value.items():
        field = properties.get(key)
        if field is None:
            result[key] = one
            continue
        written = _walk(one, resolve(field), fill=fill)
        if not (field.get("x-mlp-omitted") and _is_zero(written)):
            result[key] = written
    if fill:
        for key, field in properties.items():
            if field.get("x-mlp-always") and result.get(key) is None:
                result[key] = zero(child(schema, key))
    return result


def _is_zero(value: Any) -> bool:
    return value is None or value is False or value in ("", 0, {}, [])


def zero(schema: Schema) -> Any:
    """What Go writes of a field that nobody has set."""
    if "x-mlp-zero" in schema:
        return schema["x-mlp-zero"]
    match schema.get("type"):
        case "object" if "properties" in schema:
            return as_written({}, schema)
        case "string":
            return None if schema.get("format") == "date-time" else ""
        case "integer" | "number":
            return 0
        case "boolean":
            return False
    return None
