"""Repositories: create, change, delete; topics, alerts, collaborators, deploy keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.github import views
from mlp_helpers.sandbox.github.calls import NO_CONTENT, Call, Reply, Route
from mlp_helpers.sandbox.github.defaults import DEFAULTS
from mlp_helpers.sandbox.github.errors import (
    GitHubError,
    must_be_admin,
    not_emulated,
    not_found,
    not_supplied,
    token_lacks_permission,
    unprocessable,
    validation_failed,
)
from mlp_helpers.sandbox.github.objects import HEADS, BareRepository, TreeItem
from mlp_helpers.sandbox.github.store import COLLABORATORS, Json, Permission, Repository, timestamp

NAME = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
TOPIC = re.compile(r"[a-z0-9][a-z0-9-]{0,49}\Z")
ROLE_NAMES = {Permission.ADMIN: "admin", Permission.WRITE: "write", Permission.READ: "read", Permission.NONE: "none"}
REPOSITORY = "/repos/{owner}/{name}"


def _create_own(call: Call) -> Reply:
    return _create(call, call.login)


def _create_in_organization(call: Call, login: str) -> Reply:
    owner = call.store.find_login(login)
    if not call.store.is_organization(owner):
        raise not_found()
    if call.login not in call.store.organizations[owner]:
        raise GitHubError(403, "You need admin access to the organization before adding a repository to it.")
    return _create(call, owner)


def _create(call: Call, owner: str) -> Reply:
    body = call.body()
    name = body.get("name")
    if not name:
        raise validation_failed("Repository", "name", "missing_field")
    settings = _settings(body)
    if "repo" not in call.caller.scopes and not ("public_repo" in call.caller.scopes and not settings.get("private")):
        raise token_lacks_permission()
    for template in ("gitignore_template", "license_template"):
        if body.get(template):
            raise not_emulated(f"{call.method} {call.path} with {template}")
    _require_name(str(name))
    repository = call.store.add_repository(owner, str(name), settings)
    with BareRepository.create(call.store.draft(repository), default_branch=repository.default_branch) as git:
        if body.get("auto_init"):
            _first_commit(call, repository, git)
    call.store.publish(repository)
    return Reply(views.repository(call, repository), 201)


def _first_commit(call: Call, repository: Repository, git: BareRepository) -> None:
    description = repository.settings["description"]
    text = f"# {repository.name}\n" + (f"{description}\n" if description else "")
    tree = git.add_tree(None, [TreeItem("README.md", 0o100644, git.add_blob(text.encode()))])
    commit = git.add_commit(tree, [], "Initial commit", author=call.signature())
    git.create_ref(HEADS + repository.default_branch, commit)


def _require_name(name: str) -> None:
    if not NAME.match(name) or name in (".", "..") or name.endswith((".git", ".wiki")):
        raise validation_failed("Repository", "name", "custom", "name is invalid")


def _settings(body: Mapping[str, Any]) -> Json:
    """Settings out of a request; what GitHub would not keep is left out."""
    chosen = {key: body[key] for key in DEFAULTS if key in body and key not in ("topics", "vulnerability_alerts")}
    if "visibility" in body:
        if body["visibility"] not in ("public", "private", "internal"):
            raise validation_failed("Repository", "visibility", "invalid")
        chosen["private"] = body["visibility"] != "public"
    elif "private" in body:
        chosen["visibility"] = "private" if body["private"] else "public"
    return {key: value for key, value in chosen.items() if value is not None or DEFAULTS[key] is None}


def _get(call: Call, owner: str, name: str) -> Json:
    return views.repository(call, call.repository(owner, name))


def _get_by_id(call: Call, number: str) -> Json:
    if not number.isdecimal():
        raise not_found()
    found = call.store.repository_of_id(int(number))
    return views.repository(call, call.repository(found.owner, found.name))


def _change(call: Call, owner: str, name: str) -> Json:
    body = call.body()
    repository = call.repository(owner, name, Permission.ADMIN, even_archived=body.get("archived") is False)
    settings = _settings(body)
    branch = settings.get("default_branch", repository.default_branch)
    if branch != repository.default_branch:
        _point_head(call, repository, branch)
    wanted = body.get("name", repository.name)
    if wanted != repository.name:
        _require_name(wanted)
        repository = call.store.rename_repository(repository, wanted)
    return views.repository(call, call.store.change_repository(repository, settings))


def _point_head(call: Call, repository: Repository, branch: str) -> None:
    with call.git(repository) as git:
        if not git.refs(HEADS):
            raise unprocessable(
                "Cannot update default branch for an empty repository. Please init the repository and push first."
            )
        if git.target(HEADS + branch) is None:
            raise validation_failed(
                "Repository",
                "default_branch",
                "invalid",
                f"The branch {branch} was not found. Please push that ref first or create it via the Git Data API.",
            )
        git.point_head(branch)


def _delete(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name)
    if call.store.role(call.login, repository) < Permission.ADMIN or "delete_repo" not in call.caller.scopes:
        raise must_be_admin()
    call.store.remove_repository(repository)
    return NO_CONTENT


def _topics(call: Call, owner: str, name: str) -> Json:
    return {"names": call.repository(owner, name).settings["topics"]}


def _replace_topics(call: Call, owner: str, name: str) -> Json:
    repository = call.repository(owner, name, Permission.ADMIN)
    names = call.body().get("names")
    if not isinstance(names, list):
        raise not_supplied("names")
    for topic in names:
        if not TOPIC.match(str(topic)):
            raise unprocessable(
                "Topics must start with a lowercase letter or number, consist of 50 characters or less, "
                "and can include hyphens."
            )
    return {"names": call.store.change_repository(repository, {"topics": names}).settings["topics"]}


def _alerts(call: Call, owner: str, name: str) -> Reply:
    if not call.repository(owner, name).settings["vulnerability_alerts"]:
        raise GitHubError(404, "Vulnerability alerts are disabled.")
    return NO_CONTENT


def _enable_alerts(call: Call, owner: str, name: str) -> Reply:
    call.store.change_repository(call.repository(owner, name, Permission.ADMIN), {"vulnerability_alerts": True})
    return NO_CONTENT


def _disable_alerts(call: Call, owner: str, name: str) -> Reply:
    call.store.change_repository(call.repository(owner, name, Permission.ADMIN), {"vulnerability_alerts": False})
    return NO_CONTENT


def _collaborators(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name)
    members = call.store.organizations.get(repository.owner, (repository.owner,))
    invited = [body["login"] for _, body in call.store.items(repository, "collaborator")]
    return call.page(list(dict.fromkeys([*members, *invited])), lambda login: _collaborator(call, repository, login))


def _collaborator(call: Call, repository: Repository, login: str) -> Json:
    role = call.store.role(login, repository)
    permissions = {kind: role >= needed for kind, needed in COLLABORATORS.items()}
    return {**views.account(call, login), "permissions": permissions, "role_name": ROLE_NAMES[role]}


def _is_collaborator(call: Call, owner: str, name: str, login: str) -> Reply:
    repository = call.repository(owner, name)
    known = call.store.item(repository, "collaborator", login.lower()) is not None
    if not known and call.store.role(login, repository) < Permission.ADMIN:
        raise not_found()
    return NO_CONTENT


def _add_collaborator(call: Call, owner: str, name: str, login: str) -> Reply:
    repository = call.repository(owner, name, Permission.ADMIN)
    permission = call.body().get("permission", "push")
    if permission not in COLLABORATORS:
        raise unprocessable(f"Invalid permission: {permission}")
    call.store.put_item(repository, "collaborator", login.lower(), {"login": login, "permission": permission})
    return NO_CONTENT  # as for someone who is in already; the sandbox has no invitations to accept


def _remove_collaborator(call: Call, owner: str, name: str, login: str) -> Reply:
    repository = call.repository(owner, name, Permission.ADMIN)
    call.store.remove_item(repository, "collaborator", login.lower())
    return NO_CONTENT


def _collaborator_permission(call: Call, owner: str, name: str, login: str) -> Json:
    repository = call.repository(owner, name)
    role = ROLE_NAMES[call.store.role(login, repository)]
    return {"permission": role, "role_name": role, "user": _collaborator(call, repository, login)}


def _keys(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name, Permission.ADMIN)
    return call.page(call.store.items(repository, "key"), lambda item: _key(call, repository, item[1]))


def _key(call: Call, repository: Repository, body: Mapping[str, Any]) -> Json:
    return {**body, "url": views.repository_url(call, repository, "keys", str(body["id"]))}


def _add_key(call: Call, owner: str, name: str) -> Reply:
    repository = call.repository(owner, name, Permission.ADMIN)
    body = call.body()
    if not re.match(r"(ssh-|ecdsa-)\S+ \S+", str(body.get("key", ""))):
        raise validation_failed(
            "PublicKey", "key", "custom", "key is invalid. You must supply a key in OpenSSH public key format"
        )
    number = call.store.add_item(
        repository,
        "key",
        {
            "key": body["key"],
            "title": body.get("title", ""),
            "read_only": bool(body.get("read_only", False)),
            "verified": True,
            "created_at": timestamp(),
        },
    )
    return Reply(_get_key(call, owner, name, str(number)), 201)


def _get_key(call: Call, owner: str, name: str, number: str) -> Json:
    repository = call.repository(owner, name, Permission.ADMIN)
    body = call.store.item(repository, "key", number)
    if body is None:
        raise not_found()
    return _key(call, repository, body)


def _delete_key(call: Call, owner: str, name: str, number: str) -> Reply:
    if not call.store.remove_item(call.repository(owner, name, Permission.ADMIN), "key", number):
        raise not_found()
    return NO_CONTENT


def _absent(call: Call, owner: str, name: str, **_: str) -> Reply:
    """Pages are never on, and webhooks need `admin:repo_hook`, which no token of the sandbox has: 404 for both."""
    call.repository(owner, name)
    raise not_found()


ROUTES = (
    Route("POST", "/user/repos", _create_own, ("public_repo", "repo")),
    Route("POST", "/orgs/{login}/repos", _create_in_organization, ("public_repo", "repo")),
    Route("GET", "/repositories/{number}", _get_by_id),
    Route("GET", REPOSITORY, _get),
    Route("PATCH", REPOSITORY, _change),
    Route("DELETE", REPOSITORY, _delete, ("delete_repo",)),
    Route("GET", REPOSITORY + "/topics", _topics),
    Route("PUT", REPOSITORY + "/topics", _replace_topics),
    Route("GET", REPOSITORY + "/vulnerability-alerts", _alerts),
    Route("PUT", REPOSITORY + "/vulnerability-alerts", _enable_alerts),
    Route("DELETE", REPOSITORY + "/vulnerability-alerts", _disable_alerts),
    Route("GET", REPOSITORY + "/collaborators", _collaborators),
    Route("GET", REPOSITORY + "/collaborators/{login}/permission", _collaborator_permission),
    Route("GET", REPOSITORY + "/collaborators/{login}", _is_collaborator),
    Route("PUT", REPOSITORY + "/collaborators/{login}", _add_collaborator),
    Route("DELETE", REPOSITORY + "/collaborators/{login}", _remove_collaborator),
    Route("GET", REPOSITORY + "/keys", _keys),
    Route("POST", REPOSITORY + "/keys", _add_key),
    Route("GET", REPOSITORY + "/keys/{number}", _get_key),
    Route("DELETE", REPOSITORY + "/keys/{number}", _delete_key),
    Route("GET", REPOSITORY + "/pages", _absent),
    Route("GET", REPOSITORY + "/hooks", _absent, ("admin:repo_hook",)),
    Route("POST", REPOSITORY + "/hooks", _absent, ("admin:repo_hook",)),
    Route("GET", REPOSITORY + "/hooks/{number}", _absent, ("admin:repo_hook",)),
)
