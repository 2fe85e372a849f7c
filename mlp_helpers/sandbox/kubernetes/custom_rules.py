"""Validation rules (`x-kubernetes-validations`) of custom resources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mlp_helpers.sandbox.kubernetes import rules
from mlp_helpers.sandbox.kubernetes.ages import parse_time
from mlp_helpers.sandbox.kubernetes.validation.problems import Problem, Raw, duplicate, forbidden, invalid, required

__all__ = ["check_rules"]

Schema = Mapping[str, Any]

_RULES = "x-kubernetes-validations"
_OLD = re.compile(r"\boldSelf\b")
_ABSENT = object()
# Names that CEL reserves are escaped in rules; so are characters that it does not allow in names.
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def check_rules(schema: Schema, value: Any, old: Any = None) -> list[Problem]:
    """Evaluate every rule that applies.

    Args:
        schema: Structural schema of the whole object.
        value: The object, with defaults.
        old: The object before an update; without it rules that name `oldSelf` do not apply.
    """
    return _walk(schema, value, _ABSENT if old is None else old, "")


def _walk(schema: Schema, value: Any, old: Any, path: str) -> list[Problem]:
    if value is None:
        return []
    problems = [found for rule in schema.get(_RULES) or () for found in _check(rule, schema, value, old, path)]
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, one in value.items():
            known = name in properties
            part = properties.get(name) or (extra if isinstance(extra, Mapping) else None)
            if part:
                before = old.get(name, _ABSENT) if isinstance(old, dict) else _ABSENT
                step = f".{name}" if known and path else name if known else f"[{name}]"
                problems += _walk(part, one, before, f"{path}{step}")
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for number, one in enumerate(value):
            problems += _walk(schema["items"], one, _counterpart(schema, one, old), f"{path}[{number}]")
    return problems


def _counterpart(schema: Schema, item: Any, old: Any) -> Any:
    """The item that an item of a list was before; only items that are found by key have one."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list) or not isinstance(item, dict):
        return _ABSENT
    same = (one for one in old if all(one.get(key) == item.get(key) for key in keys))
    return next(same, _ABSENT)


def _check(rule: Mapping[str, Any], schema: Schema, value: Any, old: Any, path: str) -> list[Problem]:
    expression = rule["rule"]
    variables = {"self": _to_cel(schema, value)}
    if _OLD.search(expression):
        if old is _ABSENT and not rule.get("optionalOldSelf"):
            return []
        variables["oldSelf"] = None if old is _ABSENT else _to_cel(schema, old)
    field = f"{path}{rule.get('fieldPath', '')}".lstrip(".") or "<nil>"
    try:
        holds = rules.evaluate(expression, variables)
    except rules.RuleError as error:
        words = f"{error} evaluating rule: {rule.get('message') or expression}"
        return [invalid(field, Raw(_type_of(value)), words)]
    return [] if holds is True else [_problem(rule, field, value, _message(rule, variables))]


def _message(rule: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    if rule.get("messageExpression"):
        try:
            text = rules.evaluate(rule["messageExpression"], variables)
        except rules.RuleError:
            text = ""  # a real server falls back on the fixed message, too
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text.strip()
    return str(rule.get("message") or f"failed rule: {rule['rule']}").strip()


def _problem(rule: Mapping[str, Any], field: str, value: Any, message: str) -> Problem:
    match rule.get("reason"):
        case "FieldValueForbidden":
            return forbidden(field, message)
        case "FieldValueRequired":
            return required(field, message)
        case "FieldValueDuplicate":
            return duplicate(field, value)
    if isinstance(value, dict | list):
        return Problem("FieldValueInvalid", field, f"Invalid value: {message}")
    return invalid(field, value, message)


def _type_of(value: Any) -> str:
    if isinstance(value, dict | list):
        return '"object"' if isinstance(value, dict) else '"array"'
    return f'"{value}"'


def _to_cel(schema: Schema, value: Any) -> Any:
    """The value as rules see it: times as times, names escaped."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        shown = {}
        for name, one in value.items():
            part = properties.get(name) or (extra if isinstance(extra, Mapping) else {})
            shown[_escape(name) if name in properties else name] = _to_cel(part, one)
        return shown
    if isinstance(value, list):
        items = schema.get("items")
        return [_to_cel(items if isinstance(items, Mapping) else {}, one) for one in value]
    if isinstance(value, str) and schema.get("format") in ("date-time", "duration"):
        return _time_of(value) if schema["format"] == "date-time" else _duration_of(value)
    if isinstance(value, int) and schema.get("type") == "number" and not isinstance(value, bool):
        return float(value)
    return value


def _escape(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for bad, good in _ESCAPES:
        name = name.replace(bad, good)
    return name


def _time_of(text: str) -> datetime:
    return parse_time(text)


def _duration_of(text: str) -> timedelta:
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))
    return timedelta(seconds=-seconds if text.startswith("-") else seconds)
