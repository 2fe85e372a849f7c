"""JSONPath of printer columns, scale paths and selectable fields: `.a[0].c`, `.list[?(@.type=="Ready")].status`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

__all__ = ["find", "find_all"]

_STEP = re.compile(
    r"""\.?(?P<name>(?:[\w/-]|\\\.)+)
      | \['(?P<quoted>[^']*)'\]
      | \[(?P<index>-?\d+)\]
      | \[\?\(@\.(?P<key>[\w.-]+)\s*==\s*(?P<quote>["'])(?P<wanted>[^"']*)(?P=quote)\)\]
      | (?P<every>\[\*\]|\.\*)""",
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[re.Match[str], ...]:
    return tuple(_STEP.finditer(path.strip("{}").removeprefix("$")))


def find_all(value: Any, path: str) -> list[Any]:
    """Every value at the path, none if it is not there."""
    values = [value]
    for step in _steps(path):
        values = [found for one in values for found in _follow(one, step)]
    return values


def find(value: Any, path: str) -> Any:
    """The first value at the path, or None."""
    return next(iter(find_all(value, path)), None)


def _follow(value: Any, step: re.Match[str]) -> list[Any]:
    name = step["name"].replace("\\.", ".") if step["name"] else step["quoted"]
    if name is not None:
        return [value[name]] if isinstance(value, dict) and name in value else []
    if step["every"]:
        return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    if not isinstance(value, list):
        return []
    if step["index"]:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    return [one for one in value if str(find(one, f".{step['key']}")) == step["wanted"]]
