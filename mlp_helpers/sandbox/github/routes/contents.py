"""Files through the contents API, commits, comparisons."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.github import views
from mlp_helpers.sandbox.github.calls import Call, Reply, Route, decode_content
from mlp_helpers.sandbox.github.errors import (
    GitHubError,
    conflict,
    empty_repository,
    not_found,
    not_supplied,
    unprocessable,
)
from mlp_helpers.sandbox.github.guarding import refusal
from mlp_helpers.sandbox.github.objects import DIRECTORY, HEADS, BareRepository, TreeItem
from mlp_helpers.sandbox.github.routes.git_data import touch
from mlp_helpers.sandbox.github.store import Json, Permission, Repository

REPOSITORY = "/repos/{owner}/{name}"
RAW = ("application/vnd.github.raw", "application/vnd.github.v3.raw", "application/vnd.github.raw+json")


def _get_content(call: Call, owner: str, name: str, path: str = "") -> Any:
    repository = call.repository(owner, name)
    ref = call.parameter("ref") or repository.default_branch
    with call.git(repository) as git:
        if not git.refs():
            raise GitHubError(404, "This repository is empty.")
        try:
            commit = git.resolve(ref)
        except GitHubError:
            raise GitHubError(404, f"No commit found for the ref {ref}") from None
        item = git.lookup(commit, path.strip("/"))
        if item.mode == DIRECTORY:
            prefix = f"{item.path}/" if item.path else ""
            found = [TreeItem(prefix + each.path, each.mode, each.sha) for each in git.entries(item.sha or "")]
            return Reply([views.content(call, repository, git, ref, each, whole=False) for each in found])
        if call.headers.get("accept", "").split(";")[0] in RAW:
            return Reply(git.blob(item.sha or ""), headers={"Content-Type": "application/vnd.github.raw"})
        return views.content(call, repository, git, ref, item)


def _readme(call: Call, owner: str, name: str) -> Any:
    return _get_content(call, owner, name, "README.md")


def _put_content(call: Call, owner: str, name: str, path: str) -> Reply:
    body = call.body()
    if "content" not in body:
        raise not_supplied("content")
    return _commit_file(call, owner, name, path, body, decode_content(body["content"]))


def _delete_content(call: Call, owner: str, name: str, path: str) -> Reply:
    body = call.body() or {key: call.parameter(key) for key in ("message", "sha", "branch") if call.parameter(key)}
    if not body.get("sha"):
        raise not_supplied("sha")
    return _commit_file(call, owner, name, path, body, None)


def _commit_file(call: Call, owner: str, name: str, path: str, body: Json, data: bytes | None) -> Reply:
    """One commit that writes or removes one file."""
    repository = call.repository(owner, name, Permission.WRITE)
    if not body.get("message"):
        raise not_supplied("message")
    branch = body.get("branch") or repository.default_branch
    ref = HEADS + branch
    with call.git(repository) as git:
        old = git.target(ref)
        if old is None and git.refs():
            raise GitHubError(404, f"Branch {branch} not found")
        is_new = _check_blob(git, old, path, body.get("sha"), data)
        blob = git.add_blob(data) if data is not None else None
        tree = git.add_tree(git.tree_of(old) if old else None, [TreeItem(path, 0o100644, blob)])
        author = call.signature(body.get("author") or body.get("committer"))
        committer = call.signature(body["committer"]) if body.get("committer") else author
        new = git.add_commit(tree, [old] if old else [], body["message"], author=author, committer=committer)
        _move(call, repository, git, ref, old, new)
        shown = (
            views.content(call, repository, git, branch, TreeItem(path, 0o100644, blob), whole=False) if blob else None
        )
        commit = views.git_commit(call, repository, git, new)
        return Reply({"content": shown, "commit": commit}, 201 if is_new else 200)


def _check_blob(git: BareRepository, commit: str | None, path: str, sha: str | None, data: bytes | None) -> bool:
    """Compare the caller's picture of a file with what is there; whether the file is new."""
    try:
        current = git.lookup(commit, path).sha if commit else None
    except GitHubError:
        current = None
    if current is None:
        if data is None:
            raise not_found()
        return True
    if not sha:
        raise not_supplied("sha")
    if sha != current:
        raise conflict(f"{path} does not match {sha}")
    return False


