"""The Git data API: refs, blobs, trees, commits."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from dulwich.objects import Commit

from mlp_helpers.sandbox.github import views
from mlp_helpers.sandbox.github.calls import NO_CONTENT, Call, Reply, Route, decode_content
from mlp_helpers.sandbox.github.errors import empty_repository, not_found, not_supplied, unprocessable
from mlp_helpers.sandbox.github.guarding import refusal
from mlp_helpers.sandbox.github.objects import HEADS, BareRepository, TreeItem
from mlp_helpers.sandbox.github.store import Json, Permission, Repository, timestamp

GIT = "/repos/{owner}/{name}/git"
MODES = {"100644", "100755", "040000", "160000", "120000"}


def _get_ref(call: Call, owner: str, name: str, ref: str) -> Json:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        sha = git.target(f"refs/{ref}")
        if sha is None:
            _require_commits(git)
            raise not_found()
        return views.reference(call, repository, f"refs/{ref}", sha)


def _list_refs(call: Call, owner: str, name: str, ref: str = "") -> Reply:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        _require_commits(git)
        refs = git.refs(f"refs/{ref}")
    return call.page(list(refs.items()), lambda item: views.reference(call, repository, *item))


def _require_commits(git: BareRepository) -> None:
    if not git.refs():
        raise empty_repository()


def _create_ref(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    if not body.get("ref") or not body.get("sha"):
        raise not_supplied(*(field for field in ("ref", "sha") if not body.get(field)))
    with call.git(repository) as git:
        require_allowed(call, repository, body["ref"], None, body["sha"])
        git.create_ref(body["ref"], body["sha"])
        touch(call, repository)
        return Reply(views.reference(call, repository, body["ref"], body["sha"]), 201)


def _move_ref(call: Call, owner: str, name: str, ref: str) -> Json:
    repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    new = body.get("sha")
    if not new:
        raise not_supplied("sha")
    with call.git(repository) as git:
        old = git.target(f"refs/{ref}")
        if old is None:
            raise unprocessable("Reference does not exist")
        if not git.has(new):
            raise unprocessable("Object does not exist")
        git.read(new, Commit)
        if not body.get("force") and not git.is_ancestor(old, new):
            raise unprocessable("Update is not a fast forward")
        require_allowed(call, repository, f"refs/{ref}", old, new)
        git.move_ref(f"refs/{ref}", old, new)
        touch(call, repository)
        return views.reference(call, repository, f"refs/{ref}", new)


def _delete_ref(call: Call, owner: str, name: str, ref: str) -> Reply:
    repository = call.repository(owner, name, Permission.WRITE)
    with call.git(repository) as git:
        old = git.target(f"refs/{ref}")
        if old is None:
            raise unprocessable("Reference does not exist")
        if f"refs/{ref}" == HEADS + repository.default_branch:
            raise unprocessable("Cannot delete the default branch")
        require_allowed(call, repository, f"refs/{ref}", old, None)
        git.delete_ref(f"refs/{ref}")
    call.store.remove_item(repository, "protection", f"refs/{ref}".removeprefix(HEADS))
    return NO_CONTENT


def require_allowed(call: Call, repository: Repository, ref: str, old: str | None, new: str | None) -> None:
    """Refuse what protection or a ruleset forbids."""
    found = refusal(call.store, repository, login=call.login, ref=ref, old=old, new=new)
    if found is not None:
        raise unprocessable(found.message)


def touch(call: Call, repository: Repository) -> None:
    """Note that commits came in."""
    call.store.change_repository(repository, {"pushed_at": timestamp()})


def _create_blob(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    if "content" not in body:
        raise not_supplied("content")
    is_base64 = body.get("encoding", "utf-8") == "base64"
    data = decode_content(body["content"]) if is_base64 else str(body["content"]).encode()
    with call.git(repository) as git:
        _require_commits(git)
        sha = git.add_blob(data)
    return Reply({"sha": sha, "url": views.repository_url(call, repository, "git/blobs", sha)}, 201)


def _get_blob(call: Call, owner: str, name: str, sha: str) -> Json:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        data = git.blob(sha)
    return {
        "sha": sha,
        "size": len(data),
        "encoding": "base64",
        "content": base64.encodebytes(data).decode(),
        "url": views.repository_url(call, repository, "git/blobs", sha),
    }


def _create_tree(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    if not isinstance(body.get("tree"), list):
        raise not_supplied("tree")
    with call.git(repository) as git:
        _require_commits(git)
        base = git.tree_of(body["base_tree"]) if body.get("base_tree") else None
        sha = git.add_tree(base, [_tree_item(git, entry) for entry in body["tree"]])
        return Reply(views.tree(call, repository, git, sha, recursive=False), 201)


def _tree_item(git: BareRepository, entry: Mapping[str, Any]) -> TreeItem:
    mode = str(entry.get("mode", "100644"))
    if mode not in MODES:
        raise unprocessable(f"tree.mode {mode} is not one of {', '.join(sorted(MODES))}")
    if "content" in entry:
        return TreeItem(str(entry["path"]), int(mode, 8), git.add_blob(str(entry["content"]).encode()))
    if "sha" not in entry:
        raise unprocessable("Must supply either tree.sha or tree.content")
    return TreeItem(str(entry["path"]), int(mode, 8), entry["sha"])


def _get_tree(call: Call, owner: str, name: str, sha: str) -> Json:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        _require_commits(git)
        recursive = "recursive" in call.query  # any value counts on GitHub, even 0 and false
        return views.tree(call, repository, git, git.tree_of(sha), recursive=recursive)


def _create_commit(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    missing = [field for field in ("message", "tree") if not body.get(field)]
    if missing:
        raise not_supplied(*missing)
    with call.git(repository) as git:
        _require_commits(git)
        if not git.has(body["tree"]):
            raise unprocessable("Tree SHA does not exist")
        for parent in body.get("parents") or ():
            if not git.has(parent):
                raise unprocessable(f"Parent SHA does not exist or is not a commit object: {parent}")
        author = call.signature(body.get("author"))
        sha = git.add_commit(
            body["tree"],
            body.get("parents") or (),
            body["message"],
            author=author,
            committer=call.signature(body["committer"]) if body.get("committer") else author,
        )
        return Reply(views.git_commit(call, repository, git, sha), 201)


def _get_commit(call: Call, owner: str, name: str, sha: str) -> Json:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        return views.git_commit(call, repository, git, sha)


ROUTES = (
    Route("GET", GIT + "/ref/{ref=**}", _get_ref),
    Route("GET", GIT + "/matching-refs/{ref=**}", _list_refs),
    Route("GET", GIT + "/refs", _list_refs),
    Route("GET", GIT + "/refs/{ref=**}", _get_ref),
    Route("POST", GIT + "/refs", _create_ref),
    Route("PATCH", GIT + "/refs/{ref=**}", _move_ref),
    Route("DELETE", GIT + "/refs/{ref=**}", _delete_ref),
    Route("POST", GIT + "/blobs", _create_blob),
    Route("GET", GIT + "/blobs/{sha}", _get_blob),
    Route("POST", GIT + "/trees", _create_tree),
    Route("GET", GIT + "/trees/{sha=**}", _get_tree),
    Route("POST", GIT + "/commits", _create_commit),
    Route("GET", GIT + "/commits/{sha}", _get_commit),
)
