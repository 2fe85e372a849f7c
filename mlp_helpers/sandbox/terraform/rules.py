"""What no schema says about a type: identity, immutability, defaults and the checks of `terraform validate`.

A path names an argument by its names only, without indices: "ip_allocation_policy.services_secondary_range_name".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlp_helpers.sandbox.terraform.values import UNKNOWN, Value, Values, is_zero

Equal = Callable[[Value, Value], bool]


@dataclass(frozen=True)
class Problem:
    """Something that `terraform validate` must say."""

    path: tuple[str | int, ...]
    summary: str
    detail: str


Check = Callable[[Values], Iterator[Problem]]


@dataclass(frozen=True)
class Rules:
    """The rules of a resource type.

    Args:
        immutable: Paths whose change replaces the object. The path of a block means everything in it.
        defaults: Values that the provider itself puts in place of an argument that is left out.
        from_provider: Top-level arguments that fall back to the provider block's argument of the same name.
        served: Paths of blocks that the API fills when they are left out, and that then stay as they are.
        renewed: Computed attributes that every update changes.
        equal: Paths where two different values can mean the same.
        checks: What `terraform validate` checks beyond the schema.
        replaces: Decides on replacements that depend on the values: returns top-level names.
    """

    immutable: frozenset[str] = frozenset()
    defaults: Mapping[str, Value] = field(default_factory=dict)
    from_provider: tuple[str, ...] = ()
    served: frozenset[str] = frozenset()
    renewed: frozenset[str] = frozenset()
    equal: Mapping[str, Equal] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    replaces: Callable[[Values, Values], tuple[str, ...]] = lambda prior, planned: ()


def problems(rules: Rules, config: Values) -> Iterator[Problem]:
    """What is wrong with a configuration, as far as it is known."""
    for check in (_deletion_policy, *rules.checks):
        yield from check(config)


def found(config: Value, path: str) -> Iterator[tuple[tuple[str | int, ...], Value]]:
    """Every known, non-null value at a path, with the indices that lead to it."""
    yield from _found(config, path.split("."), ())


def _found(
    value: Value, names: list[str], before: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Value]]:
    if value is None or value is UNKNOWN:
        return
    if not names:
        yield before, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _found(item, names, (*before, index))
    elif isinstance(value, dict):
        yield from _found(value.get(names[0]), names[1:], (*before, names[0]))


def strings(config: Values, path: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every known string at a path, members of lists and sets as well."""
    for where, value in found(config, path):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield where, item


def matches(path: str, pattern: str, meaning: str) -> Check:
    """Strings at a path match a pattern as a whole."""
    compiled = re.compile(pattern)

    def check(config: Values) -> Iterator[Problem]:
        for where, value in strings(config, path):
            if compiled.fullmatch(value) is None:
                yield Problem(where, f'invalid value for "{path}"', f'"{value}": {meaning}')

    return check


def one_of(path: str, *allowed: str) -> Check:
    """Strings at a path are of a list."""

    def check(config: Values) -> Iterator[Problem]:
        for where, value in strings(config, path):
            if value not in allowed:
                expected = ", ".join(f'"{name}"' for name in allowed)
                yield Problem(where, f'expected "{path}" to be one of [{expected}]', f'got "{value}"')

    return check


_deletion_policy = one_of("deletion_policy", "DELETE", "PREVENT", "ABANDON")


def between(path: str, low: int, high: int) -> Check:
    """Numbers at a path lie in a range, ends included."""

    def check(config: Values) -> Iterator[Problem]:
        for where, value in found(config, path):
            if isinstance(value, (int, float)) and not low <= value <= high:
                yield Problem(where, f'expected "{path}" to be in the range ({low} - {high})', f"got {value}")

    return check


def is_cidr(path: str) -> Check:
    """Strings at a path are IP ranges without host bits."""

    def check(config: Values) -> Iterator[Problem]:
        import ipaddress

        for where, value in strings(config, path):
            try:
                ipaddress.ip_network(value)
            except ValueError as error:
                yield Problem(where, f'"{path}" is not a valid IP CIDR range', f"{value}: {error}")

    return check


def conflicts(*paths: str) -> Check:
    """At most one of the paths is set."""

    def check(config: Values) -> Iterator[Problem]:
        present = _present(config, paths)
        if len(present) > 1:
            first, second = present[:2]
            yield Problem(_root(first), "Conflicting configuration arguments", f'"{first}": conflicts with {second}')

    return check


def needs_one_of(*paths: str) -> Check:
    """At least one of the paths is set."""

    def check(config: Values) -> Iterator[Problem]:
        if not _present(config, paths, unknown_counts=True):
            wanted = ",".join(paths)
            yield Problem((), "Missing required argument", f'"{paths[0]}": one of `{wanted}` must be specified')

    return check


def needs_together(path: str, *others: str) -> Check:
    """Where the first path is set, the others are as well."""

    def check(config: Values) -> Iterator[Problem]:
        if _present(config, (path,)):
            for other in others:
                if not _present(config, (other,), unknown_counts=True):
                    yield Problem(
                        _root(path), "Missing required argument", f'"{path}": all of `{path},{other}` must be specified'
                    )

    return check


def _present(config: Values, paths: tuple[str, ...], *, unknown_counts: bool = False) -> list[str]:
    return [path for path in paths if any(True for _ in _set(config, path, unknown_counts))]


def _set(config: Values, path: str, unknown_counts: bool) -> Iterator[Any]:
    if unknown_counts and config.get(path.split(".")[0]) is UNKNOWN:
        yield UNKNOWN
    for _, value in found(config, path):
        if not isinstance(value, list) or not is_zero(value):
            yield value


def _root(path: str) -> tuple[str, ...]:
    return (path.split(".")[0],)


def names_the_same(left: Value, right: Value) -> bool:
    """Whether two strings name one resource: a name, a relative path or a self link (the last part decides)."""
    if not isinstance(left, str) or not isinstance(right, str):
        return False
    return _relative(left) == _relative(right) or (
        ("/" not in left or "/" not in right) and left.rsplit("/", 1)[-1] == right.rsplit("/", 1)[-1]
    )


def _relative(name: str) -> str:
    return name[name.index("projects/") :] if "projects/" in name else name


def ignoring_case(left: Value, right: Value) -> bool:
    """Whether two strings differ in case only."""
    return isinstance(left, str) and isinstance(right, str) and left.lower() == right.lower()
