"""Branches: list, read, rename."""

from __future__ import annotations

from mlp_helpers.sandbox.github import views
from mlp_helpers.sandbox.github.calls import Call, Reply, Route
from mlp_helpers.sandbox.github.errors import GitHubError, not_found, not_supplied
from mlp_helpers.sandbox.github.objects import HEADS
from mlp_helpers.sandbox.github.store import Json, Permission

BRANCH = "/repos/{owner}/{name}/branches/{branch=**}"


def _list(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        names = [ref.removeprefix(HEADS) for ref in git.refs(HEADS)]
        if call.parameter("protected").lower() == "true":
            guarded = {branch for branch, _ in call.store.items(repository, "protection")}
            names = [branch for branch in names if branch in guarded]
        return call.page(names, lambda branch: views.branch(call, repository, git, branch, whole=False))


def _get(call: Call, owner: str, name: str, branch: str) -> Json:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        if git.target(HEADS + branch) is None:
            raise GitHubError(404, "Branch not found")
        return views.branch(call, repository, git, branch)


def _rename(call: Call, owner: str, name: str, branch: str) -> Reply:
    """Rename a branch; its protection and open pull requests follow, and it stays the default if it was."""
    repository = call.repository(owner, name, Permission.ADMIN)
    wanted = call.body().get("new_name")
    if not wanted:
        raise not_supplied("new_name")
    with call.git(repository) as git:
        sha = git.target(HEADS + branch)
        if sha is None:
            raise not_found()
        git.create_ref(HEADS + wanted, sha)
        if branch == repository.default_branch:
            git.point_head(wanted)
            repository = call.store.change_repository(repository, {"default_branch": wanted})
        guard = call.store.item(repository, "protection", branch)
        with call.store.transaction():
            if guard is not None:
                call.store.put_item(repository, "protection", wanted, guard)
                call.store.remove_item(repository, "protection", branch)
            for key, pull in call.store.items(repository, "pull"):
                moved = {side: wanted for side in ("base", "head") if pull[side] == branch and pull["state"] == "open"}
                call.store.put_item(repository, "pull", key, {**pull, **moved})
        git.delete_ref(HEADS + branch)
        return Reply(views.branch(call, repository, git, wanted), 201)


ROUTES = (
    Route("GET", "/repos/{owner}/{name}/branches", _list),
    Route("POST", BRANCH + "/rename", _rename),
    Route("GET", BRANCH, _get),
)
