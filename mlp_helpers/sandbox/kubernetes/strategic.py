"""Strategic merge patch: what `kubectl apply`, `patch` and `rollout restart` send for built-in kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
                result[key] = _merge_list(result.get(key) or [], value, below, order)
            else:
                result[key] = strategic_patch(result.get(key), value, below)
    return result


def _merge_list(target: list[Any], patch: list[Any], schema: Schema, order: list[Any] | None) -> list[Any]:
    """A list with a merge strategy, in a real server's order."""
    key, items = schema.get("x-kubernetes-patch-merge-key"), items_of(schema)
    if {"$patch": "replace"} in patch:
        return [value for value in patch if value != {"$patch": "replace"}]
    if key is None:
        merged = target + [value for value in patch if value not in target]
    else:
        merged = list(target)
        for value in patch:
            _merge_item(merged, value, key, items)

    def name_of(item: Any) -> Any:
        return item.get(key) if key is not None and isinstance(item, dict) else item

    named = [name_of(one) for one in (order if order is not None else patch)]
    asked = sorted((one for one in merged if name_of(one) in named), key=lambda one: named.index(name_of(one)))
    others = [one for one in merged if name_of(one) not in named]
    return _interleaved(others, asked, [name_of(one) for one in target], name_of)


def _merge_item(merged: list[Any], value: Any, key: str, items: Schema) -> None:
    at = next((index for index, item in enumerate(merged) if item.get(key) == value.get(key)), None)
    if value.get("$patch") == "delete":
        if at is not None:
            del merged[at]
    elif at is None:
        merged.append(strategic_patch({}, value, items))
    else:
        merged[at] = strategic_patch(merged[at], value, items)


def _interleaved(others: list[Any], asked: list[Any], before: list[Any], name_of: Callable[[Any], Any]) -> list[Any]:
    """Both lists in one; an item of `others` comes first only where it stood before the other one already."""
    result, left, right = [], list(others), list(asked)
    while left and right:
        first, second = name_of(left[0]), name_of(right[0])
        known = first in before and second in before
        result.append((left if known and before.index(first) < before.index(second) else right).pop(0))
    return result + right + left
