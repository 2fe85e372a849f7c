"""Conditions and times of a status, written the way the control plane writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Condition = dict[str, Any]


def timestamp(moment: datetime | None = None) -> str:
    """A moment (default: now) as metav1.Time."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """The moment of a metav1.Time or MicroTime."""
    return datetime.fromisoformat(text)


def condition(kind: str, status: bool | str, reason: str = "", message: str = "", **more: object) -> Condition:
    """A condition without its times."""
    said = status if isinstance(status, str) else ("True" if status else "False")
    made: Condition = {"type": kind, "status": said, **more}
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made


def with_conditions(
    before: Iterable[Mapping[str, Any]] | None, wanted: Iterable[Condition], now: str, *, update_time: str = ""
) -> list[Condition]:
    """Conditions after a change: lastTransitionTime moves only when the status does; other conditions stay.

    Args:
        before: The conditions so far.
        wanted: What should hold now.
        now: The time of this change.
        update_time: Name of a second time that moves with any change of the condition (`lastUpdateTime`).
    """
    result = {entry["type"]: dict(entry) for entry in before or ()}
    for entry in wanted:
        old = result.get(entry["type"])
        same_status = old is not None and old["status"] == entry["status"]
        new = {**entry, "lastTransitionTime": old.get("lastTransitionTime", now) if old and same_status else now}
        if update_time:
            unchanged = old is not None and all(old.get(key) == value for key, value in entry.items())
            new[update_time] = old.get(update_time, now) if old and unchanged else now
        result[entry["type"]] = new
    return list(result.values())


def find_condition(obj: Mapping[str, Any], kind: str) -> Condition | None:
    """A condition of an object's status."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((dict(entry) for entry in conditions if entry["type"] == kind), None)


def is_true(obj: Mapping[str, Any], kind: str) -> bool:
    """Whether a condition of an object's status is True."""
    found = find_condition(obj, kind)
    return found is not None and found["status"] == "True"
