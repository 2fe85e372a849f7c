"""Who is there: the caller, users, organisations, and how much of the hour's calls is left."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.github import views
from mlp_helpers.sandbox.github.calls import Call, Reply, Route
from mlp_helpers.sandbox.github.errors import not_found
from mlp_helpers.sandbox.github.store import Json, Permission

SINCE = "2020-01-01T00:00:00Z"


def _root(call: Call) -> Json:
    return {
        "current_user_url": f"{call.api}/user",
        "rate_limit_url": f"{call.api}/rate_limit",
        "repository_url": f"{call.api}/repos/{{owner}}/{{repo}}",
        "user_url": f"{call.api}/users/{{user}}",
    }


def _meta(call: Call) -> Json:
    return {"verifiable_password_authentication": False, "installed_version": "3.18.0"}


def _rate_limit(call: Call) -> Json:
    rate = dict(call.rate)
    return {"resources": {"core": rate}, "rate": rate}


def _user(call: Call) -> Json:
    return _profile(call, call.login)


def _named_user(call: Call, login: str) -> Json:
    return _profile(call, call.store.find_login(login))


def _profile(call: Call, login: str) -> Json:
    return {
        **views.account(call, login),
        "name": login,
        "company": None,
        "email": None,
        "public_repos": sum(not each.is_private for each in call.store.repositories(login)),
        "plan": {"name": call.store.plan(login), "space": 0, "collaborators": 0, "private_repos": 10000},
        "created_at": SINCE,
        "updated_at": SINCE,
    }


def _organization(call: Call, login: str) -> Json:
    name = call.store.find_login(login)
    if not call.store.is_organization(name):
        raise not_found()
    return {**_profile(call, name), **_organization_links(call, name)}


def _organization_links(call: Call, name: str) -> Json:
    return {**views.account(call, name), "url": f"{call.api}/orgs/{name}", "repos_url": f"{call.api}/orgs/{name}/repos"}


def _own_organizations(call: Call) -> Reply:
    names = [name for name, members in call.store.organizations.items() if call.login in members]
    return call.page(names, lambda name: _organization_links(call, name))


def _own_repositories(call: Call) -> Reply:
    found = [each for each in call.store.repositories() if call.store.role(call.login, each) > Permission.READ]
    return _repositories(call, found)


def _repositories_of(call: Call, login: str) -> Reply:
    return _repositories(call, call.store.repositories(call.store.find_login(login)))


def _repositories(call: Call, found: list[Any]) -> Reply:
    kind = call.parameter("visibility") or call.parameter("type", "all")
    visible = [
        each
        for each in found
        if call.store.permission(call.account, each) > Permission.NONE
        and (kind not in ("public", "private") or each.is_private == (kind == "private"))
    ]
    return call.page(visible, lambda each: views.repository(call, each))


ROUTES = (
    Route("GET", "", _root, ()),
    Route("GET", "/meta", _meta, ()),
    Route("GET", "/rate_limit", _rate_limit, ()),
    Route("GET", "/user", _user, ()),
    Route("GET", "/user/orgs", _own_organizations, ()),
    Route("GET", "/user/repos", _own_repositories, ()),
    Route("GET", "/users/{login}", _named_user, ()),
    Route("GET", "/users/{login}/repos", _repositories_of, ()),
    Route("GET", "/orgs/{login}", _organization, ()),
    Route("GET", "/orgs/{login}/repos", _repositories_of, ()),
)
