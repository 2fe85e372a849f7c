"""Ask whether a ref may move: gathers what the rules need to know, for the REST API and for pushes alike."""

from __future__ import annotations

from functools import partial

from mlp_helpers.sandbox.github.git_command import has_merges, is_ancestor
from mlp_helpers.sandbox.github.protection import RefUpdate, Refusal, judge
from mlp_helpers.sandbox.github.store import Permission, Repository, Store


def refusal(
    store: Store,
    repository: Repository,
    *,
    login: str,
    ref: str,
    old: str | None,
    new: str | None,
    merge_method: str = "",
    approvals: int = 0,
    checked: str = "",
) -> Refusal | None:
    """Why a ref may not move; None if it may.

    Args:
        store: What GitHub remembers.
        repository: Where the ref is.
        login: Who moves it.
        ref: Full name.
        old: Where it is; None if it is new.
        new: Where it shall be; None if it goes.
        merge_method: How a pull request is merged, where a merge moves it.
        approvals: Approving reviews of that pull request.
        checked: Commit whose statuses count, where it is not `new` (a merge's head).
    """
    path = store.path(repository)
    update = RefUpdate(
        ref=ref,
        old=old,
        new=new,
        is_fast_forward=partial(is_ancestor, path, old or "", new or ""),
        brings_merges=partial(has_merges, path, old, new or ""),
        login=login,
        by_admin=store.role(login, repository) is Permission.ADMIN,
        merge_method=merge_method,
        approvals=approvals,
        passed_checks=passed_checks(store, repository, checked or new or ""),
    )
    return judge(
        update,
        protection=store.item(repository, "protection", update.branch),
        rulesets=[body for _, body in store.items(repository, "ruleset")],
        default_branch=repository.default_branch,
    )


def passed_checks(store: Store, repository: Repository, commit: str) -> frozenset[str]:
    """Contexts of a commit whose latest status is success."""
    latest = {body["context"]: body["state"] for _, body in store.items(repository, "status") if body["sha"] == commit}
    return frozenset(context for context, state in latest.items() if state == "success")
