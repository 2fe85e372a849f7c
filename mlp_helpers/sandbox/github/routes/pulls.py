"""Pull requests: open, list, read, change, merge."""

from __future__ import annotations

from mlp_helpers.sandbox.github import pull_requests, views
from mlp_helpers.sandbox.github.calls import NO_CONTENT, Call, Reply, Route
from mlp_helpers.sandbox.github.errors import GitHubError, conflict, not_emulated, not_found, validation_failed
from mlp_helpers.sandbox.github.guarding import refusal
from mlp_helpers.sandbox.github.objects import HEADS, BareRepository
from mlp_helpers.sandbox.github.protection import Refusal
from mlp_helpers.sandbox.github.routes.git_data import touch
from mlp_helpers.sandbox.github.store import Json, Permission, Repository, timestamp

PULLS = "/repos/{owner}/{name}/pulls"
METHODS = {"merge": "allow_merge_commit", "squash": "allow_squash_merge", "rebase": "allow_rebase_merge"}
METHOD_NAMES = {"merge": "Merge commits are", "squash": "Squash merges are", "rebase": "Rebase merges are"}


def _show(call: Call, repository: Repository, git: BareRepository, pull: Json, *, whole: bool = True) -> Json:
    number = str(pull["number"])
    url = views.repository_url(call, repository, "pulls", number)
    html = f"{call.site}/{repository.full_name}/pull/{number}"
    shown: Json = {
        **{key: pull[key] for key in ("number", "title", "body", "draft", "state", "merge_commit_sha")},
        **{key: pull.get(key) for key in ("created_at", "updated_at", "closed_at", "merged_at")},
        "id": repository.id * 100_000 + pull["number"],
        "url": url,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": views.repository_url(call, repository, "issues", number),
        "commits_url": f"{url}/commits",
        "statuses_url": views.repository_url(call, repository, "statuses", pull["head_sha"]),
        "user": views.account(call, pull["user"]),
        "head": _side(call, repository, pull, "head"),
        "base": _side(call, repository, pull, "base"),
        "labels": [],
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "locked": False,
        "author_association": "OWNER",
        "_links": {"self": {"href": url}, "html": {"href": html}},
    }
    return shown | _details(call, repository, git, pull) if whole else shown


def _side(call: Call, repository: Repository, pull: Json, side: str) -> Json:
    return {
        "label": f"{repository.owner}:{pull[side]}",
        "ref": pull[side],
        "sha": pull[f"{side}_sha"],
        "user": views.account(call, repository.owner),
        "repo": views.repository(call, repository),
    }


def _details(call: Call, repository: Repository, git: BareRepository, pull: Json) -> Json:
    """What GitHub works out only when one pull request is asked for."""
    base, head = pull["base_sha"], pull["head_sha"]
    changes = git.changed_files(git.merge_base(base, head), head)
    is_open = pull["state"] == "open"
    fits = git.merged_tree(base, head) is not None if is_open else None
    state = "unknown"
    if is_open:
        state = "dirty" if not fits else "blocked" if _refusal(call, repository, pull, head) else "clean"
        state = "draft" if pull["draft"] and fits else state
    return {
        "merged": pull["merged_at"] is not None,
        "merged_by": views.account(call, pull["merged_by"]) if pull["merged_by"] else None,
        "mergeable": fits,
        "mergeable_state": state,
        "rebaseable": False,
        "commits": len(git.between(base, head)),
        "additions": sum(change.additions for change in changes),
        "deletions": sum(change.deletions for change in changes),
        "changed_files": len(changes),
        "comments": 0,
        "review_comments": 0,
        "maintainer_can_modify": False,
    }


def _refusal(call: Call, repository: Repository, pull: Json, new: str, method: str = "merge") -> Refusal | None:
    return refusal(
        call.store,
        repository,
        login=call.account.login if call.account else "",
        ref=HEADS + pull["base"],
        old=pull["base_sha"],
        new=new,
        merge_method=method,
        approvals=pull_requests.approvals(call.store, repository, pull),
        checked=pull["head_sha"],
    )


def _create(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name, Permission.READ)
    if repository.settings["archived"] or "repo" not in call.caller.scopes:
        repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    for field in ("title", "head", "base"):
        if not body.get(field):
            raise validation_failed("PullRequest", field, "missing_field")
    with call.git(repository) as git:
        pull = pull_requests.open_pull_request(call.store, repository, git, user=call.login, fields=body)
        return Reply(_show(call, repository, git, pull), 201)


def _list(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name)
    state, base = call.parameter("state", "open"), call.parameter("base")
    head = call.parameter("head").rpartition(":")[2]
    with call.git(repository) as git:
        found = [
            pull_requests.current(call.store, repository, git, each) for _, each in call.store.items(repository, "pull")
        ]
        wanted = [
            each
            for each in found
            if state in ("all", each["state"]) and base in ("", each["base"]) and head in ("", each["head"])
        ]
        if call.parameter("direction", "desc") == "desc":
            wanted.reverse()
        return call.page(wanted, lambda pull: _show(call, repository, git, pull, whole=False))


def _get(call: Call, owner: str, name: str, number: str) -> Json:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        pull = pull_requests.find(call.store, repository, git, number)
        return _show(call, repository, git, pull)


