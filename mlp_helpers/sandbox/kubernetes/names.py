"""The forms that names, labels and keys must have, each with the words of a real server for what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = [
    "config_key",
    "dns_label",
    "dns_label_1035",
    "dns_subdomain",
    "label_key",
    "label_value",
    "namespace_name",
    "path_segment",
    "qualified_finalizer",
]

Check = Callable[[str], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_NAME_PART})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_ALPHANUMERIC = "and must start and end with an alphanumeric character"
_LABEL_WORDS = (
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_ALPHANUMERIC}"
    f" (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character,"
    " and end"
    f" with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{_LABEL_1035}')"
)
_SUBDOMAIN_WORDS = (
    f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_ALPHANUMERIC}"
    f" (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_MIXED = f"must consist of alphanumeric characters, '-', '_' or '.', {_ALPHANUMERIC}"
_EXAMPLES = "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
_NAME_PART_WORDS = f"name part {_MIXED} {_EXAMPLES} '{_NAME_PART}')"
_KEY_WORDS = (
    f"a valid label key {_MIXED} {_EXAMPLES} '{_NAME_PART}') with an optional DNS subdomain prefix and '/'"
    " (e.g. 'example.com/MyName')"
)
_VALUE_WORDS = (
    f"a valid label must be an empty string or {_MIXED.removeprefix('must ')} (e.g. 'MyValue',  or 'my_value',  or"
    f" '12345',"
    f" regex used for validation is '{_VALUE}')"
)
_CONFIG_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or"
    f" 'key-name', regex used for validation is '{_CONFIG_KEY}')"
)
_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


def _check(value: str, form: str, limit: int, words: str) -> list[str]:
    problems = [_too_long(limit)] if len(value) > limit else []
    return problems if re.fullmatch(form, value) else [*problems, words]


def dns_label(value: str) -> list[str]:
    """Names of namespaces, containers, ports."""
    return _check(value, _LABEL, 63, _LABEL_WORDS)


def dns_label_1035(value: str) -> list[str]:
    """Labels that begin with a letter."""
    return _check(value, _LABEL_1035, 63, _LABEL_1035_WORDS)


def dns_subdomain(value: str) -> list[str]:
    """Names of most objects."""
    return _check(value, _SUBDOMAIN, 253, _SUBDOMAIN_WORDS)


def namespace_name(value: str) -> list[str]:
    """Names of objects that become DNS labels."""
    return ["must not contain dots"] if "." in value and not dns_subdomain(value) else dns_label(value)


def path_segment(value: str) -> list[str]:
    """Names of roles and bindings, which may contain almost anything."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in value]


def label_key(value: str) -> list[str]:
    """Keys of labels and annotations."""
    prefix, slash, name = value.partition("/")
    if not slash:
        prefix, name = "", value
    elif "/" in name:
        return [_KEY_WORDS]
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif prefix:
        problems += [f"prefix part {words}" for words in dns_subdomain(prefix)]
    if not name:
        return [*problems, "name part must be non-empty", _NAME_PART_WORDS]
    if len(name) > 63:
        problems.append(f"name part {_too_long(63)}")
    return problems if re.fullmatch(_NAME_PART, name) else [*problems, _NAME_PART_WORDS]


def label_value(value: str) -> list[str]:
    """Values of labels."""
    return _check(value, _VALUE, 63, _VALUE_WORDS)


def config_key(value: str) -> list[str]:
    """Keys of config maps and secrets."""
    if value in (".", "..") or value.startswith(".."):
        return ["must not start with '..'" if value.startswith("..") and value != ".." else f"must not be '{value}'"]
    return _check(value, _CONFIG_KEY, 253, _CONFIG_KEY_WORDS)


def qualified_finalizer(value: str) -> list[str]:
    """Names of finalizers."""
    problems = label_key(value)
    if not problems and "/" not in value and value not in _FINALIZERS:
        problems = ["name is neither a standard finalizer name nor is it fully qualified"]
    return problems
