"""The rules alone."""

from __future__ import annotations

from typing import Any

import pytest

from mlp_helpers.sandbox.github.protection import RefUpdate, applies_to, judge


def _update(**more: Any) -> RefUpdate:
    facts: dict[str, Any] = {
        "ref": "refs/heads/main",
        "old": "a" * 40,
        "new": "b" * 40,
        "is_fast_forward": lambda: True,
        "brings_merges": lambda: False,
        "login": "ada",
        "by_admin": False,
    }
    return RefUpdate(**(facts | more))


def _ruleset(include: list[str], exclude: list[str] | None = None) -> dict[str, Any]:
    return {
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": include, "exclude": exclude or []}},
        "rules": [{"type": "update"}],
    }


@pytest.mark.parametrize(
    ("include", "exclude", "branch", "expected"),
    [
        (["~ALL"], [], "any/thing", True),
        (["~DEFAULT_BRANCH"], [], "main", True),
        (["~DEFAULT_BRANCH"], [], "dev", False),
        (["refs/heads/release/*"], [], "release/1", True),
        (["refs/heads/release/*"], [], "release/1/2", False),
        (["refs/heads/release/**"], [], "release/1/2", True),
        (["~ALL"], ["refs/heads/dev"], "dev", False),
        ([], [], "main", False),
    ],
)
def test_conditions_name_branches(include: list[str], exclude: list[str], branch: str, expected: bool) -> None:
    assert applies_to(_ruleset(include, exclude), branch, "main") is expected


def test_nothing_binds_a_tag() -> None:
    assert (
        judge(_update(ref="refs/tags/v1"), protection=None, rulesets=[_ruleset(["~ALL"])], default_branch="main")
        is None
    )


@pytest.mark.parametrize(("enforce_admins", "refused"), [(True, True), (False, False)])
def test_locked_branch_binds_administrators_only_if_told(enforce_admins: bool, refused: bool) -> None:
    guard = {"lock_branch": True, "enforce_admins": enforce_admins}
    found = judge(_update(by_admin=True), protection=guard, rulesets=[], default_branch="main")
    assert (found is not None) is refused


def test_restriction_lets_only_the_named_push() -> None:
    guard = {"restrictions": {"users": ["ada"]}}
    assert judge(_update(), protection=guard, rulesets=[], default_branch="main") is None
    found = judge(_update(login="bob"), protection=guard, rulesets=[], default_branch="main")
    assert found is not None
    assert found.code == "GH006"


def test_disabled_ruleset_binds_nobody() -> None:
    ruleset = {**_ruleset(["~ALL"]), "enforcement": "disabled"}
    assert judge(_update(), protection=None, rulesets=[ruleset], default_branch="main") is None
