"""Commit statuses: what a CI says of a commit. Check runs belong to apps, of which the sandbox has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.github import views
from mlp_helpers.sandbox.github.calls import Call, Reply, Route
from mlp_helpers.sandbox.github.errors import unprocessable, validation_failed
from mlp_helpers.sandbox.github.store import Json, Permission, Repository, timestamp

COMMIT = "/repos/{owner}/{name}/commits/{ref=**}"
STATES = ("error", "failure", "pending", "success")


def _create(call: Call, owner: str, name: str, sha: str) -> Reply:
    repository = call.repository(owner, name, Permission.WRITE)
    body = call.body()
    if body.get("state") not in STATES:
        raise validation_failed("Status", "state", "custom", f"state must be one of {', '.join(STATES)}")
    with call.git(repository) as git:
        if not git.has(sha):
            raise unprocessable(f"No commit found for SHA: {sha}")
    status = {
        "sha": sha,
        "state": body["state"],
        "context": body.get("context") or "default",
        "description": body.get("description"),
        "target_url": body.get("target_url"),
        "creator": call.login,
        "created_at": timestamp(),
    }
    number = call.store.add_item(repository, "status", status)
    return Reply(_show(call, repository, {**status, "id": number}), 201)


def _show(call: Call, repository: Repository, status: Mapping[str, Any]) -> Json:
    return {
        **status,
        "url": views.repository_url(call, repository, "statuses", status["sha"]),
        "creator": views.account(call, status["creator"]),
        "updated_at": status["created_at"],
    }


def _of_commit(call: Call, repository: Repository, ref: str) -> tuple[str, list[Json]]:
    with call.git(repository) as git:
        sha = git.resolve(ref)
    found = [body for _, body in call.store.items(repository, "status") if body["sha"] == sha]
    return sha, found[::-1]


def _list(call: Call, owner: str, name: str, ref: str) -> Reply:
    repository = call.repository(owner, name)
    return call.page(_of_commit(call, repository, ref)[1], lambda status: _show(call, repository, status))


def _combined(call: Call, owner: str, name: str, ref: str) -> Json:
    repository = call.repository(owner, name)
    sha, found = _of_commit(call, repository, ref)
    latest: dict[str, Json] = {}
    for status in found:
        latest.setdefault(status["context"], status)
    states = {status["state"] for status in latest.values()}
    if states & {"error", "failure"}:
        state = "failure"
    else:
        state = "success" if states == {"success"} else "pending"
    return {
        "state": state,
        "sha": sha,
        "total_count": len(latest),
        "statuses": [_show(call, repository, status) for status in latest.values()],
        "repository": views.repository(call, repository),
        "commit_url": views.repository_url(call, repository, "commits", sha),
        "url": views.repository_url(call, repository, "commits", sha, "status"),
    }


def _check_runs(call: Call, owner: str, name: str, ref: str) -> Reply:
    repository = call.repository(owner, name)
    _of_commit(call, repository, ref)
    return call.page([], lambda each: each, key="check_runs")


ROUTES = (
    Route("POST", "/repos/{owner}/{name}/statuses/{sha}", _create, ("repo", "repo:status")),
    Route("GET", COMMIT + "/status", _combined),
    Route("GET", COMMIT + "/statuses", _list),
    Route("GET", COMMIT + "/check-runs", _check_runs),
)
