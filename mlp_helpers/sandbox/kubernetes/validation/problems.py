"""What is wrong with an object: problems with a field, a reason and a real server's words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Problem",
    "Raw",
    "difference",
    "duplicate",
    "forbidden",
    "invalid",
    "is_blocking",
    "not_found",
    "not_supported",
    "required",
    "shown",
    "too_long",
    "too_many",
    "type_invalid",
    "where",
]

_BLOCKING = (
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
)


@dataclass(frozen=True)
class Problem:
    """One cause of a 422."""

    reason: str
    field: str
    message: str

    def cause(self) -> dict[str, Any]:
        """As the details of a Status list it."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def is_blocking(problem: Problem) -> bool:
    """Whether rules in CEL are not worth evaluating any more."""
    return problem.reason in _BLOCKING


def shown(value: Any) -> str:
    """A value as messages print it."""
    if isinstance(value, Raw):
        return value.text
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e") if isinstance(value, dict | list) else text


@dataclass(frozen=True)
class Raw:
    """A value that messages print as it stands."""

    text: str


def invalid(field: str, value: Any, why: str) -> Problem:
    """A value that does not do."""
    return Problem("FieldValueInvalid", field, f"Invalid value: {shown(value)}: {why}")


def type_invalid(field: str, value: Any, why: str) -> Problem:
    """A value of the wrong type."""
    return Problem("FieldValueTypeInvalid", field, f"Invalid value: {shown(value)}: {why}")


def required(field: str, why: str = "") -> Problem:
    """A value that is missing."""
    return Problem("FieldValueRequired", field, f"Required value: {why}" if why else "Required value")


def not_supported(field: str, value: Any, supported: Iterable[Any]) -> Problem:
    """A value outside an enumeration."""
    listed = ", ".join(shown(one) for one in supported)
    return Problem("FieldValueNotSupported", field, f"Unsupported value: {shown(value)}: supported values: {listed}")


def forbidden(field: str, why: str) -> Problem:
    """A value that may not be given, or not be changed."""
    return Problem("FieldValueForbidden", field, f"Forbidden: {why}")


def duplicate(field: str, value: Any) -> Problem:
    """A value that is there already."""
    return Problem("FieldValueDuplicate", field, f"Duplicate value: {shown(value)}")


def not_found(field: str, value: Any) -> Problem:
    """A reference to nothing."""
    return Problem("FieldValueNotFound", field, f"Not found: {shown(value)}")


def too_long(field: str, limit: int) -> Problem:
    """A text of too many bytes."""
    return Problem("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")


def too_many(field: str, count: int, limit: int) -> Problem:
    """Too many entries."""
    return Problem("FieldValueTooMany", field, f"Too many: {count}: must have at most {limit} items")


def difference(before: Any, after: Any) -> str:
    """What differs, as a diff of the two values.

    A real server prints its internal structures here, whose fields have other names and another order.
    """
    old, new = (json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, after))
    return "\n".join(list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]) + "\n"


def where(field: str, value: Any, check: Callable[[str], Sequence[str]]) -> list[Problem]:
    """The problems that a check of `names` finds with a value."""
    return [invalid(field, value, words) for words in check(value)]