def _change(call: Call, owner: str, name: str, number: str) -> Json:
    repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    with call.git(repository) as git:
        pull = pull_requests.find(call.store, repository, git, number)
        changes = {key: body[key] for key in ("title", "body", "base") if body.get(key) is not None}
        state = body.get("state", pull["state"])
        if state not in ("open", "closed"):
            raise validation_failed("PullRequest", "state", "invalid")
        if state != pull["state"]:
            if pull["merged_at"]:
                raise validation_failed(
                    "PullRequest", "state", "custom", "state cannot be changed. The pull request was merged."
                )
            changes |= {"state": state, "closed_at": timestamp() if state == "closed" else None}
        pull = pull_requests.save(call.store, repository, pull, **changes)
        return _show(call, repository, git, pull_requests.current(call.store, repository, git, pull))


def _files(call: Call, owner: str, name: str, number: str) -> Reply:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        pull = pull_requests.find(call.store, repository, git, number)
        head = pull["head_sha"]
        changes = git.changed_files(git.merge_base(pull["base_sha"], head), head)
    return call.page(changes, lambda change: views.changed_file(call, repository, head, change))


def _commits(call: Call, owner: str, name: str, number: str) -> Reply:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        pull = pull_requests.find(call.store, repository, git, number)
        found = git.between(pull["base_sha"], pull["head_sha"])
        return call.page(found, lambda sha: views.commit(call, repository, git, sha))


def _is_merged(call: Call, owner: str, name: str, number: str) -> Reply:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        if not pull_requests.find(call.store, repository, git, number)["merged_at"]:
            raise not_found()
    return NO_CONTENT


def _merge(call: Call, owner: str, name: str, number: str) -> Json:
    repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    with call.git(repository) as git:
        pull = pull_requests.find(call.store, repository, git, number)
        method = _require_mergeable(call, repository, pull, body)
        tree = git.merged_tree(pull["base_sha"], pull["head_sha"])
        if tree is None:
            raise GitHubError(405, "Pull Request is not mergeable")
        parents = [pull["base_sha"]] if method == "squash" else [pull["base_sha"], pull["head_sha"]]
        author = call.signature()
        new = git.add_commit(tree, parents, _merge_message(repository, pull, method, body), author=author)
        found = _refusal(call, repository, pull, new, method)
        if found is not None:
            raise GitHubError(405, found.message)
        try:
            git.move_ref(HEADS + pull["base"], pull["base_sha"], new)
        except GitHubError:
            raise conflict("Base branch was modified. Review and try the merge again.") from None
        merged = {"merged_at": timestamp(), "merged_by": call.login, "merge_commit_sha": new}
        pull_requests.save(call.store, repository, pull, state="closed", closed_at=timestamp(), **merged)
        touch(call, repository)
        _clean_up(call, repository, git, pull)
    return {"sha": new, "merged": True, "message": "Pull Request successfully merged"}


def _require_mergeable(call: Call, repository: Repository, pull: Json, body: Json) -> str:
    method = str(body.get("merge_method", "merge"))
    if method not in METHODS:
        raise validation_failed("PullRequest", "merge_method", "invalid")
    if not repository.settings[METHODS[method]]:
        raise GitHubError(405, f"{METHOD_NAMES[method]} not allowed on this repository.")
    if method == "rebase":
        raise not_emulated(f"{call.method} {call.path} with merge_method rebase")
    if pull["state"] != "open":
        raise GitHubError(405, "Pull Request is not mergeable")
    if pull["draft"]:
        raise GitHubError(405, "Pull Request is still a draft")
    if body.get("sha") and body["sha"] != pull["head_sha"]:
        raise conflict("Head branch was modified. Review and try the merge again.")
    return method


def _merge_message(repository: Repository, pull: Json, method: str, body: Json) -> str:
    if method == "squash":
        title = f"{pull['title']} (#{pull['number']})"
        text = pull["body"] or ""
    else:
        title = f"Merge pull request #{pull['number']} from {repository.owner}/{pull['head']}"
        text = pull["title"]
    title = body.get("commit_title") or title
    text = body.get("commit_message") if body.get("commit_message") is not None else text
    return f"{title}\n\n{text}".strip()


def _clean_up(call: Call, repository: Repository, git: BareRepository, pull: Json) -> None:
    """Delete the merged branch where the repository wants that and nothing protects it."""
    head = HEADS + pull["head"]
    if not repository.settings["delete_branch_on_merge"] or pull["head"] == repository.default_branch:
        return
    old = pull["head_sha"]
    if refusal(call.store, repository, login=call.login, ref=head, old=old, new=None) is None:
        git.delete_ref(head)


ROUTES = (
    Route("POST", PULLS, _create),
    Route("GET", PULLS, _list),
    Route("GET", PULLS + "/{number}", _get),
    Route("PATCH", PULLS + "/{number}", _change),
    Route("GET", PULLS + "/{number}/files", _files),
    Route("GET", PULLS + "/{number}/commits", _commits),
    Route("GET", PULLS + "/{number}/merge", _is_merged),
    Route("PUT", PULLS + "/{number}/merge", _merge),
)
