"""GitHub branches: github_branch, github_branch_default and github_branch_protection_v3."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.terraform.api import Json, Services, quoted
from mlp_helpers.sandbox.terraform.bodies import Shape, from_body
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.base import Resource
from mlp_helpers.sandbox.terraform.resources.repositories import repository_path
from mlp_helpers.sandbox.terraform.resources.rest import argument
from mlp_helpers.sandbox.terraform.rules import Rules, between
from mlp_helpers.sandbox.terraform.values import Values


def _pair(identifier: str, second: str) -> Values:
    repository, _, rest = identifier.partition(":")
    if not rest:
        raise ProviderError("Import id is not valid", f'"{identifier}" is no REPOSITORY:{second.upper()}.')
    return {"repository": repository, second: rest}


class Branch(Resource):
    """github_branch."""

    rules = Rules(
        immutable=frozenset({"repository", "branch", "source_branch", "source_sha"}), defaults={"source_branch": "main"}
    )

    def identity(self, values: Values) -> Values:
        return {"id": f"{values['repository']}:{values['branch']}"}

    def create(self, services: Services, values: Values) -> Values:
        path = repository_path(services, values["repository"])
        source = values.get("source_sha")
        if not source:
            start = services.github.find(f"{path}/git/ref/heads/{quoted(values['source_branch'])}")
            if start is None:
                raise ProviderError(
                    f"Error querying GitHub branch reference {values['repository']} ({values['source_branch']})",
                    "A branch needs a commit to start from: the source branch does not exist (yet).",
                )
            source = values["source_sha"] = start["object"]["sha"]
        services.github.call("POST", f"{path}/git/refs", {"ref": f"refs/heads/{values['branch']}", "sha": source})
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        path = repository_path(services, state["repository"])
        found = services.github.find(f"{path}/git/ref/heads/{quoted(state['branch'])}")
        return None if found is None else state | {"ref": found["ref"], "sha": found["object"]["sha"]}

    def delete(self, services: Services, state: Values) -> None:
        path = repository_path(services, state["repository"])
        try:
            services.github.call("DELETE", f"{path}/git/refs/heads/{quoted(state['branch'])}")
        except ApiError as error:
            if error.status not in (404, 422):  # 422: the reference does not exist
                raise

    def imported(self, identifier: str, provider: Any) -> Values:
        repository, branch, *source = identifier.split(":")
        return {**_pair(f"{repository}:{branch}", "branch"), "source_branch": source[0] if source else "main"}


class BranchDefault(Resource):
    """github_branch_default: which branch of a repository is the default."""

    rules = Rules(immutable=frozenset({"repository"}), defaults={"rename": False, "wait_for_rename": False})

    def identity(self, values: Values) -> Values:
        return {"id": values["repository"]}

    def create(self, services: Services, values: Values) -> Values:
        self._set(services, values)
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        found = services.github.find(repository_path(services, str(state["repository"])))
        if found is None or not found.get("default_branch"):
            return None
        return state | {"branch": found["default_branch"], "repository_id": found["id"]}

    def update(self, services: Services, prior: Values, values: Values) -> None:
        if values["branch"] != prior.get("branch"):
            self._set(services, values)

    def delete(self, services: Services, state: Values) -> None:
        """A repository always has a default branch: nothing to take away."""

    def imported(self, identifier: str, provider: Any) -> Values:
        return {"repository": identifier, "rename": False, "wait_for_rename": False}

    def _set(self, services: Services, values: Values) -> None:
        path = repository_path(services, values["repository"])
        current = services.github.call("GET", path).get("default_branch")
        if current == values["branch"]:
            return
        if values.get("rename"):
            services.github.call(
                "POST", f"{path}/branches/{quoted(str(current))}/rename", {"new_name": values["branch"]}
            )
        else:
            services.github.call("PATCH", path, {"default_branch": values["branch"]})


_PROTECTION = Shape(
    camel=False,
    names={
        "require_signed_commits": "required_signatures.enabled",
        "enforce_admins": "enforce_admins.enabled",
        "require_conversation_resolution": "required_conversation_resolution.enabled",
    },
    local=frozenset(
        {
            "repository",
            "branch",
            "etag",
            "required_pull_request_reviews.include_admins",
            "required_status_checks.include_admins",
            "required_pull_request_reviews.dismissal_users",
            "required_pull_request_reviews.dismissal_teams",
            "required_pull_request_reviews.dismissal_apps",
            "required_pull_request_reviews.bypass_pull_request_allowances",
        }
    ),
    from_api={
        "required_status_checks.checks": lambda checks: [
            f"{check['context']}:{check['app_id']}" if check.get("app_id") else check["context"] for check in checks
        ],
        **{
            f"restrictions.{kind}": lambda members: [member.get("login") or member.get("slug") for member in members]
            for kind in ("users", "teams", "apps")
        },
    },
)


class BranchProtection(Resource):
    """github_branch_protection_v3: the REST API's protection of one branch."""

    rules = Rules(
        immutable=frozenset({"repository", "branch"}),
        defaults={"required_pull_request_reviews.required_approving_review_count": 1},
        checks=(between("required_pull_request_reviews.required_approving_review_count", 0, 6),),
    )

    def identity(self, values: Values) -> Values:
        return {"id": f"{values['repository']}:{values['branch']}"}

    def create(self, services: Services, values: Values) -> Values:
        self._put(services, values)
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        found = services.github.find(self._path(services, state))
        return None if found is None else from_body(self.block, _PROTECTION, found, state) | {"id": state["id"]}

    def update(self, services: Services, prior: Values, values: Values) -> None:
        self._put(services, values)

    def delete(self, services: Services, state: Values) -> None:
        try:
            services.github.call("DELETE", self._path(services, state))
        except ApiError as error:
            if error.status != 404:
                raise

    def imported(self, identifier: str, provider: Any) -> Values:
        return _pair(identifier, "branch")

    def _path(self, services: Services, values: Values) -> str:
        return f"{repository_path(services, values['repository'])}/branches/{quoted(values['branch'])}/protection"

    def _put(self, services: Services, values: Values) -> None:
        path = self._path(services, values)
        services.github.call("PUT", path, _protection(values))
        signed = f"{path}/required_signatures"
        if values.get("require_signed_commits"):
            services.github.call("POST", signed)
        else:
            try:
                services.github.call("DELETE", signed)
            except ApiError as error:
                if error.status != 404:
                    raise


