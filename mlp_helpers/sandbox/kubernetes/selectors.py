"""Label selectors of objects (`matchLabels`, `matchExpressions`): whether they match, and how they are printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["format_selector", "matches_selector"]


def matches_selector(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a LabelSelector; an absent selector matches nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def format_selector(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector as tables print it: `app=x,tier in (a,b)`; `<none>` for none, empty for all."""
    if selector is None:
        return "<none>"
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
        text = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append((key, text.get(expression["operator"], f"!{key}")))
    return ",".join(text for _, text in sorted(parts)) or "<none>"
