"""Lengths of time as kubectl's users know them: 7s, 3m12s, 5h, 2d3h."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["age", "between", "parse_time"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_YEAR = 365 * _DAY
# Up to the limit a length is shown in the unit and, while it is still small, the rest in the next smaller unit.
_STEPS = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (48 * _HOUR, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    (float("inf"), _YEAR, "y", 0, ""),
)


def parse_time(text: str) -> datetime:
    """The moment of an RFC 3339 text."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _show(seconds: float) -> str:
    if seconds <= -2:
        return "<invalid>"
    whole = max(0, int(seconds))
    _, unit, letter, smaller, smaller_letter = next(step for step in _STEPS if whole < step[0])
    rest = whole % unit // smaller if smaller else 0
    return f"{whole // unit}{letter}" + (f"{rest}{smaller_letter}" if rest else "")


def age(timestamp: str | None, *, now: datetime | None = None) -> str:
    """The time since then, `<unknown>` without a timestamp."""
    if not timestamp:
        return "<unknown>"
    return _show(((now or datetime.now(UTC)) - parse_time(timestamp)).total_seconds())


def between(start: str | None, end: str | None) -> str:
    """The time from start to end, or until now without an end; empty without a start."""
    if not start:
        return ""
    return _show((parse_time(end) - parse_time(start)).total_seconds()) if end else age(start)
