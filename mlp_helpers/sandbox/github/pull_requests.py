"""Pull requests as the store keeps them, and how Git moves them on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.github.errors import not_found, unprocessable, validation_failed
from mlp_helpers.sandbox.github.objects import HEADS, BareRepository
from mlp_helpers.sandbox.github.protection import applies_to
from mlp_helpers.sandbox.github.store import Json, Permission, Repository, Store, timestamp


def open_pull_request(
    store: Store, repository: Repository, git: BareRepository, *, user: str, fields: Mapping[str, Any]
) -> Json:
    """Ask for a branch to be merged into another.

    Args:
        store: What GitHub remembers.
        repository: Where both branches are; forks are not emulated.
        git: Its Git side.
        user: Who asks.
        fields: `title`, `head`, `base`, `body`, `draft`.
    """
    owner, _, branch = str(fields["head"]).rpartition(":")
    if owner and owner.lower() != repository.owner.lower():
        raise validation_failed("PullRequest", "head", "invalid")
    for side, name in (("head", branch), ("base", str(fields["base"]))):
        if git.target(HEADS + name) is None:
            raise validation_failed("PullRequest", side, "invalid")
    head, base = git.resolve(HEADS + branch), git.resolve(HEADS + str(fields["base"]))
    if git.is_ancestor(head, base):
        raise validation_failed("PullRequest", "head", "custom", f"No commits between {fields['base']} and {branch}")
    pull: Json = {
        "title": str(fields["title"]),
        "body": fields.get("body"),
        "draft": bool(fields.get("draft")),
        "head": branch,
        "base": str(fields["base"]),
        "head_sha": head,
        "base_sha": base,
        "state": "open",
        "user": user,
        "merged_by": None,
        "merge_commit_sha": None,
        "created_at": timestamp(),
        "closed_at": None,
        "merged_at": None,
    }
    with store.transaction():
        known = [each for _, each in store.items(repository, "pull")]
        if any((each["state"], each["head"], each["base"]) == ("open", branch, pull["base"]) for each in known):
            text = f"A pull request already exists for {repository.owner}:{branch}."
            raise validation_failed("PullRequest", "head", "custom", text)
        pull["number"] = len(known) + 1
        store.put_item(repository, "pull", str(pull["number"]), pull)
    return pull


def current(store: Store, repository: Repository, git: BareRepository, pull: Json) -> Json:
    """A pull request with the branches as they are now: a push moves it, closes it, or merges it."""
    if pull["state"] != "open":
        return pull
    head, base = git.target(HEADS + pull["head"]), git.target(HEADS + pull["base"])
    if head is None or base is None:
        return save(store, repository, pull, state="closed", closed_at=timestamp())
    if git.is_ancestor(head, base):
        merged = {"merged_at": timestamp(), "merge_commit_sha": base, "merged_by": repository.owner}
        return save(store, repository, pull, state="closed", closed_at=timestamp(), head_sha=head, **merged)
    if (head, base) != (pull["head_sha"], pull["base_sha"]):
        return save(store, repository, pull, head_sha=head, base_sha=base)
    return pull


def find(store: Store, repository: Repository, git: BareRepository, number: str) -> Json:
    """A pull request by its number."""
    pull = store.item(repository, "pull", number)
    if pull is None:
        raise not_found()
    return current(store, repository, git, pull)


def save(store: Store, repository: Repository, pull: Json, **changes: object) -> Json:
    """Write changes to a pull request."""
    changed = {**pull, **changes, "updated_at": timestamp()}
    store.put_item(repository, "pull", str(pull["number"]), changed)
    return changed


def add_review(store: Store, repository: Repository, pull: Json, *, user: str, event: str, body: str) -> Json:
    """Approve, ask for changes, or comment.

    Args:
        store: What GitHub remembers.
        repository: Where the pull request is.
        pull: The pull request.
        user: Who reviews.
        event: `APPROVE`, `REQUEST_CHANGES` or `COMMENT`.
        body: What the reviewer writes.
    """
    states = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}
    if event not in states:
        raise unprocessable(f"Variable $event of type PullRequestReviewEvent was provided invalid value {event}")
    if user == pull["user"] and event != "COMMENT":
        verb = "approve" if event == "APPROVE" else "request changes on"
        raise unprocessable(f"Can not {verb} your own pull request")
    review = {
        "pull": pull["number"],
        "user": user,
        "state": states[event],
        "body": body,
        "commit_id": pull["head_sha"],
        "submitted_at": timestamp(),
    }
    return {**review, "id": store.add_item(repository, "review", review)}


def reviews(store: Store, repository: Repository, pull: Json) -> list[Json]:
    """Reviews of a pull request, the oldest first."""
    return [body for _, body in store.items(repository, "review") if body["pull"] == pull["number"]]


def approvals(store: Store, repository: Repository, pull: Json) -> int:
    """How many people with write access approve the pull request as it is now."""
    stale_count = not _dismisses_stale_reviews(store, repository, pull["base"])
    latest: dict[str, str] = {}
    for review in reviews(store, repository, pull):
        if review["state"] != "COMMENTED" and (stale_count or review["commit_id"] == pull["head_sha"]):
            latest[review["user"]] = review["state"]
    return sum(
        state == "APPROVED" and store.role(user, repository) >= Permission.WRITE for user, state in latest.items()
    )


def _dismisses_stale_reviews(store: Store, repository: Repository, branch: str) -> bool:
    guard = store.item(repository, "protection", branch) or {}
    if (guard.get("required_pull_request_reviews") or {}).get("dismiss_stale_reviews"):
        return True
    return any(
        (rule.get("parameters") or {}).get("dismiss_stale_reviews_on_push")
        for _, ruleset in store.items(repository, "ruleset")
        if ruleset["enforcement"] == "active" and applies_to(ruleset, branch, repository.default_branch)
        for rule in ruleset["rules"]
    )
