"""Who may move a branch, and how: branch protection and rulesets, decided without touching anything."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEADS = "refs/heads/"
ROLE_NUMBERS = {"maintain": 2, "write": 4, "admin": 5}  # actor_id of RepositoryRole in bypass_actors


@dataclass(frozen=True)
class RefUpdate:
    """A change to a ref.

    Args:
        ref: Full name.
        old: Where it was; None if it is new.
        new: Where it shall be; None if it goes.
        is_fast_forward: Asked only where it matters.
        brings_merges: Whether merge commits are among the new ones; asked only where it matters.
        login: Who does it.
        by_admin: Whether that is an administrator of the repository.
        merge_method: How a pull request is merged, where that is what happens.
        approvals: Approving reviews of that pull request.
        passed_checks: Contexts of the checks that passed on the new commit.
    """

    ref: str
    old: str | None
    new: str | None
    is_fast_forward: Callable[[], bool]
    brings_merges: Callable[[], bool]
    login: str
    by_admin: bool
    merge_method: str = ""
    approvals: int = 0
    passed_checks: frozenset[str] = frozenset()

    @property
    def by_merge(self) -> bool:
        """Whether a pull request's merge does it."""
        return bool(self.merge_method)

    @property
    def branch(self) -> str:
        """Name of the branch, empty for another ref."""
        return self.ref.removeprefix(HEADS) if self.ref.startswith(HEADS) else ""


@dataclass(frozen=True)
class Refusal:
    """Why a ref may not move, in the words of the real service.

    Args:
        code: `GH006` for branch protection, `GH013` for rulesets.
        reasons: What is violated.
    """

    code: str
    reasons: tuple[str, ...]

    @property
    def message(self) -> str:
        """The sentence of the REST API."""
        text = "\n".join(self.reasons)
        return text if self.code == "GH006" else f"Repository rule violations found\n\n{text}\n"


def judge(
    update: RefUpdate,
    *,
    protection: Mapping[str, Any] | None,
    rulesets: Sequence[Mapping[str, Any]],
    default_branch: str,
) -> Refusal | None:
    """Whether a ref may move: None if it may.

    Args:
        update: The change.
        protection: Protection of the branch, as the REST API keeps it.
        rulesets: Rulesets of the repository.
        default_branch: What `~DEFAULT_BRANCH` means.
    """
    if not update.branch:
        return None
    if protection is not None and update.old is not None:
        reasons = tuple(_protection_reasons(update, protection))
        if reasons:
            return Refusal("GH006", reasons)
    reasons = tuple(
        reason
        for ruleset in rulesets
        if ruleset["enforcement"] == "active"
        and applies_to(ruleset, update.branch, default_branch)
        and not _bypasses(update, ruleset)
        for rule in ruleset["rules"]
        for reason in _rule_reasons(update, rule["type"], rule.get("parameters") or {})
    )
    return Refusal("GH013", tuple(dict.fromkeys(reasons))) if reasons else None


def applies_to(ruleset: Mapping[str, Any], branch: str, default_branch: str) -> bool:
    """Whether a ruleset's conditions name a branch."""
    if ruleset.get("target", "branch") != "branch":
        return False
    names = (ruleset.get("conditions") or {}).get("ref_name") or {}

    def named(patterns: Sequence[str]) -> bool:
        return any(_matches(pattern, branch, default_branch) for pattern in patterns)

    return named(names.get("include", ())) and not named(names.get("exclude", ()))


def _matches(pattern: str, branch: str, default_branch: str) -> bool:
    if pattern == "~ALL":
        return True
    if pattern == "~DEFAULT_BRANCH":
        return branch == default_branch
    pattern = pattern.removeprefix(HEADS)
    if "**" not in pattern and branch.count("/") != pattern.count("/"):
        return False  # one star stays within one part of the name
    return fnmatch.fnmatchcase(branch, pattern)


def _bypasses(update: RefUpdate, ruleset: Mapping[str, Any]) -> bool:
    for actor in ruleset.get("bypass_actors") or ():
        mode = actor.get("bypass_mode", "always")
        is_admin = actor["actor_type"] == "OrganizationAdmin" or (
            actor["actor_type"] == "RepositoryRole" and actor.get("actor_id") == ROLE_NUMBERS["admin"]
        )
        if is_admin and update.by_admin and (mode == "always" or (mode == "pull_request" and update.by_merge)):
            return True
    return False


def _protection_reasons(update: RefUpdate, protection: Mapping[str, Any]) -> Iterator[str]:
    if update.new is None:
        if not protection.get("allow_deletions"):
            yield "Cannot delete this protected branch"
        return
    if not protection.get("allow_force_pushes") and not update.is_fast_forward():
        yield "Cannot force-push to this protected branch"
        return
    if update.by_admin and not protection.get("enforce_admins"):
        return
    if protection.get("lock_branch"):
        yield "Cannot change this locked branch"
    restrictions = protection.get("restrictions")
    if restrictions is not None and update.login not in restrictions.get("users", ()):
        yield "You're not authorized to push to this branch."
    if protection.get("required_linear_history") and update.brings_merges():
        yield "This branch must not contain merge commits."
    reviews = protection.get("required_pull_request_reviews")
    if reviews is not None:
        yield from _review_reasons(update, int(reviews.get("required_approving_review_count") or 0))
    checks = protection.get("required_status_checks") or {}
    yield from _check_reasons(update, [check["context"] for check in checks.get("checks", ())])


def _rule_reasons(update: RefUpdate, rule: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    if update.new is None:
        if rule == "deletion":
            yield "Cannot delete this branch"
        return
    if update.old is None:
        if rule == "creation":
            yield "Cannot create ref due to creations being restricted."
        return
    if rule == "update":
        yield "Cannot update this protected ref."
    elif rule == "non_fast_forward" and not update.is_fast_forward():
        yield "Cannot force-push to this branch"
    elif rule == "required_linear_history" and update.brings_merges():
        yield "This branch must not contain merge commits."
    elif rule == "pull_request":
        yield from _review_reasons(update, int(parameters.get("required_approving_review_count") or 0))
        methods = parameters.get("allowed_merge_methods") or ()
        if update.by_merge and methods and update.merge_method not in methods:
            yield f"The merge method {update.merge_method} is not allowed; allowed: {', '.join(methods)}."
    elif rule == "required_status_checks":
        contexts = [check["context"] for check in parameters.get("required_status_checks", ())]
        yield from _check_reasons(update, contexts)


def _review_reasons(update: RefUpdate, needed: int) -> Iterator[str]:
    if not update.by_merge:
        yield "Changes must be made through a pull request."
    elif update.approvals < needed:
        reviews = "review is" if needed == 1 else "reviews are"
        yield f"At least {needed} approving {reviews} required by reviewers with write access."


def _check_reasons(update: RefUpdate, contexts: Sequence[str]) -> Iterator[str]:
    missing = [context for context in contexts if context not in update.passed_checks]
    if len(missing) == 1:
        yield f'Required status check "{missing[0]}" is expected.'
    elif missing:
        yield f"{len(missing)} of {len(contexts)} required status checks are expected."
