"""What can be wrong with a source, in Config Sync's own terms: a KNV code, a sentence, the objects and files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.names import ERRORS_PAGE, ObjectId

# The real one cuts a status at 128 KiB; a count keeps the status readable too.
MOST_REPORTED = 100


@dataclass(frozen=True)
class Place:
    """Where in the source something is written."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True)
class Subject:
    """An object that a problem is about."""

    id: ObjectId | None = None
    version: str = ""
    place: Place | None = None

    def as_status(self) -> dict[str, Any]:
        """One entry of `errorResources`."""
        entry: dict[str, Any] = {}
        if self.place:
            entry["sourcePath"] = self.place.path
        if self.id:
            entry["resourceName"] = self.id.name
            if self.id.namespace:
                entry["resourceNamespace"] = self.id.namespace
            entry["resourceGVK"] = {"group": self.id.group, "version": self.version, "kind": self.id.kind}
        return entry

    def as_text(self) -> str:
        """The block that closes a message of Config Sync: source, then identity."""
        lines = [f"source: {self.place}"] if self.place else []
        if self.id:
            if self.id.namespace:
                lines.append(f"namespace: {self.id.namespace}")
            lines.append(f"metadata.name:{' ' + self.id.name if self.id.name else ''}")
            lines += [f"group: {self.id.group}".rstrip(), f"version: {self.version}", f"kind: {self.id.kind}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Problem:
    """One error as a status of a sync shows it."""

    code: int
    text: str
    subjects: tuple[Subject, ...] = ()

    @property
    def message(self) -> str:
        """`KNV1234: sentence`, the objects, and where to read more."""
        parts = [f"KNV{self.code:04d}: {self.text}", *(text for s in self.subjects if (text := s.as_text()))]
        return "\n\n".join([*parts, f"For more information, see {ERRORS_PAGE}#knv{self.code:04d}"])

    def as_status(self) -> dict[str, Any]:
        """One entry of `errors`."""
        entry: dict[str, Any] = {"code": f"{self.code:04d}", "errorMessage": self.message}
        resources = [resource for subject in self.subjects if (resource := subject.as_status())]
        return {**entry, "errorResources": resources} if resources else entry


class ProblemsError(Exception):
    """A step that cannot go on; carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.text for problem in self.problems))


def errors_status(problems: Sequence[Problem]) -> dict[str, Any]:
    """`errors` and `errorSummary` of one block of a sync's status."""
    shown = problems[:MOST_REPORTED]
    return {
        "errors": [problem.as_status() for problem in shown],
        "errorSummary": error_summary(problems),
    }


def error_summary(problems: Sequence[Problem]) -> dict[str, Any]:
    """How many errors there are and whether all of them are shown."""
    return {
        "totalCount": len(problems),
        "truncated": len(problems) > MOST_REPORTED,
        "errorCountAfterTruncation": min(len(problems), MOST_REPORTED),
    }
