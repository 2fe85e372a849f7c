"""Structural schemas of custom resources: defaults, pruning, validation, in a real server's words.

A validator of our own rather than a JSON Schema library: a server stops at the first problem of each value, names
nullable
and int-or-string values in its own way and counts some problems as blocking. All of that would have to be undone.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from mlp_helpers.sandbox.kubernetes.ages import parse_time
from mlp_helpers.sandbox.kubernetes.validation.problems import (
    Problem,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)

__all__ = ["apply_defaults", "prune", "validate_schema"]

Object = dict[str, Any]
Schema = Mapping[str, Any]

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_ROOT_FIELDS = ("apiVersion", "kind", "metadata")


def _extra(schema: Schema) -> Schema | None:
    """The schema of a map's values, if the object is a map."""
    extra = schema.get("additionalProperties")
    return extra if isinstance(extra, Mapping) else {} if extra is True else None


def _children(schema: Schema, value: Any) -> Iterator[tuple[str | int, Schema, Any]]:
    """What a value contains, with the schema of each part that has one."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, _extra(schema)
        for name, one in value.items():
            part = properties.get(name, extra)
            if part is not None:
                yield name, part, one
    elif isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, Mapping):
            for number, one in enumerate(value):
                yield number, items, one


def apply_defaults(schema: Schema, value: Any) -> None:
    """Fill in what is missing, and drop nulls where null is no value."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for name, part in properties.items():
            if value.get(name, None) is not None or (name in value and part.get("nullable")):
                continue
            value.pop(name, None)
            if "default" in part:
                value[name] = copy.deepcopy(part["default"])
    for _, part, one in _children(schema, value):
        apply_defaults(part, one)


def prune(schema: Schema, value: Any) -> list[str]:
    """Drop the fields that the schema does not have; returns their paths."""
    found = list(_unknown(schema, value, "", is_root=True))
    for _, owner, name in found:
        del owner[name]
    return [path for path, _, _ in found]


def _unknown(schema: Schema, value: Any, path: str, *, is_root: bool = False) -> Iterator[tuple[str, Object, str]]:
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, _extra(schema)
        keeps_all = bool(schema.get(_PRESERVE)) or extra is not None
        own = _ROOT_FIELDS if is_root or schema.get(_EMBEDDED) else ()
        for name in value:
            if name not in properties and name not in own and not keeps_all:
                yield (f"{path}.{name}" if path else name), value, name
    for name, part, one in _children(schema, value):
        if is_root and name == "metadata":
            continue
        step = f"[{name}]" if isinstance(name, int) else f".{name}" if path else name
        yield from _unknown(part, one, f"{path}{step}")


# Validation.


def validate_schema(schema: Schema, value: Any, path: str = "", *, is_root: bool = False) -> list[Problem]:
    """Everything that is wrong with a value, deepest last."""
    if value is None:
        return [] if schema.get("nullable") or not _types(schema) else [_wrong_type(schema, value, path)]
    types = _types(schema)
    if types and not any(_is(kind, value) for kind in types):
        return [_wrong_type(schema, value, path)]
    problems = _check_enum(schema, value, path) or _check_scalar(schema, value, path)
    if isinstance(value, dict):
        problems += _check_object(schema, value, path)
    elif isinstance(value, list):
        problems += _check_list(schema, value, path)
    problems += _check_combinations(schema, value, path)
    for name, part, one in _children(schema, value):
        if not (is_root and name in _ROOT_FIELDS):
            problems += validate_schema(part, one, _join(path, name, schema))
    return problems


def _join(path: str, name: str | int, schema: Schema) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    if name not in (schema.get("properties") or {}):
        return f"{path}[{name}]" if path else name
    return f"{path}.{name}" if path else name