def _move(call: Call, repository: Repository, git: BareRepository, ref: str, old: str | None, new: str) -> None:
    found = refusal(call.store, repository, login=call.login, ref=ref, old=old, new=new)
    if found is not None:
        raise conflict(found.message)
    if old:
        git.move_ref(ref, old, new)
    else:
        git.create_ref(ref, new)
    touch(call, repository)


def _list_commits(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        if not git.refs():
            raise empty_repository()
        start = git.resolve(call.parameter("sha") or repository.default_branch)
        found = list(git.log(start, path=call.parameter("path").strip("/")))  # counted for the link to the last page
        return call.page(found, lambda sha: views.commit(call, repository, git, sha))


def _get_commit(call: Call, owner: str, name: str, ref: str) -> Json:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        try:
            sha = git.resolve(ref)
        except GitHubError:
            raise unprocessable(f"No commit found for SHA: {ref}") from None
        shown = views.commit(call, repository, git, sha)
        parents = [parent["sha"] for parent in shown["parents"]]
        changes = git.changed_files(parents[0] if parents else git.empty_tree(), sha)
    additions, deletions = sum(each.additions for each in changes), sum(each.deletions for each in changes)
    return {
        **shown,
        "stats": {"additions": additions, "deletions": deletions, "total": additions + deletions},
        "files": [views.changed_file(call, repository, sha, change) for change in changes],
    }


def _compare(call: Call, owner: str, name: str, span: str) -> Json:
    repository = call.repository(owner, name)
    base_name, separator, head_name = span.partition("...")
    if not separator:
        raise not_found()
    with call.git(repository) as git:
        base, head = git.resolve(base_name), git.resolve(head_name)
        fork = git.merge_base(base, head)
        if not fork:
            raise GitHubError(404, f"No common ancestor between {base_name} and {head_name}.")
        ahead, behind = git.ahead_and_behind(base, head)
        shas = git.between(base, head)
        state = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
        return {
            "url": views.repository_url(call, repository, "compare", span),
            "html_url": f"{call.site}/{repository.full_name}/compare/{span}",
            "status": state.get((ahead > 0, behind > 0), "diverged"),
            "ahead_by": ahead,
            "behind_by": behind,
            "total_commits": ahead,
            "base_commit": views.commit(call, repository, git, base),
            "merge_base_commit": views.commit(call, repository, git, fork),
            "commits": [views.commit(call, repository, git, sha) for sha in shas],
            "files": [views.changed_file(call, repository, head, each) for each in git.changed_files(fork, head)],
        }


def _tags(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        tags = git.refs("refs/tags/")
    return call.page(
        list(tags.items()),
        lambda item: {
            "name": item[0].removeprefix("refs/tags/"),
            "commit": {"sha": item[1], "url": views.repository_url(call, repository, "commits", item[1])},
        },
    )


ROUTES = (
    Route("GET", REPOSITORY + "/readme", _readme),
    Route("GET", REPOSITORY + "/contents", _get_content),
    Route("GET", REPOSITORY + "/contents/{path=**}", _get_content),
    Route("PUT", REPOSITORY + "/contents/{path=**}", _put_content),
    Route("DELETE", REPOSITORY + "/contents/{path=**}", _delete_content),
    Route("GET", REPOSITORY + "/compare/{span=**}", _compare),
    Route("GET", REPOSITORY + "/tags", _tags),
    Route("GET", REPOSITORY + "/commits", _list_commits),
    Route("GET", REPOSITORY + "/commits/{ref=**}", _get_commit),
)
