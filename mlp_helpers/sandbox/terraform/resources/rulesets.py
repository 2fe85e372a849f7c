"""GitHub rulesets: github_repository_ruleset."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.terraform.api import Json, Services
from mlp_helpers.sandbox.terraform.bodies import Shape, from_body, to_body
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.base import Resource
from mlp_helpers.sandbox.terraform.resources.repositories import repository_path
from mlp_helpers.sandbox.terraform.resources.rest import argument
from mlp_helpers.sandbox.terraform.rules import Rules, between, one_of
from mlp_helpers.sandbox.terraform.values import Values

_SHAPE = Shape(
    camel=False,
    names={
        "ruleset_id": "id",
        "rules.required_status_checks.required_check": "required_status_checks",
        "rules.required_status_checks.strict_required_status_checks_policy": "strict_required_status_checks_policy",
        "rules.required_code_scanning.required_code_scanning_tool": "code_scanning_tools",
    },
    local=frozenset({"repository", "etag"}),
)
_SWITCHES = ("creation", "deletion", "non_fast_forward", "required_linear_history", "required_signatures")


class RepositoryRuleset(Resource):
    """github_repository_ruleset."""

    rules = Rules(
        immutable=frozenset({"repository"}),
        checks=(
            one_of("target", "branch", "tag", "push"),
            one_of("enforcement", "disabled", "active", "evaluate"),
            one_of("bypass_actors.bypass_mode", "always", "pull_request", "exempt"),
            one_of(
                "bypass_actors.actor_type", "RepositoryRole", "Team", "Integration", "OrganizationAdmin", "DeployKey"
            ),
            one_of("rules.pull_request.allowed_merge_methods", "merge", "squash", "rebase"),
            between("rules.pull_request.required_approving_review_count", 0, 10),
        ),
    )

    def identity(self, values: Values) -> Values:
        return {"id": str(values["ruleset_id"])} if values.get("ruleset_id") else {}

    def create(self, services: Services, values: Values) -> Values:
        made = services.github.call(
            "POST", f"{repository_path(services, values['repository'])}/rulesets", self._body(values)
        )
        return {"id": str(made["id"]), "ruleset_id": made["id"]}

    def read(self, services: Services, state: Values) -> Values | None:
        body = services.github.find(self._path(services, state))
        if body is None:
            return None
        return from_body(self.block, _SHAPE, body | {"rules": _read_rules(body.get("rules") or [])}, state) | {
            "id": state["id"]
        }

    def update(self, services: Services, prior: Values, values: Values) -> None:
        services.github.call("PUT", self._path(services, prior), self._body(values))

    def delete(self, services: Services, state: Values) -> None:
        try:
            services.github.call("DELETE", self._path(services, state))
        except ApiError as error:
            if error.status != 404:
                raise

    def imported(self, identifier: str, provider: Any) -> Values:
        repository, _, number = identifier.partition(":")
        if not number.isdecimal():
            raise ProviderError("Import id is not valid", f'"{identifier}" is no REPOSITORY:RULESET_ID.')
        return {"repository": repository, "ruleset_id": int(number)}

    def _path(self, services: Services, values: Values) -> str:
        return f"{repository_path(services, values['repository'])}/rulesets/{values['id']}"

    def _body(self, values: Values) -> Json:
        body = to_body(self.block, _SHAPE, {**values, "rules": []})
        rules = argument(values, "rules")
        inner = to_body(self.block.blocks["rules"].block, _SHAPE, rules, ("rules",))
        body["rules"] = _write_rules(inner)
        body.setdefault("bypass_actors", [])
        return body


def _write_rules(rules: Json) -> list[Json]:
    """One object a rule; what is a switch in Terraform is a rule that is there."""
    merge = rules.pop("update_allows_fetch_and_merge", None)
    written: list[Json] = []
    for name, value in rules.items():
        if name in _SWITCHES:
            written.extend([{"type": name}] if value else [])
        elif name == "update":
            written.extend(
                [{"type": name, "parameters": {"update_allows_fetch_and_merge": bool(merge)}}] if value else []
            )
        else:
            written.append({"type": name, "parameters": value})
    return written


def _read_rules(rules: list[Json]) -> Json:
    read: Json = {}
    for rule in rules:
        parameters = rule.get("parameters") or {}
        if rule["type"] == "update":
            read |= {"update": True, **parameters}
        else:
            read[rule["type"]] = True if rule["type"] in _SWITCHES else parameters
    return read
