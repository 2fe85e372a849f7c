"""Preconditions on generations: what makes a lock in a bucket a lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.google.calls import Query
from mlp_helpers.sandbox.google.storage import errors


@dataclass(frozen=True)
class Preconditions:
    """What must hold of the live (or the named) generation; 0 stands for "there is none"."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    @classmethod
    def of(cls, query: Query, prefix: str = "if") -> Preconditions:
        """Read `ifGenerationMatch` and its kin; the source of a copy has the prefix `ifSource`."""
        return cls(
            query.number(f"{prefix}GenerationMatch"),
            query.number(f"{prefix}GenerationNotMatch"),
            query.number(f"{prefix}MetagenerationMatch"),
            query.number(f"{prefix}MetagenerationNotMatch"),
        )

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> Preconditions:
        """The same in the XML API's headers."""
        generation = headers.get("x-goog-if-generation-match")
        metageneration = headers.get("x-goog-if-metageneration-match")
        return cls(
            generation_match=int(generation) if generation else None,
            metageneration_match=int(metageneration) if metageneration else None,
        )

    def check(self, resource: Mapping[str, Any] | None, *, reading: bool = False) -> None:
        """Raise 412 where a condition does not hold (for a read, a "not match" that matches is 304)."""
        generation = int(resource.get("generation", 0)) if resource else 0
        metageneration = int(resource["metageneration"]) if resource else 0
        for wanted, actual in ((self.generation_match, generation), (self.metageneration_match, metageneration)):
            if wanted is not None and wanted != actual:
                raise errors.condition_not_met()
        for unwanted, actual in (
            (self.generation_not_match, generation),
            (self.metageneration_not_match, metageneration),
        ):
            if unwanted is not None and unwanted == actual:
                raise errors.not_modified() if reading else errors.condition_not_met("If-None-Match")
