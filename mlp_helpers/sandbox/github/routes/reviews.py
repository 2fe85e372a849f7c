"""Reviews of pull requests."""

from __future__ import annotations

from mlp_helpers.sandbox.github import pull_requests, views
from mlp_helpers.sandbox.github.calls import Call, Reply, Route
from mlp_helpers.sandbox.github.errors import token_lacks_permission
from mlp_helpers.sandbox.github.store import Json, Repository

REVIEWS = "/repos/{owner}/{name}/pulls/{number}/reviews"


def _create(call: Call, owner: str, name: str, number: str) -> Json:
    repository, pull = _find(call, owner, name, number)
    if "repo" not in call.caller.scopes:
        raise token_lacks_permission()
    body = call.body()
    review = pull_requests.add_review(
        call.store,
        repository,
        pull,
        user=call.login,
        event=str(body.get("event", "COMMENT")),
        body=str(body.get("body") or ""),
    )
    return _show(call, repository, pull, review)


def _list(call: Call, owner: str, name: str, number: str) -> Reply:
    repository, pull = _find(call, owner, name, number)
    found = pull_requests.reviews(call.store, repository, pull)
    return call.page(found, lambda review: _show(call, repository, pull, review))


def _find(call: Call, owner: str, name: str, number: str) -> tuple[Repository, Json]:
    repository = call.repository(owner, name)
    with call.git(repository) as git:
        return repository, pull_requests.find(call.store, repository, git, number)


def _show(call: Call, repository: Repository, pull: Json, review: Json) -> Json:
    url = views.repository_url(call, repository, "pulls", str(pull["number"]))
    return {
        "id": review["id"],
        "user": views.account(call, review["user"]),
        "body": review["body"],
        "state": review["state"],
        "commit_id": review["commit_id"],
        "submitted_at": review["submitted_at"],
        "html_url": f"{call.site}/{repository.full_name}/pull/{pull['number']}#pullrequestreview-{review['id']}",
        "pull_request_url": url,
    }


ROUTES = (
    Route("POST", REVIEWS, _create),
    Route("GET", REVIEWS, _list),
)