def _protection(values: Values) -> Json:
    reviews = argument(values, "required_pull_request_reviews")
    checks = argument(values, "required_status_checks")
    body: Json = {
        "enforce_admins": bool(values.get("enforce_admins")),
        "required_conversation_resolution": bool(values.get("require_conversation_resolution")),
        "required_pull_request_reviews": None,
        "required_status_checks": None,
        "restrictions": None,
    }
    if values.get("required_pull_request_reviews"):
        names = (
            "dismiss_stale_reviews",
            "require_code_owner_reviews",
            "require_last_push_approval",
            "required_approving_review_count",
        )
        body["required_pull_request_reviews"] = {name: reviews[name] for name in names if reviews.get(name) is not None}
    if values.get("required_status_checks"):
        named = [_check(text) for text in [*(checks.get("checks") or []), *(checks.get("contexts") or [])]]
        body["required_status_checks"] = {"strict": bool(checks.get("strict")), "checks": named}
    if values.get("restrictions"):
        allowed = argument(values, "restrictions")
        body["restrictions"] = {kind: allowed.get(kind) or [] for kind in ("users", "teams", "apps")}
    return body


def _check(text: str) -> Json:
    """A check is CONTEXT or CONTEXT:APP_ID; a context may hold colons."""
    context, _, number = text.rpartition(":")
    if context and number.lstrip("-").isdecimal():
        return {"context": context, "app_id": int(number)}
    return {"context": text}
