"""Label selectors as objects carry them: matchLabels and matchExpressions, and the node selector's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Labels = Mapping[str, str]


def matches(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Whether labels are selected; no selector selects nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def matches_any_term(terms: Sequence[Mapping[str, Any]], labels: Labels, fields: Labels) -> bool:
    """Whether one of a node selector's terms holds; a term without conditions never does."""
    for term in terms:
        expressions, on_fields = term.get("matchExpressions") or [], term.get("matchFields") or []
        if not expressions and not on_fields:
            continue
        if all(_holds(one, labels) for one in expressions) and all(_holds(one, fields) for one in on_fields):
            return True
    return False


def selector_text(selector: Mapping[str, Any]) -> str:
    """The selector as a request's labelSelector."""
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(expression.get("values") or ())
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[expression["operator"]]
        )
    return ",".join(terms)


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    key, values = expression["key"], list(expression.get("values") or [])
    has, value = key in labels, labels.get(key, "")
    match expression["operator"]:
        case "In":
            return has and value in values
        case "NotIn":
            return not has or value not in values
        case "Exists":
            return has
        case "DoesNotExist":
            return not has
        case "Gt":
            return has and value.isdigit() and int(value) > int(values[0])
        case "Lt":
            return has and value.isdigit() and int(value) < int(values[0])
    return False