def _types(schema: Schema) -> tuple[str, ...]:
    if schema.get(_INT_OR_STRING):
        return ("integer", "string")
    return (schema["type"],) if schema.get("type") else ()


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _type_name(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _wrong_type(schema: Schema, value: Any, path: str) -> Problem:
    kind, found = ",".join(_types(schema)), _type_name(value)
    return type_invalid(path, found, f'{path} in body must be of type {kind}: "{found}"')


def _check_enum(schema: Schema, value: Any, path: str) -> list[Problem]:
    allowed = schema.get("enum")
    return [] if allowed is None or value in allowed else [not_supported(path, value, allowed)]


def _check_scalar(schema: Schema, value: Any, path: str) -> list[Problem]:
    if isinstance(value, str):
        problem = _string_problem(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        problem = _number_problem(schema, value, path)
    else:
        problem = None
    return [problem] if problem else []


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace(r"\z", r"\Z"))


def _string_problem(schema: Schema, value: str, path: str) -> Problem | None:
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        return too_long(path, schema["maxLength"])
    if len(value) < schema.get("minLength", 0):
        return invalid(path, value, f"{path} in body should be at least {schema['minLength']} chars long")
    if "pattern" in schema and not _pattern(schema["pattern"]).search(value):
        return invalid(path, value, f"{path} in body should match '{schema['pattern']}'")
    form = schema.get("format", "")
    if form in _FORMATS and not _has_format(form, value):
        return type_invalid(path, value, f'{path} in body must be of type {form}: "{value}"')
    return None


_FORMATS = {
    "date-time": None,
    "date": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "duration": re.compile(r"[-+]?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d|w))+|0"),
    "ipv4": re.compile(r"(\d{1,3}\.){3}\d{1,3}"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"),
    "email": re.compile(r"[^@\s]+@[^@\s]+"),
}


def _has_format(form: str, value: str) -> bool:
    pattern = _FORMATS[form]
    if pattern is not None:
        return bool(pattern.fullmatch(value))
    try:
        parse_time(value)
    except ValueError:
        return False
    return "T" in value.upper()


def _number_problem(schema: Schema, value: float, path: str) -> Problem | None:
    multiple = schema.get("multipleOf")
    if multiple and value % multiple:
        return invalid(path, value, f"{path} in body should be a multiple of {multiple}")
    highest, lowest = schema.get("maximum"), schema.get("minimum")
    if highest is not None and (value > highest or (schema.get("exclusiveMaximum") and value == highest)):
        words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        return invalid(path, value, f"{path} in body should be {words} {highest}")
    if lowest is not None and (value < lowest or (schema.get("exclusiveMinimum") and value == lowest)):
        words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        return invalid(path, value, f"{path} in body should be {words} {lowest}")
    return None


def _check_object(schema: Schema, value: Object, path: str) -> list[Problem]:
    problems = [
        required(f"{path}.{name}" if path else name) for name in schema.get("required") or () if name not in value
    ]
    if "maxProperties" in schema and len(value) > schema["maxProperties"]:
        problems.append(too_many(path, len(value), schema["maxProperties"]))
    if len(value) < schema.get("minProperties", 0):
        words = f"{path} in body should have at least {schema['minProperties']} properties"
        problems.append(invalid(path, len(value), words))
    return problems


def _check_list(schema: Schema, value: list[Any], path: str) -> list[Problem]:
    problems = []
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        problems.append(too_many(path, len(value), schema["maxItems"]))
    if len(value) < schema.get("minItems", 0):
        problems.append(invalid(path, len(value), f"{path} in body should have at least {schema['minItems']} items"))
    return problems + _check_duplicates(schema, value, path)


def _check_duplicates(schema: Schema, value: list[Any], path: str) -> list[Problem]:
    """Sets and lists by key hold each item once."""
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or ()
    if kind not in ("set", "map"):
        return []
    seen: set[str] = set()
    problems = []
    for number, item in enumerate(value):
        if kind == "map":
            if not isinstance(item, dict) or any(key not in item for key in keys):
                continue  # a key that is missing is reported as such
            identity: Any = {key: item[key] for key in keys}
        else:
            identity = item
        text = json.dumps(identity, sort_keys=True)
        if text in seen:
            problems.append(duplicate(f"{path}[{number}]", identity))
        seen.add(text)
    return problems


def _check_combinations(schema: Schema, value: Any, path: str) -> list[Problem]:
    problems: list[Problem] = []
    for part in schema.get("allOf") or ():
        problems += validate_schema(part, value, path)
    for name, words in (("anyOf", "at least one schema (anyOf)"), ("oneOf", "one and only one schema (oneOf)")):
        parts = schema.get(name)
        if not parts or schema.get(_INT_OR_STRING):
            continue
        valid = sum(not validate_schema(part, value, path) for part in parts)
        if valid == 0 or (name == "oneOf" and valid > 1):
            found = "Found none valid" if valid == 0 else f"Found {valid} valid alternatives"
            problems.append(
                invalid(path, "", f'"{path}" must validate {words}' + (f". {found}" if name == "oneOf" else ""))
            )
    if schema.get("not") and not validate_schema(schema["not"], value, path):
        problems.append(invalid(path, "", f'"{path}" must not validate the schema (not)'))
    return problems
