"""Pure functions that combine objects: merge patch, and server-side apply with its field owners."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.kubernetes.definitions import child, items_of
from mlp_helpers.sandbox.kubernetes.fields import (
    Path,
    applied_fields,
    from_fields,
    is_granular_map,
    item_element,
    list_type,
    remove,
    to_fields,
    written_fields,
)

__all__ = ["Applied", "Conflict", "Writer", "apply", "merge_patch", "record_update"]

Object = dict[str, Any]
Schema = Mapping[str, Any]

MAX_UPDATE_ENTRIES = 10
_ANCIENT = "ancient-changes"
_BEFORE = "before-first-apply"
_MISSING = object()


@dataclass(frozen=True)
class Writer:
    """Who writes fields.

    Args:
        manager: Name of the field manager.
        api_version: In which version.
        time: Now, as managedFields write it.
        subresource: Through which subresource, or empty.
    """

    manager: str
    api_version: str
    time: str
    subresource: str = ""


@dataclass(frozen=True)
class Conflict:
    """A field that an apply would change though somebody else owns it."""

    entry: Object
    path: Path


@dataclass(frozen=True)
class Applied:
    """The outcome of an apply: the merged object, or the conflicts that prevent it."""

    object: Object
    conflicts: tuple[Conflict, ...] = ()


def merge_patch(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386); neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def apply(live: Object, applied: Object, schema: Schema, writer: Writer, *, force: bool = False) -> Applied:
    """Server-side apply.

    Args:
        live: The stored object, or `{}` if there is none.
        applied: What the manager wants, in full.
        schema: Of the kind.
        writer: Who applies.
        force: Take over fields that others own.

    Returns:
        The merged object with its managedFields, or the conflicts; with any, nothing is merged.
    """
    wanted, current = applied_fields(applied, schema), applied_fields(live, schema)
    entries = _entries(live) or _first_entry(live, schema, writer)
    mine = [one for one in entries if _is_mine(one, writer, "Apply")]
    others = [one for one in entries if one not in mine]
    previous = {path for one in mine for path in from_fields(one.get("fieldsV1", {}))}
    changing = {path for path, value in wanted.items() if current.get(path, value) != value}
    owned = [(one, from_fields(one.get("fieldsV1", {}))) for one in others]
    conflicts = tuple(Conflict(one, path) for one, paths in owned for path in sorted(paths & changing))
    if conflicts and not force:
        return Applied(live, conflicts)
    kept = [(one, paths - changing) for one, paths in owned]
    merged = _overlay(copy.deepcopy(live), copy.deepcopy(applied), schema)
    _prune(merged, previous - set(wanted), set(wanted).union(*(paths for _, paths in kept)), schema)
    entry = _entry(writer, "Apply", set(wanted))
    if live and _content(merged) == _content(live):  # as a real server has it: who changes nothing has no time
        del entry["time"]
        if mine and "time" in mine[0]:
            entry["time"] = mine[0]["time"]
    remaining = [_with_paths(one, paths) for one, paths in kept if paths]
    merged.setdefault("metadata", {})["managedFields"] = sorted([*remaining, entry], key=_order)
    return Applied(merged)


def record_update(old: Object, new: Object, schema: Schema, writer: Writer) -> None:
    """Set the managedFields of an object that was created, replaced or patched."""
    before, after = written_fields(old, schema), written_fields(new, schema)
    changed = {path for path, value in after.items() if before.get(path, _MISSING) != value}
    gone = before.keys() - after.keys()
    mine, remaining = None, []
    for one in _entries(old):
        paths = from_fields(one.get("fieldsV1", {})) - gone
        if _is_mine(one, writer, "Update"):
            mine = (one, paths)
        elif kept := paths - changed:
            remaining.append(_with_paths(one, kept))
    if changed:
        remaining.append(_entry(writer, "Update", changed | (mine[1] if mine else set())))
    elif mine and mine[1]:
        remaining.append(_with_paths(*mine))
    fields = sorted(_limit(remaining), key=_order)
    metadata = new.setdefault("metadata", {})
    metadata.pop("managedFields", None)
    if fields:
        metadata["managedFields"] = fields


def _entries(thing: Object) -> list[Object]:
    return list(thing.get("metadata", {}).get("managedFields") or ())


def _content(thing: Object) -> Object:
    metadata = {key: value for key, value in thing.get("metadata", {}).items() if key != "managedFields"}
    return {**thing, "metadata": metadata}


def _overlay(live: Any, applied: Any, schema: Schema) -> Any:
    """The live value with the applied one laid over it, as the list and map types say."""
    if isinstance(live, dict) and is_granular_map(applied, schema):
        laid = {key: _overlay(live.get(key), value, child(schema, key)) for key, value in applied.items()}
        return {**live, **laid}
    if isinstance(applied, list) and isinstance(live, list) and list_type(schema) != "atomic":
        result = {item_element(value, schema): copy.deepcopy(value) for value in live}
        items = items_of(schema)
        for value in applied:
            key = item_element(value, schema)
            result[key] = _overlay(result.get(key), value, items)
        return list(result.values())
    return applied


def _prune(merged: Object, dropped: Iterable[Path], still_owned: set[Path], schema: Schema) -> None:
    """Remove what the manager applied before and nobody owns any more."""
    for path in sorted(dropped, key=len):  # an item before its fields, which are its identity
        if not any(other[: len(path)] == path for other in still_owned):
            remove(merged, path, schema)


def _first_entry(live: Object, schema: Schema, writer: Writer) -> list[Object]:
    """Somebody must own what was there before the first apply."""
    if not live:
        return []
    before = Writer(_BEFORE, live.get("apiVersion", writer.api_version), writer.time)
    paths = set(written_fields(live, schema))
    return [_entry(before, "Update", paths)] if paths else []


def _entry(writer: Writer, operation: str, paths: set[Path]) -> Object:
    entry = {
        "manager": writer.manager,
        "operation": operation,
        "apiVersion": writer.api_version,
        "time": writer.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": to_fields(paths),
    }
    return entry | ({"subresource": writer.subresource} if writer.subresource else {})


def _with_paths(entry: Object, paths: set[Path]) -> Object:
    return {**entry, "fieldsV1": to_fields(paths)}


def _is_mine(entry: Object, writer: Writer, operation: str) -> bool:
    names = (entry.get("manager"), entry.get("operation"), entry.get("subresource", ""))
    same_version = operation == "Apply" or entry.get("apiVersion") == writer.api_version
    return same_version and names == (writer.manager, operation, writer.subresource)


def _order(entry: Object) -> tuple[str, ...]:
    """Applied entries first, then by age and name."""
    return tuple(str(entry.get(name, "")) for name in ("operation", "time", "manager", "apiVersion", "subresource"))


def _limit(entries: list[Object]) -> list[Object]:
    """At most so many entries of updates; the oldest ones become one per version."""
    updates = sorted((one for one in entries if one.get("operation") == "Update"), key=_order)
    surplus = len(updates) - MAX_UPDATE_ENTRIES
    if surplus <= 0:
        return entries
    buckets: dict[str, set[Path]] = {}
    times: dict[str, str] = {}
    old = [one for one in updates if one.get("manager") == _ANCIENT] + [
        one for one in updates if one.get("manager") != _ANCIENT
    ][: surplus + 1]
    for one in old:
        version = one.get("apiVersion", "")
        buckets.setdefault(version, set()).update(from_fields(one.get("fieldsV1", {})))
        times[version] = max(times.get(version, ""), one.get("time", ""))
    ancient = [_entry(Writer(_ANCIENT, one, times[one]), "Update", paths) for one, paths in buckets.items()]
    return [one for one in entries if one not in old] + ancient
