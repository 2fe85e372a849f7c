"""Strategic merge patch: what `kubectl apply`, `patch` and `rollout restart` send for built-in kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.kubernetes.definitions import child, items_of

__all__ = ["strategic_patch"]

Schema = Mapping[str, Any]

_DELETE_FROM_LIST = "$deleteFromPrimitiveList/"
_ELEMENT_ORDER = "$setElementOrder/"


def strategic_patch(target: Any, patch: Any, schema: Schema) -> Any:
    """Combine an object with a patch: lists with a merge key item by item, `$` directives steer.

    Args:
        target: The stored value, or None; not changed.
        patch: What to change.
        schema: Of the value; it names merge keys and strategies.
    """
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM_LIST):
            name = key.removeprefix(_DELETE_FROM_LIST)
            result[name] = [item for item in result.get(name, []) if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        else:
            below = child(schema, key)
            if isinstance(value, list) and "merge" in below.get("x-kubernetes-patch-strategy", ""):
                order = patch.get(f"{_ELEMENT_ORDER}{key}")
                result[key] = _ordered(_merge_list(result.get(key) or [], value, below), order, below)
            else:
                result[key] = strategic_patch(result.get(key), value, below)
    return result


def _merge_list(target: list[Any], patch: list[Any], schema: Schema) -> list[Any]:
    key, items = schema.get("x-kubernetes-patch-merge-key"), items_of(schema)
    if key is None:
        return target + [value for value in patch if value not in target]
    if {"$patch": "replace"} in patch:
        return [value for value in patch if value != {"$patch": "replace"}]
    result = list(target)
    for value in patch:
        at = next((i for i, item in enumerate(result) if item.get(key) == value.get(key)), None)
        if value.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(strategic_patch({}, value, items))
        else:
            result[at] = strategic_patch(result[at], value, items)
    return result


def _ordered(items: list[Any], order: list[Any] | None, schema: Schema) -> list[Any]:
    """Items in the order that the patch asks for; those that it does not name keep their place at the end."""
    if not order:
        return items
    key = schema.get("x-kubernetes-patch-merge-key")
    wanted = [one.get(key) if isinstance(one, dict) else one for one in order]

    def place(item: Any) -> int:
        name = item.get(key) if isinstance(item, dict) else item
        return wanted.index(name) if name in wanted else len(wanted)

    return sorted(items, key=place)
