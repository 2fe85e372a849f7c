"""GitHub repositories: github_repository and its data source."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.terraform.api import Json, Services, quoted
from mlp_helpers.sandbox.terraform.bodies import Shape, from_body, to_body
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.base import DataSource, Resource
from mlp_helpers.sandbox.terraform.rules import Rules, conflicts, matches, one_of
from mlp_helpers.sandbox.terraform.values import Values

_SWITCHED = (
    "advanced_security",
    "code_security",
    "secret_scanning",
    "secret_scanning_push_protection",
    "secret_scanning_ai_detection",
    "secret_scanning_non_provider_patterns",
)

# GitHub would switch these on in a new repository; the provider sends what is not written as false.
_OFF_UNLESS_SET = ("has_discussions", "has_downloads", "has_issues", "has_projects", "has_wiki", "allow_update_branch")

_SHAPE = Shape(
    camel=False,
    names={
        "homepage_url": "homepage",
        "http_clone_url": "clone_url",
        "ssh_clone_url": "ssh_url",
        "git_clone_url": "git_url",
        "primary_language": "language",
        "repo_id": "id",
    },
    local=frozenset(
        {
            "archive_on_destroy",
            "auto_init",
            "gitignore_template",
            "license_template",
            "ignore_vulnerability_alerts_during_read",
            "template",
            "pages",
            "etag",
            "source_owner",
            "source_repo",
            "vulnerability_alerts",
            "fork",
        }
    ),
    from_api={"topics": sorted},
)


def owner(services: Services) -> str:
    """The account that the provider block works on: its owner, else the token's own."""
    given = services.provider.get("owner") or services.provider.get("organization")
    return str(given or services.github.call("GET", "/user")["login"])


def repository_path(services: Services, name: str) -> str:
    """Path of a repository of the provider block's account."""
    return f"/repos/{quoted(owner(services))}/{quoted(name)}"


class Repository(Resource):
    """github_repository."""

    rules = Rules(
        immutable=frozenset({"template", "source_owner", "source_repo"}),
        defaults={
            "allow_merge_commit": True,
            "allow_squash_merge": True,
            "allow_rebase_merge": True,
            "allow_auto_merge": False,
            "archived": False,
            "archive_on_destroy": None,
            "delete_branch_on_merge": False,
            "is_template": False,
            "merge_commit_title": "MERGE_MESSAGE",
            "merge_commit_message": "PR_TITLE",
            "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
            "squash_merge_commit_message": "COMMIT_MESSAGES",
        },
        served=frozenset({"security_and_analysis", *(f"security_and_analysis.{name}" for name in _SWITCHED)}),
        checks=(
            matches(
                "name", r"[-a-zA-Z0-9_.]{1,100}", "must have 1 to 100 letters, digits, hyphens, underscores and dots"
            ),
            matches(
                "topics",
                r"[a-z0-9][a-z0-9-]{0,49}",
                "must have at most 50 lower-case letters, digits and hyphens, begin with a letter or digit",
            ),
            one_of("visibility", "public", "private", "internal"),
            one_of("merge_commit_title", "PR_TITLE", "MERGE_MESSAGE"),
            one_of("merge_commit_message", "PR_BODY", "PR_TITLE", "BLANK"),
            one_of("squash_merge_commit_title", "PR_TITLE", "COMMIT_OR_PR_TITLE"),
            one_of("squash_merge_commit_message", "PR_BODY", "COMMIT_MESSAGES", "BLANK"),
            conflicts("private", "visibility"),
        ),
    )

    def identity(self, values: Values) -> Values:
        return {"id": values["name"]}

    def create(self, services: Services, values: Values) -> Values:
        if values.get("template") or values.get("source_repo"):
            raise ProviderError("not emulated in the sandbox: repositories from a template or a fork")
        account = owner(services)
        is_own = services.github.call("GET", "/user")["login"].lower() == account.lower()
        body = self._body(values) | {
            name: values[name] for name in ("auto_init", "gitignore_template", "license_template") if values.get(name)
        }
        services.github.call("POST", "/user/repos" if is_own else f"/orgs/{quoted(account)}/repos", body)
        self._set_apart(services, {}, values)
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        # The id is the name that GitHub knows; the argument may be a new one.
        path = repository_path(services, str(state["id"]))
        body = services.github.find(path)
        if body is None:
            return None
        served = from_body(self.block, _SHAPE, body, state)
        served["vulnerability_alerts"] = services.github.find(f"{path}/vulnerability-alerts") is not None
        served["fork"] = "true" if body.get("fork") else "false"
        return served | {"id": body["name"]}

    def update(self, services: Services, prior: Values, values: Values) -> None:
        path = repository_path(services, str(prior["id"]))
        if prior.get("archived") and not values.get("archived"):
            services.github.call("PATCH", path, {"archived": False})  # until then it is read-only
        services.github.call("PATCH", path, {"name": values["name"], **self._body(values)})
        values["id"] = values["name"]
        self._set_apart(services, prior, values)
        if values.get("archived") and not prior.get("archived"):
            services.github.call("PATCH", repository_path(services, values["name"]), {"archived": True})

    def delete(self, services: Services, state: Values) -> None:
        path = repository_path(services, str(state["id"]))
        try:
            if not state.get("archive_on_destroy"):
                services.github.call("DELETE", path)
            elif not state.get("archived"):
                services.github.call("PATCH", path, {"archived": True})
        except ApiError as error:
            if error.status != 404:
                raise

    def imported(self, identifier: str, provider: Any) -> Values:
        return {"name": identifier, "auto_init": False}

    def _body(self, values: Values) -> Json:
        body = to_body(self.block, _SHAPE, values)
        for name in ("topics", "archived", "private"):
            body.pop(name, None)
        body["private"] = values["visibility"] != "public" if values.get("visibility") else bool(values.get("private"))
        if body.get("default_branch") is None or not values.get("repo_id"):
            body.pop("default_branch", None)  # nothing to point at yet
        return body | {name: bool(values.get(name)) for name in _OFF_UNLESS_SET}

    def _set_apart(self, services: Services, prior: Values, values: Values) -> None:
        """What has calls of its own: topics and vulnerability alerts."""
        path = repository_path(services, values["name"])
        if values.get("topics") is not None and values["topics"] != prior.get("topics"):
            services.github.call("PUT", f"{path}/topics", {"names": values["topics"]})
        alerts = values.get("vulnerability_alerts")
        if alerts is not None and alerts != prior.get("vulnerability_alerts"):
            services.github.call("PUT" if alerts else "DELETE", f"{path}/vulnerability-alerts")


class RepositoryData(DataSource):
    """github_repository as a data source."""

    def read(self, services: Services, config: Values) -> Values:
        account, _, name = str(config.get("full_name") or config.get("name") or "").rpartition("/")
        if not name:
            raise ProviderError("Missing required argument", "One of `full_name,name` must be specified.")
        body = services.github.find(f"/repos/{quoted(account or owner(services))}/{quoted(name)}")
        if body is None:
            raise ProviderError(
                f"There is no repository {account or owner(services)}/{name}", "Or the token may not see it."
            )
        attributes = self.block.attributes
        served = {name: body.get(_SHAPE.name((name,))) for name in attributes}
        return served | {
            "id": body["name"],
            "full_name": body["full_name"],
            "name": body["name"],
            "description": body.get("description"),
            "pages": [],
            "template": [],
            "repository_license": [],
        }
