"""The OpenAPI definitions of the built-in kinds, as Kubernetes publishes them (data/NOTICE says how they were made)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["child", "definitions", "items_of", "load_data", "resolve", "schema_of"]

Schema = Mapping[str, Any]

PREFIX = "#/components/schemas/"
_NOTHING: Schema = {}


def load_data(name: str) -> Any:
    """A gzipped JSON file that ships with this package."""
    return json.loads(gzip.decompress((files(__package__) / "data" / name).read_bytes()))


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """Every definition by its name, e.g. `io.k8s.api.core.v1.Pod`; shared by all servers, never changed."""
    loaded: dict[str, dict[str, Any]] = load_data("schemas.json.gz")
    return loaded


@cache
def _by_kind() -> dict[tuple[str, str, str], dict[str, Any]]:
    return {
        (one["group"], one["version"], one["kind"]): schema
        for schema in definitions().values()
        for one in schema.get("x-kubernetes-group-version-kind", ())
    }


def schema_of(group: str, version: str, kind: str) -> dict[str, Any]:
    """The schema of a built-in kind; empty if there is none."""
    return _by_kind().get((group, version, kind), {})


def resolve(schema: Schema) -> Schema:
    """Follow a reference; what stands beside it (patch keys, list types) wins."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):  # JSONSchemaProps has a field of that name
        return schema
    return _resolved(reference) if len(schema) == 1 else _joined(reference, schema)


@cache
def _resolved(reference: str) -> Schema:
    return definitions().get(reference.removeprefix(PREFIX), {})


# Keyed by identity: the definitions are immutable and live as long as the process does.
_JOINED: dict[int, Schema] = {}


def _joined(reference: str, schema: Schema) -> Schema:
    known = _JOINED.get(id(schema))
    if known is None:
        known = {**_resolved(reference), **{key: value for key, value in schema.items() if key != "$ref"}}
        _JOINED[id(schema)] = known
    return known


def child(schema: Schema, name: str) -> Schema:
    """The schema of a field; empty where nothing is known, which then merges as JSON does."""
    found = schema.get("properties", _NOTHING).get(name)
    if found is None:
        extra = schema.get("additionalProperties")
        found = extra if isinstance(extra, dict) else _NOTHING
    return resolve(found)


def items_of(schema: Schema) -> Schema:
    """The schema of a list's items."""
    return resolve(schema.get("items", _NOTHING))
