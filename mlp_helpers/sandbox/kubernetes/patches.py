"""The documents of PATCH: each media type's way from the stored object to the new one."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jsonpatch

from mlp_helpers.sandbox.kubernetes.definitions import child, items_of
from mlp_helpers.sandbox.kubernetes.errors import (
    ApiError,
    bad_request,
    cause,
    internal,
    invalid,
)
from mlp_helpers.sandbox.kubernetes.fields import applied_fields, dotted, item_element, list_type
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.merge import Conflict, merge_patch
from mlp_helpers.sandbox.kubernetes.strategic import strategic_patch

__all__ = [
    "APPLY",
    "JSON_PATCH",
    "MERGE",
    "STRATEGIC",
    "check_applied",
    "conflict_error",
    "decoding_error",
    "patched",
    "were_applied_by_client",
]

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_STRICT = re.compile(r"strict decoding error: .*", re.DOTALL)
_NUMERIC = "numeric (int or float)"
_UNPROCESSABLE = "the server rejected our request due to an error in our request"


def patched(kind: Kind, live: Object, media_type: str, patch: Any) -> Object:
    """The object that a patch makes of the stored one; not for server-side apply.

    Raises:
        ApiError: 400 for a patch that cannot be read, 422 for one that cannot be applied.
    """
    if media_type == JSON_PATCH:
        return _json_patched(live, patch)
    if not isinstance(patch, dict):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        )
    if media_type == STRATEGIC:
        made = strategic_patch(copy.deepcopy(live), copy.deepcopy(patch), kind.schema)
    else:
        made = merge_patch(copy.deepcopy(live), patch)
    return dict(made)


def _json_patched(live: Object, patch: Any) -> Object:
    if not isinstance(patch, list):
        sort = "object" if isinstance(patch, dict) else "string"
        target = "Go value of type []handlers.jsonPatchOp"
        raise bad_request(f"error decoding patch: json: cannot unmarshal {sort} into {target}")
    try:
        made = jsonpatch.apply_patch(live, patch)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        raise ApiError(422, "Invalid", _UNPROCESSABLE, details={}) from error
    return dict(made)


def check_applied(kind: Kind, applied: Any, manager: str) -> None:
    """Refuse what is no applied configuration of the kind.

    Raises:
        ApiError: 400 or 422 for its form, 500 (as a real server has it) for fields that the kind does not have.
    """
    if not isinstance(applied, dict) or not applied.get("kind") or not applied.get("apiVersion"):
        named = applied if isinstance(applied, dict) else {}
        group_version = named.get("apiVersion") or "/"
        raise bad_request(f"invalid object type: {group_version}, Kind={named.get('kind', '')}")
    if applied["apiVersion"] != kind.api_version or applied["kind"] != kind.name:
        expected = f"{kind.api_version}, Kind={kind.name}"
        raise bad_request(f"invalid object type: {applied['apiVersion']}, Kind={applied['kind']}; expected {expected}")
    if not manager:
        why = cause("FieldValueRequired", "fieldManager", "Required value: is required for apply patch")
        raise invalid("PatchOptions", "meta.k8s.io", "", [why])
    if "managedFields" in (applied.get("metadata") or {}):
        raise bad_request("metadata.managedFields must be nil")
    problem = next(iter(_type_problems(applied, kind.schema, "", top=True)), None)
    if problem:
        metadata = applied.get("metadata") or {}
        where = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        subject = f"{where}; {kind.api_version}, Kind={kind.name}"
        raise internal(f"failed to create typed patch object ({subject}): {problem}")


def _type_problems(value: Any, schema: Mapping[str, Any], path: str, *, top: bool = False) -> Iterable[str]:
    """What in an applied configuration does not fit the schema; the words are those of structured-merge-diff."""
    if not schema or value is None:
        return
    expected = schema.get("type")
    if isinstance(value, dict):
        if expected in ("array", "string", "integer", "boolean", "number") and not _takes_any(schema):
            yield f"{path}: expected {_named(expected)}, got map"
            return
        yield from _map_problems(value, schema, path, top=top)
    elif isinstance(value, list):
        if expected != "array" and expected and not _takes_any(schema):
            yield f"{path}: expected {_named(expected)}, got list"
            return
        yield from _list_problems(value, schema, path)
    elif expected in ("object", "array") and not _takes_any(schema):
        yield f"{path}: expected {_named(expected)}, got &{{{value}}}"
    elif not _scalar_fits(value, schema):
        yield f"{path}: expected {_named(str(expected))}, got {_json_type(value)}"


def _map_problems(value: Object, schema: Mapping[str, Any], path: str, *, top: bool) -> Iterable[str]:
    known = schema.get("properties")
    # References of JSON schemas in CRDs are recursive and open; preserved fields are, too.
    is_open = known is None or "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    for key, below in value.items():
        here = f"{path}.{key}"
        if top and key in ("apiVersion", "kind", "metadata"):
            continue
        if not is_open and known is not None and key not in known:
            yield f"{here}: field not declared in schema"
        else:
            yield from _type_problems(below, child(schema, key), here)


def _list_problems(value: list[Any], schema: Mapping[str, Any], path: str) -> Iterable[str]:
    items, seen = items_of(schema), set()
    granular = list_type(schema) != "atomic"
    for index, below in enumerate(value):
        here = f"{path}[{index}]"
        if granular:
            element = item_element(below, schema)
            here = path + dotted((element,))
            if element in seen:
                yield f"{path}: duplicate entries for key {dotted((element,))}"
            seen.add(element)
        yield from _type_problems(below, items, here)


def _takes_any(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string")


def _named(expected: str) -> str:
    return {"object": "map", "array": "list", "integer": _NUMERIC, "number": _NUMERIC}.get(expected, expected)


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _scalar_fits(value: Any, schema: Mapping[str, Any]) -> bool:
    if _takes_any(schema):
        return True
    match schema.get("type"):
        case "integer" | "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str) or "x-mlp-zero" in schema
    return True


def conflict_error(conflicts: Iterable[Conflict]) -> ApiError:
    """The 409 of an apply that would change what others own."""
    found: dict[str, list[str]] = {}
    for one in conflicts:
        text = json.dumps(one.entry["manager"])
        if one.entry.get("subresource"):
            text += f' with subresource "{one.entry["subresource"]}"'
        if one.entry["operation"] == "Update":
            text += f" using {one.entry['apiVersion']}"
        found.setdefault(text, []).append(dotted(one.path))
    causes = [
        cause("FieldManagerConflict", field, f"conflict with {text}")
        for text, fields in found.items()
        for field in fields
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = []
        for text, fields in sorted(found.items()):
            lines += [f"conflicts with {text}:", *(f"- {field}" for field in fields)]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, details={"causes": causes})


def were_applied_by_client(kind: Kind, live: Object, conflicts: Iterable[Conflict]) -> bool:
    """Whether client-side apply set all of these fields: `kubectl apply --server-side` may then take them over."""
    annotations = live["metadata"].get("annotations") or {}
    last = json.loads(annotations.get(LAST_APPLIED) or "{}")
    current, before = applied_fields(live, kind.schema), applied_fields(last, kind.schema)
    return all(one.path in before and before[one.path] == current.get(one.path) for one in conflicts)


def decoding_error(error: ApiError, media_type: str, patch: Any, thing: Object) -> ApiError:
    """A patch's way to say that what it makes cannot be read: 422 about the patch instead of 400 about the body."""
    found = _STRICT.search(error.message)
    if error.code != 400 or not found:
        return error
    shown = _go_map(patch) if media_type == STRATEGIC else json.dumps(thing, separators=(",", ":"))
    why = f"Invalid value: {json.dumps(shown)}: {found[0]}"
    return invalid("", "", "", [cause("FieldValueInvalid", "patch", why)])


def _go_map(value: Any) -> str:
    """A value as Go prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_map(one)}" for key, one in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go_map(one) for one in value) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)
