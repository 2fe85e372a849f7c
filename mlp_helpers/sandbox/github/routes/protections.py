"""Branch protection and its parts.

The store keeps the request's fields; `_show` turns them into the answer, whose shape is another one on GitHub too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.github import views
from mlp_helpers.sandbox.github.calls import NO_CONTENT, Call, Reply, Route
from mlp_helpers.sandbox.github.errors import GitHubError, not_supplied, plan_lacks, unprocessable
from mlp_helpers.sandbox.github.objects import HEADS
from mlp_helpers.sandbox.github.store import Json, Permission, Repository

PROTECTION = "/repos/{owner}/{name}/branches/{branch=**}/protection"
REQUIRED = ("required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions")
SWITCHES = (
    "required_linear_history",
    "allow_force_pushes",
    "allow_deletions",
    "block_creations",
    "required_conversation_resolution",
    "lock_branch",
    "allow_fork_syncing",
)
PAGE = "branches/branch-protection"


def _put(call: Call, owner: str, name: str, branch: str) -> Json:
    repository = _repository(call, owner, name, branch)
    body = call.body()
    missing = [field for field in REQUIRED if field not in body]
    if missing:
        raise not_supplied(*missing)
    if body["restrictions"] is not None and not call.store.is_organization(repository.owner):
        raise unprocessable("Validation Failed: Only organization repositories can have users and team restrictions")
    previous = call.store.item(repository, "protection", branch) or {}
    guard = {
        "required_status_checks": _checks(body["required_status_checks"]),
        "enforce_admins": bool(body["enforce_admins"]),
        "required_pull_request_reviews": _reviews(body["required_pull_request_reviews"], {}),
        "restrictions": body["restrictions"],
        "required_signatures": previous.get("required_signatures", False),
        **{switch: bool(body.get(switch)) for switch in SWITCHES},
    }
    call.store.put_item(repository, "protection", branch, guard)
    return _show(call, repository, branch, guard)


def _repository(call: Call, owner: str, name: str, branch: str) -> Repository:
    repository = call.repository(owner, name, Permission.ADMIN)
    if repository.is_private and call.store.plan(repository.owner) == "free":
        raise plan_lacks(PAGE)
    with call.git(repository) as git:
        if git.target(HEADS + branch) is None:
            raise GitHubError(404, "Branch not found")
    return repository


def _guarded(call: Call, owner: str, name: str, branch: str) -> tuple[Repository, Json]:
    repository = _repository(call, owner, name, branch)
    guard = call.store.item(repository, "protection", branch)
    if guard is None:
        raise GitHubError(404, "Branch not protected")
    return repository, guard


def _checks(given: Mapping[str, Any] | None) -> Json | None:
    if given is None:
        return None
    checks = given.get("checks") or [{"context": context} for context in given.get("contexts", ())]
    named = [{"context": check["context"], "app_id": check.get("app_id")} for check in checks]
    return {"strict": bool(given.get("strict")), "checks": named}


def _reviews(given: Mapping[str, Any] | None, previous: Mapping[str, Any]) -> Json | None:
    if given is None:
        return None
    merged = {**previous, **given}
    count = merged.get("required_approving_review_count", 1)
    if not isinstance(count, int) or not 0 <= count <= 6:
        raise unprocessable("required_approving_review_count must be between 0 and 6")
    return {
        "dismiss_stale_reviews": bool(merged.get("dismiss_stale_reviews")),
        "require_code_owner_reviews": bool(merged.get("require_code_owner_reviews")),
        "require_last_push_approval": bool(merged.get("require_last_push_approval")),
        "required_approving_review_count": count,
    }


def _show(call: Call, repository: Repository, branch: str, guard: Mapping[str, Any]) -> Json:
    url = views.repository_url(call, repository, "branches", branch, "protection")
    shown: Json = {
        "url": url,
        "enforce_admins": _switch(url, "enforce_admins", guard),
        "required_signatures": _switch(url, "required_signatures", guard),
        **{switch: {"enabled": bool(guard.get(switch))} for switch in SWITCHES},
    }
    if guard.get("required_status_checks") is not None:
        shown["required_status_checks"] = _show_checks(url, guard["required_status_checks"])
    if guard.get("required_pull_request_reviews") is not None:
        shown["required_pull_request_reviews"] = _show_reviews(url, guard["required_pull_request_reviews"])
    if guard.get("restrictions") is not None:
        shown["restrictions"] = _show_restrictions(call, url, guard["restrictions"])
    return shown


def _switch(url: str, part: str, guard: Mapping[str, Any]) -> Json:
    return {"url": f"{url}/{part}", "enabled": bool(guard.get(part))}


def _show_checks(url: str, checks: Mapping[str, Any]) -> Json:
    link = f"{url}/required_status_checks"
    contexts = [check["context"] for check in checks["checks"]]
    return {"url": link, "contexts_url": f"{link}/contexts", "contexts": contexts, **checks}


def _show_reviews(url: str, reviews: Mapping[str, Any]) -> Json:
    return {"url": f"{url}/required_pull_request_reviews", **reviews}


def _show_restrictions(call: Call, url: str, restrictions: Mapping[str, Any]) -> Json:
    link = f"{url}/restrictions"
    return {
        "url": link,
        "users_url": f"{link}/users",
        "teams_url": f"{link}/teams",
        "apps_url": f"{link}/apps",
        "users": [views.account(call, login) for login in restrictions.get("users", ())],
        "teams": [{"slug": slug, "name": slug} for slug in restrictions.get("teams", ())],
        "apps": [{"slug": slug, "name": slug} for slug in restrictions.get("apps", ())],
    }


def _get(call: Call, owner: str, name: str, branch: str) -> Json:
    repository, guard = _guarded(call, owner, name, branch)
    return _show(call, repository, branch, guard)


def _delete(call: Call, owner: str, name: str, branch: str) -> Reply:
    repository, _ = _guarded(call, owner, name, branch)
    call.store.remove_item(repository, "protection", branch)
    return NO_CONTENT


def _get_part(call: Call, owner: str, name: str, branch: str, part: str) -> Json:
    shown = _get(call, owner, name, branch)
    if part not in shown:
        raise GitHubError(404, f"{part.replace('_', ' ').capitalize()} not enabled")
    found: Json = shown[part]
    return found


def _set_part(call: Call, owner: str, name: str, branch: str, part: str, value: object) -> Json:
    repository, guard = _guarded(call, owner, name, branch)
    call.store.put_item(repository, "protection", branch, {**guard, part: value})
    return _show(call, repository, branch, {**guard, part: value})


def _enable(call: Call, owner: str, name: str, branch: str, part: str) -> Json:
    shown: Json = _set_part(call, owner, name, branch, part, True)[part]
    return shown


def _disable(call: Call, owner: str, name: str, branch: str, part: str) -> Reply:
    _get_part(call, owner, name, branch, part)
    absent: object = False if part in ("enforce_admins", "required_signatures") else None
    _set_part(call, owner, name, branch, part, absent)
    return NO_CONTENT


def _change_reviews(call: Call, owner: str, name: str, branch: str) -> Json:
    _, guard = _guarded(call, owner, name, branch)
    value = _reviews(call.body(), guard.get("required_pull_request_reviews") or {})
    part = "required_pull_request_reviews"
    shown: Json = _set_part(call, owner, name, branch, part, value)[part]
    return shown


def _change_checks(call: Call, owner: str, name: str, branch: str) -> Json:
    _, guard = _guarded(call, owner, name, branch)
    previous = guard.get("required_status_checks")
    if previous is None:
        raise GitHubError(404, "Required status checks not enabled")
    part = "required_status_checks"
    shown: Json = _set_part(call, owner, name, branch, part, _checks({**previous, **call.body()}))[part]
    return shown


def _part_routes() -> tuple[Route, ...]:
    """One set of routes per part, since the same three verbs do the same to each."""

    def bound(handler: Any, part: str) -> Any:
        return lambda call, **values: handler(call, part=part, **values)

    readable = (
        *("enforce_admins", "required_signatures"),
        *("required_pull_request_reviews", "required_status_checks", "restrictions"),
    )
    routes = []
    for part in readable:
        routes += [
            Route("GET", f"{PROTECTION}/{part}", bound(_get_part, part)),
            Route("DELETE", f"{PROTECTION}/{part}", bound(_disable, part)),
        ]
    routes += [Route("POST", f"{PROTECTION}/{part}", bound(_enable, part)) for part in readable[:2]]
    return tuple(routes)


ROUTES = (
    *_part_routes(),
    Route("PATCH", PROTECTION + "/required_pull_request_reviews", _change_reviews),
    Route("PATCH", PROTECTION + "/required_status_checks", _change_checks),
    Route("GET", PROTECTION, _get),
    Route("PUT", PROTECTION, _put),
    Route("DELETE", PROTECTION, _delete),
)
