"""OpenAPI v3: one document per group and version, and the index that says where they are."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.kubernetes.definitions import PREFIX, definitions
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry

__all__ = ["document", "index"]

Object = dict[str, Any]

_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "boolean" if name == "force" else "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
]
_PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_STRATEGIC = "application/strategic-merge-patch+json"
_STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
_METADATA = (
    "Standard object's metadata. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def index(registry: Registry) -> Object:
    """Where the documents are; the hash of the content makes each cacheable for ever."""
    paths = {}
    for group, version in dict.fromkeys((kind.group, kind.version) for kind in registry.all()):
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(registry, group, version)}"}
    return {"paths": paths}


def _kinds(registry: Registry, group: str, version: str) -> list[Kind]:
    return [kind for kind in registry.all() if (kind.group, kind.version) == (group, version)]


def _hash(registry: Registry, group: str, version: str) -> str:
    content = [[kind.name, kind.plural, kind.schema] for kind in _kinds(registry, group, version)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest().upper()


def document(registry: Registry, group: str, version: str) -> Object | None:
    """The document of one group and version; None if there is none."""
    kinds = _kinds(registry, group, version)
    if not kinds:
        return None
    schemas: Object = {}
    for kind in kinds:
        if kind.built_in:
            schemas |= _with_references(kind.schema)
        else:
            schemas[_definition_name(kind)] = _custom_schema(kind)
            schemas |= _with_references({"$ref": f"{PREFIX}{_OBJECT_META}"})
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": {f"{kind.path}/{{name}}": {"patch": _patch_operation(kind)} for kind in kinds if kind.stored},
        "components": {"schemas": schemas},
    }


def _patch_operation(kind: Kind) -> Object:
    """What kubectl reads: that fieldValidation is known, and which patches."""
    forms = (*_PATCHES, _STRATEGIC) if kind.built_in else _PATCHES
    return {
        "description": f"partially update the specified {kind.name}",
        "operationId": f"patch{kind.group.title().replace('.', '')}{kind.version.title()}{kind.name}",
        "parameters": _PARAMETERS,
        "requestBody": {"content": {form: {"schema": {"type": "object"}} for form in forms}},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind.gvk,
    }


def _definition_name(kind: Kind) -> str:
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.name])


def _custom_schema(kind: Kind) -> Object:
    known = definitions()[_STATUS]["properties"]
    metadata = {"description": _METADATA, "allOf": [{"$ref": f"{PREFIX}{_OBJECT_META}"}]}
    properties = {
        "apiVersion": {"type": "string", "description": known["apiVersion"]["description"]},
        "kind": {"type": "string", "description": known["kind"]["description"]},
        "metadata": metadata,
    }
    below = kind.schema.get("properties", {}).items()
    properties |= {key: _with_alternatives(one) for key, one in below if key not in properties}
    made = {**kind.schema, "properties": properties, "x-kubernetes-group-version-kind": [kind.gvk]}
    if fields := kind.version_options().get("selectableFields"):
        made["x-kubernetes-selectable-fields"] = [{"fieldPath": one["jsonPath"].lstrip(".")} for one in fields]
    return made


def _with_alternatives(node: Any) -> Any:
    """A schema in which int-or-string says what it means, for clients that do not know the extension."""
    if isinstance(node, list):
        return [_with_alternatives(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _with_alternatives(value) for key, value in node.items()}
    if made.get("x-kubernetes-int-or-string") is True and "anyOf" not in made:
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return made


def _with_references(schema: Mapping[str, Any]) -> Object:
    """The definitions that a schema needs, itself among them if it is one, as clients may see them."""
    wanted = [name for name, one in definitions().items() if one is schema] or _references(schema)
    found: Object = {}
    while wanted:
        name = wanted.pop()
        if name not in found and name in definitions():
            found[name] = _public(definitions()[name])
            wanted += _references(found[name])
    return found


def _references(schema: Mapping[str, Any]) -> list[str]:
    return re.findall(rf'"{re.escape(PREFIX)}([^"]+)"', json.dumps(schema))


def _public(node: Any) -> Any:
    if isinstance(node, list):
        return [_public(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _public(value) for key, value in node.items() if not key.startswith("x-mlp-")}
