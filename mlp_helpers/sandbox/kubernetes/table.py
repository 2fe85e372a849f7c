"""Tables: what `kubectl get` prints is decided by the server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlp_helpers.sandbox.kubernetes.ages import age
from mlp_helpers.sandbox.kubernetes.columns import AGE, COLUMNS, CREATED_AT, NAME, Column
from mlp_helpers.sandbox.kubernetes.defaults import TEMPLATE_GENERATION
from mlp_helpers.sandbox.kubernetes.definitions import child, resolve
from mlp_helpers.sandbox.kubernetes.errors import bad_request
from mlp_helpers.sandbox.kubernetes.jsonpath import find_all
from mlp_helpers.sandbox.kubernetes.kinds import Kind

__all__ = ["table"]

Object = dict[str, Any]

_INCLUDES = ("", "Metadata", "Object", "None")
_FINISHED = {
    "Succeeded": {
        "type": "Completed",
        "status": "True",
        "reason": "Succeeded",
        "message": "The pod has completed successfully.",
    },
    "Failed": {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."},
}


def table(
    kind: Kind,
    objects: Sequence[Object],
    metadata: Object,
    *,
    include_object: str | None = None,
    with_columns: bool = True,
) -> Object:
    """Objects as a Table.

    Args:
        kind: Of the objects.
        objects: One row each.
        metadata: Of the list, or of the single object: resourceVersion, continue.
        include_object: What each row carries: `Metadata` (the default), `Object` or `None`.
        with_columns: Whether the columns are described; in a watch only the first table does.

    Raises:
        ApiError: 400 for another `include_object`.
    """
    include = include_object or ""
    if include not in _INCLUDES:
        raise bad_request(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": must be'
            " 'Metadata', 'Object', 'None', or empty"
        )
    columns = _columns(kind)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_head(kind, column) for column in columns] if with_columns else None,
        "rows": [_row(kind, columns, one, include) for one in objects],
    }


def _row(kind: Kind, columns: Sequence[Column], obj: Object, include: str) -> Object:
    row: Object = {"cells": [column.cell(obj) for column in columns]}
    phase = (obj.get("status") or {}).get("phase") if kind.resource == "pods" else None
    if phase in _FINISHED:
        row["conditions"] = [dict(_FINISHED[phase])]
    if include == "None":
        row["object"] = None
    elif include == "Object":
        row["object"] = obj
    else:
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": _metadata(kind, obj),
        }
    return row


def _metadata(kind: Kind, obj: Object) -> Object:
    """The metadata as it is kept: what a version only shows as an annotation is not part of it."""
    metadata: Object = obj.get("metadata") or {}
    if kind.resource != "daemonsets.apps" or not metadata.get("annotations"):
        return metadata
    annotations = {key: value for key, value in metadata["annotations"].items() if key != TEMPLATE_GENERATION}
    rest = {key: value for key, value in metadata.items() if key != "annotations"}
    return {**rest, "annotations": annotations} if annotations else rest


def _columns(kind: Kind) -> Sequence[Column]:
    if kind.built_in:
        return COLUMNS.get(kind.resource, (NAME, CREATED_AT))
    return (NAME, *(_custom(column) for column in kind.columns)) if kind.columns else (NAME, AGE)


def _custom(column: Mapping[str, Any]) -> Column:
    path, shown_as = column["jsonPath"], column["type"]
    default = f"Custom resource definition column (in JSONPath format): {path}"
    return Column(
        column["name"],
        lambda obj: _custom_cell(find_all(obj, path), shown_as),
        column.get("description") or default,
        shown_as,
        column.get("priority", 0),
        column.get("format", ""),
    )


def _custom_cell(found: list[Any], shown_as: str) -> Any:
    """The cell of a custom column; values of a wrong type are not shown, as in the real server."""
    if not found or found[0] is None:
        return None
    value = found[0]
    match shown_as:
        case "integer":
            return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "number":
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return age(value) if isinstance(value, str) else "<unknown>"
    if len(found) > 1:
        return " ".join(_as_text(one) for one in found)
    return _as_text(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _head(kind: Kind, column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": _description(kind, column.description),
        "priority": column.priority,
    }


def _description(kind: Kind, text: str) -> str:
    """The text itself, or for a path that of the field in the kind's schema."""
    if not text.startswith("."):
        return text
    if not kind.built_in:
        return _METADATA[text]
    schema = resolve(kind.schema)
    for name in text[1:].split("."):
        schema = child(schema, name)
    return str(schema.get("description", ""))


_METADATA = {
    ".metadata.name": (
        "Name must be unique within a namespace. Is required when creating resources, although some resources may"
        " allow a client"
        " to request the generation of an appropriate name automatically. Name is primarily intended for creation"
        " idempotence"
        " and configuration definition. Cannot be updated. More info:"
        " https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
    ),
    ".metadata.creationTimestamp": (
        "CreationTimestamp is a timestamp representing the server time when this object was created. It is not"
        " guaranteed to be"
        " set in happens-before order across separate operations. Clients may not set this value. It is represented"
        " in RFC3339"
        " form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info:"
        " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
    ),
}
