"""Rulesets of a repository, and the rules that a branch is under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.github import views
from mlp_helpers.sandbox.github.calls import NO_CONTENT, Call, Reply, Route
from mlp_helpers.sandbox.github.errors import not_emulated, not_found, plan_lacks, unprocessable
from mlp_helpers.sandbox.github.protection import applies_to
from mlp_helpers.sandbox.github.store import Json, Permission, Repository, timestamp

RULESETS = "/repos/{owner}/{name}/rulesets"
TARGETS = ("branch", "tag", "push")
ENFORCEMENTS = ("disabled", "active", "evaluate")
ENFORCED = frozenset(
    {
        "creation",
        "update",
        "deletion",
        "non_fast_forward",
        "required_linear_history",
        "pull_request",
        "required_status_checks",
    }
)
KNOWN = frozenset(
    {
        "required_signatures",
        "required_deployments",
        "commit_message_pattern",
        "commit_author_email_pattern",
        "committer_email_pattern",
        "branch_name_pattern",
        "tag_name_pattern",
        "code_scanning",
        "merge_queue",
        "copilot_code_review",
        "file_path_restriction",
        "max_file_path_length",
        "file_extension_restriction",
        "max_file_size",
        "workflows",
    }
)
"""Rules of the real service that the sandbox would not enforce, and therefore does not take."""


def _repository(call: Call, owner: str, name: str, needed: Permission = Permission.ADMIN) -> Repository:
    repository = call.repository(owner, name, needed)
    if repository.is_private and call.store.plan(repository.owner) == "free":
        raise plan_lacks("repos/rules")
    return repository


def _checked(body: Mapping[str, Any], previous: Mapping[str, Any]) -> Json:
    """A ruleset out of a request; what an update leaves out stays as it was."""
    given = {**previous, **body}
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise unprocessable("Invalid request.\n\nFor 'properties/name', nil is not a string.")
    for field, allowed in (("target", TARGETS), ("enforcement", ENFORCEMENTS)):
        if given.get(field, allowed[0]) not in allowed:
            raise unprocessable(
                f"Invalid request.\n\nInvalid property /{field}: `{given[field]}` is not a possible value."
            )
    rules = given.get("rules") or []
    for number, rule in enumerate(rules):
        if rule.get("type") in KNOWN:
            raise not_emulated(f"ruleset rule {rule['type']}")
        if rule.get("type") not in ENFORCED:
            raise unprocessable(
                f"Invalid request.\n\nInvalid property /rules/{number}: data matches no possible input."
            )
    return {
        "name": name,
        "target": given.get("target", "branch"),
        "enforcement": given.get("enforcement", "disabled"),
        "conditions": given.get("conditions") or {"ref_name": {"include": [], "exclude": []}},
        "rules": [{key: rule[key] for key in ("type", "parameters") if rule.get(key) is not None} for rule in rules],
        "bypass_actors": [{"bypass_mode": "always", **actor} for actor in given.get("bypass_actors") or []],
        "created_at": given.get("created_at") or timestamp(),
        "updated_at": timestamp(),
    }


def _show(call: Call, repository: Repository, ruleset: Mapping[str, Any], *, whole: bool = True) -> Json:
    url = views.repository_url(call, repository, "rulesets", str(ruleset["id"]))
    shown = (
        dict(ruleset)
        if whole
        else {key: ruleset[key] for key in ruleset if key not in ("rules", "conditions", "bypass_actors")}
    )
    return {
        **shown,
        "source_type": "Repository",
        "source": repository.full_name,
        "node_id": f"RRS_{ruleset['id']}",
        "_links": {
            "self": {"href": url},
            "html": {"href": f"{call.site}/{repository.full_name}/rules/{ruleset['id']}"},
        },
    }


def _create(call: Call, owner: str, name: str) -> Reply:
    repository = _repository(call, owner, name)
    ruleset = _checked(call.body(), {})
    if any(each["name"] == ruleset["name"] for _, each in call.store.items(repository, "ruleset")):
        raise unprocessable("Validation Failed: Name must be unique")
    number = call.store.add_item(repository, "ruleset", ruleset)
    return Reply(_show(call, repository, {**ruleset, "id": number}), 201)


def _list(call: Call, owner: str, name: str) -> Reply:
    repository = _repository(call, owner, name, Permission.READ)
    found = [body for _, body in call.store.items(repository, "ruleset")]
    return call.page(found, lambda ruleset: _show(call, repository, ruleset, whole=False))


def _find(call: Call, repository: Repository, number: str) -> Json:
    ruleset = call.store.item(repository, "ruleset", number)
    if ruleset is None:
        raise not_found()
    return ruleset


def _get(call: Call, owner: str, name: str, number: str) -> Json:
    repository = _repository(call, owner, name, Permission.READ)
    return _show(call, repository, _find(call, repository, number))


def _replace(call: Call, owner: str, name: str, number: str) -> Json:
    repository = _repository(call, owner, name)
    previous = _find(call, repository, number)
    ruleset = {**_checked(call.body(), previous), "id": previous["id"]}
    call.store.put_item(repository, "ruleset", number, ruleset)
    return _show(call, repository, ruleset)


def _delete(call: Call, owner: str, name: str, number: str) -> Reply:
    repository = _repository(call, owner, name)
    if not call.store.remove_item(repository, "ruleset", number):
        raise not_found()
    return NO_CONTENT


def _of_branch(call: Call, owner: str, name: str, branch: str) -> Reply:
    repository = _repository(call, owner, name, Permission.READ)
    rules = [
        {
            **rule,
            "ruleset_source_type": "Repository",
            "ruleset_source": repository.full_name,
            "ruleset_id": ruleset["id"],
        }
        for _, ruleset in call.store.items(repository, "ruleset")
        if ruleset["enforcement"] == "active" and applies_to(ruleset, branch, repository.default_branch)
        for rule in ruleset["rules"]
    ]
    return call.page(rules, lambda rule: rule)


ROUTES = (
    Route("POST", RULESETS, _create),
    Route("GET", RULESETS, _list),
    Route("GET", RULESETS + "/{number}", _get),
    Route("PUT", RULESETS + "/{number}", _replace),
    Route("DELETE", RULESETS + "/{number}", _delete),
    Route("GET", "/repos/{owner}/{name}/rules/branches/{branch=**}", _of_branch),
)
