"""Sets of fields: which parts of an object somebody owns, as paths and as FieldsV1.

A set of fields is a Python set of paths; set algebra then answers who owns what. A path is a tuple of FieldsV1
elements: `f:spec` for a field, `k:{"name":"web"}` for an item of an associative list, `v:"x"` for a member of a set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlp_helpers.sandbox.kubernetes.definitions import child, items_of
from mlp_helpers.sandbox.kubernetes.zeros import zero

__all__ = [
    "Path",
    "applied_fields",
    "dotted",
    "from_fields",
    "item_element",
    "list_type",
    "remove",
    "to_fields",
    "written_fields",
]

Path = tuple[str, ...]
Schema = Mapping[str, Any]

_SERVER_OWNED = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_UNOWNED = {("f:apiVersion",), ("f:kind",), ("f:metadata",)} | {("f:metadata", f"f:{name}") for name in _SERVER_OWNED}


def list_type(schema: Schema) -> str:
    """`atomic`, `set` or `map`."""
    return str(schema.get("x-kubernetes-list-type", "atomic"))


def is_granular_map(value: Any, schema: Schema) -> bool:
    """Whether the fields of an object are owned one by one."""
    return isinstance(value, dict) and schema.get("x-kubernetes-map-type") != "atomic"


def item_element(value: Any, schema: Schema) -> str:
    """The path element of one item of a map or set list."""
    if list_type(schema) == "set" or not isinstance(value, dict):
        return "v:" + json.dumps(value, separators=(",", ":"))
    items, keys = items_of(schema), {}
    for name in sorted(schema.get("x-kubernetes-list-map-keys", ())):
        found = value.get(name, child(items, name).get("default"))
        if found is not None:
            keys[name] = found
    return "k:" + json.dumps(keys, separators=(",", ":"))


def applied_fields(value: Any, schema: Schema) -> dict[Path, Any]:
    """What an applied configuration names: scalars, atomic and empty values, and items of lists, with their values."""
    return {path: found for path, found in _leaves(value, schema, ()) if path not in _UNOWNED}


def _leaves(value: Any, schema: Schema, path: Path) -> Iterator[tuple[Path, Any]]:
    if value and is_granular_map(value, schema):
        for key, below in value.items():
            yield from _leaves(below, child(schema, key), (*path, f"f:{key}"))
    elif value and isinstance(value, list) and list_type(schema) != "atomic":
        items = items_of(schema)
        for below in value:
            here = (*path, item_element(below, schema))
            yield here, None
            if list_type(schema) == "map":
                yield from _leaves(below, items, here)
    else:
        yield path, value


def written_fields(value: Any, schema: Schema) -> dict[Path, Any]:
    """What exists in a stored object: as `applied_fields`, and maps and lists themselves.

    Go's structs by value exist even in an object that nobody has filled, so nobody ever adds them; the definitions of
    built-in kinds mark them. Containers have no value of their own here: what changes is what they contain.
    """
    return {path: found for path, found in _nodes(value, schema, (), in_zero=True) if path not in _UNOWNED}


def _nodes(value: Any, schema: Schema, path: Path, *, in_zero: bool) -> Iterator[tuple[Path, Any]]:
    if in_zero and path and value == zero(schema):
        return
    if is_granular_map(value, schema):
        if path and (not in_zero or not value):
            yield path, None
        properties = schema.get("properties", {})
        for key, below in value.items():
            always = in_zero and bool(properties.get(key, {}).get("x-mlp-always"))
            yield from _nodes(below, child(schema, key), (*path, f"f:{key}"), in_zero=always)
    elif isinstance(value, list) and list_type(schema) != "atomic":
        if not in_zero:
            yield path, None
        items = items_of(schema)
        for below in value:
            here = (*path, item_element(below, schema))
            if list_type(schema) == "map":
                yield from _nodes(below, items, here, in_zero=False)
            else:
                yield here, None
    else:
        yield path, value


def to_fields(paths: Iterable[Path]) -> dict[str, Any]:
    """A set of paths as FieldsV1; "." marks a path that is owned itself besides what lies below it."""
    tree: dict[str, Any] = {}
    ordered = sorted(paths)
    for path in ordered:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
    for path in ordered:
        node = tree
        for element in path:
            node = node[element]
        if node:
            node["."] = {}
    return tree


def from_fields(tree: Mapping[str, Any], path: Path = ()) -> set[Path]:
    """FieldsV1 as a set of paths."""
    found: set[Path] = set()
    for element, below in tree.items():
        if element == ".":
            found.add(path)
        elif below:
            found |= from_fields(below, (*path, element))
        else:
            found.add((*path, element))
    return found


def dotted(path: Path) -> str:
    """A path as messages print it: `.spec.containers[name="web"].image`."""
    text = ""
    for element in path:
        sort, _, rest = element.partition(":")
        if sort == "f":
            text += f".{rest}"
        elif sort == "v":
            text += f"[={rest}]"
        else:
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items()) + "]"
    return text


def remove(value: Any, path: Path, schema: Schema) -> None:
    """Drop one path from an object, and a container that this leaves empty."""
    element, rest = path[0], path[1:]
    if isinstance(value, dict):
        key = element[2:]
        if key in value:
            if rest:
                remove(value[key], rest, child(schema, key))
            if not rest or value[key] in ({}, []):
                del value[key]
    elif isinstance(value, list):
        for index, below in enumerate(value):
            if item_element(below, schema) == element:
                if rest:
                    remove(below, rest, items_of(schema))
                else:
                    del value[index]
                return
