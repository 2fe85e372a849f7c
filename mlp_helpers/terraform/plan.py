"""What Terraform would do: typed changes, read from the JSON form of a saved plan."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Action = Literal["create", "update", "replace", "delete", "read"]

ATTRIBUTES_SHOWN = 20
TEXT_SHOWN = 200
PATHS_NAMED = 3

_UNKNOWN = "(known after apply)"

# What a person would miss: destroying one of these loses what is in it.
HOLDS_DATA = frozenset({"google_container_cluster", "google_storage_bucket", "github_repository"})

_ACTIONS: Mapping[tuple[str, ...], Action] = {
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("read",): "read",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}


@dataclass(frozen=True)
class AttributeChange:
    """One attribute before and after; secrets and what is known only after the apply are named, not shown."""

    path: str
    before: str
    after: str
    forces_replacement: bool = False


@dataclass(frozen=True)
class ResourceChange:
    """One resource that would change."""

    address: str
    type: str
    name: str
    action: Action
    replace_paths: tuple[str, ...] = ()
    attributes: tuple[AttributeChange, ...] = ()
    is_protected: bool = False

    @property
    def destroys_data(self) -> bool:
        """Whether what a person keeps in it would be lost."""
        return self.type in HOLDS_DATA and self.action in ("delete", "replace")


@dataclass(frozen=True)
class Plan:
    """A saved plan; `Terraform.apply` carries it out."""

    changes: tuple[ResourceChange, ...] = ()
    has_changes: bool = False
    drift: tuple[str, ...] = ()
    file: Path = field(default=Path(), repr=False)
    digest: str = field(default="", repr=False)

    @property
    def summary(self) -> dict[Action, int]:
        """How many resources each action touches; actions that touch none are left out."""
        return dict(Counter(change.action for change in self.changes))

    @property
    def destroys_data(self) -> tuple[ResourceChange, ...]:
        """Clusters, buckets and repositories that would be destroyed, or replaced by empty ones."""
        return tuple(change for change in self.changes if change.destroys_data)

    @property
    def refused(self) -> tuple[ResourceChange, ...]:
        """What the provider will refuse to delete, because the state says that it is protected."""
        return tuple(
            change for change in self.changes if change.is_protected and change.action in ("delete", "replace")
        )

    @property
    def steps(self) -> int:
        """How many operations the apply consists of: a replacement is two."""
        return sum(2 if change.action == "replace" else 1 for change in self.changes)

    def rows(self) -> list[dict[str, str]]:
        """One row for each change, for a table."""
        return [{"action": change.action, "resource": change.address, "note": _note(change)} for change in self.changes]

    def __str__(self) -> str:
        counts = ", ".join(f"{number} to {action}" for action, number in self.summary.items())
        return f"Plan: {counts or ('outputs only' if self.has_changes else 'nothing to change')}"


def read_plan(document: str, *, file: Path = Path(), digest: str = "", has_changes: bool | None = None) -> Plan:
    """Read what `terraform show -json PLAN` prints."""
    found = json.loads(document)
    changes = tuple(_changes(found.get("resource_changes", ())))
    outputs = any(output["actions"] != ["no-op"] for output in found.get("output_changes", {}).values())
    return Plan(
        changes=changes,
        has_changes=bool(changes) or outputs if has_changes is None else has_changes,
        drift=tuple(drifted["address"] for drifted in found.get("resource_drift", ())),
        file=file,
        digest=digest,
    )


def _changes(found: list[dict[str, Any]]) -> Iterator[ResourceChange]:
    for each in found:
        change = each["change"]
        action = _ACTIONS.get(tuple(change["actions"]))
        if action is None:  # no-op, or only forgotten from the state
            continue
        replace_paths = tuple(_dotted(path) for path in change.get("replace_paths") or ())
        yield ResourceChange(
            address=each["address"],
            type=each["type"],
            name=each["name"],
            action=action,
            replace_paths=replace_paths,
            attributes=_attributes(change, replace_paths) if action in ("update", "replace") else (),
            is_protected=(change.get("before") or {}).get("deletion_protection") is True,
        )


def _attributes(change: dict[str, Any], replace_paths: tuple[str, ...]) -> tuple[AttributeChange, ...]:
    pairs = _differences(
        change.get("before"),
        change.get("after"),
        change.get("after_unknown"),
        (change.get("before_sensitive"), change.get("after_sensitive")),
    )
    found = [
        AttributeChange(path, before, after, path in replace_paths or path.split("[")[0] in replace_paths)
        for path, before, after in pairs
    ]
    if replace_paths:  # a new resource has everything computed anew: only what was asked for says something
        found = [each for each in found if each.forces_replacement or each.after != _UNKNOWN]
    found.sort(key=lambda each: not each.forces_replacement)  # the reason for a replacement is never cut off
    return tuple(found[:ATTRIBUTES_SHOWN])


def _differences(
    before: Any, after: Any, unknown: Any, secret: tuple[Any, Any], path: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Leaves that differ, as path and two texts."""
    if True in secret:
        if before != after or unknown is True:
            yield path, "(secret)", "(secret)"
    elif unknown is True:
        yield path, _text(before), _UNKNOWN
    elif isinstance(before, dict) and isinstance(after, dict | None):
        after = after or {}
        names = dict.fromkeys([*before, *after, *(unknown if isinstance(unknown, dict) else ())])
        for name in names:
            inner = (_inner(secret[0], name), _inner(secret[1], name))
            child = f"{path}.{name}" if path else name
            yield from _differences(before.get(name), after.get(name), _inner(unknown, name), inner, child)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            inner = (_inner(secret[0], index), _inner(secret[1], index))
            yield from _differences(old, new, _inner(unknown, index), inner, f"{path}[{index}]")
    elif before != after:
        hidden = _holds(secret[0]) or _holds(secret[1])
        yield path, *(("(secret)", "(secret)") if hidden else (_text(before), _text(after)))


def _inner(marks: Any, key: str | int) -> Any:
    """The marks (unknown, sensitive) of one element; Terraform leaves out what has none."""
    if isinstance(marks, dict):
        return marks.get(key)
    if isinstance(marks, list) and isinstance(key, int) and key < len(marks):
        return marks[key]
    return None


def _holds(marks: Any) -> bool:
    """Whether anything below is marked."""
    if isinstance(marks, dict):
        return any(map(_holds, marks.values()))
    return any(map(_holds, marks)) if isinstance(marks, list) else marks is True


def _text(value: Any) -> str:
    text = "(none)" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= TEXT_SHOWN else text[: TEXT_SHOWN - 1] + "…"


def _dotted(path: list[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _note(change: ResourceChange) -> str:
    reasons = []
    if change.is_protected and change.action in ("delete", "replace"):
        reasons.append("is protected, will be refused")
    elif change.destroys_data:
        reasons.append("loses what is in it")
    if change.replace_paths:
        reasons.append(f"because of {', '.join(change.replace_paths)}")
    elif change.attributes:
        named = [each.path for each in change.attributes[:PATHS_NAMED]]
        more = len(change.attributes) - len(named)
        reasons.append(", ".join(named) + (f" and {more} more" if more else ""))
    return "; ".join(reasons)
