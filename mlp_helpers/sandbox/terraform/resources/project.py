"""Projects: google_project_service, and the data sources google_project and google_client_config."""

from __future__ import annotations

from collections.abc import Mapping

from mlp_helpers.sandbox.terraform.api import Json, Services, accepted, quoted
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.base import DataSource, Resource, parse_identifier, timeout_seconds
from mlp_helpers.sandbox.terraform.rules import Rules, matches
from mlp_helpers.sandbox.terraform.values import Value, Values

_USAGE = "/serviceusage/v1"


class ProjectService(Resource):
    """google_project_service: whether an API is enabled."""

    rules = Rules(
        immutable=frozenset({"project", "service"}),
        from_provider=("project",),
        checks=(
            matches("service", r"[a-z0-9.-]+\.[a-z]+", "must be a service's name, such as container.googleapis.com"),
        ),
    )

    def identity(self, values: Values) -> Values:
        return {"id": f"{values['project']}/{values['service']}"}

    def create(self, services: Services, values: Values) -> Values:
        operation = services.google.call("POST", f"{self._url(values)}:enable", {})
        with accepted():
            self._wait(services, operation, values, "create")
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        found = services.google.find(self._url(state))
        return state if found and found.get("state") == "ENABLED" else None

    def update(self, services: Services, prior: Values, values: Values) -> None:
        """Only the flags for destroy can change, and those are in the state alone."""

    def delete(self, services: Services, state: Values) -> None:
        if not state.get("disable_on_destroy"):
            return  # the default since 7.0: the API stays enabled
        body = {"disableDependentServices": bool(state.get("disable_dependent_services"))}
        operation = services.google.call("POST", f"{self._url(state)}:disable", body)
        self._wait(services, operation, state, "delete")

    def imported(self, identifier: str, provider: Mapping[str, Value]) -> Values:
        return parse_identifier(identifier, provider, "{project}/{service}")

    def _url(self, values: Values) -> str:
        if not values.get("project"):
            raise ProviderError(
                "project: required field is not set", "Set project in the resource or in the provider block."
            )
        return f"{_USAGE}/projects/{quoted(values['project'])}/services/{quoted(values['service'])}"

    def _wait(self, services: Services, operation: Json, values: Values, action: str) -> None:
        seconds = timeout_seconds(values, action, 1200)
        services.wait(
            operation, lambda: services.google.call("GET", f"{_USAGE}/{operation['name']}"), timeout_seconds=seconds
        )


class ProjectData(DataSource):
    """google_project."""

    def read(self, services: Services, config: Values) -> Values:
        project = config.get("project_id") or services.provider.get("project")
        if not project:
            raise ProviderError(
                "project: required field is not set",
                "Set project_id in the data source or project in the provider block.",
            )
        try:
            found = services.google.call("GET", f"/cloudresourcemanager/v1/projects/{quoted(project)}")
        except ApiError as error:
            if error.status in (403, 404):
                raise ProviderError(f"project {project} not found", error.summary) from error
            raise
        parent = found.get("parent") or {}
        labels = found.get("labels") or {}
        return {
            **config,
            "id": f"projects/{project}",
            "project_id": project,
            "name": found.get("name", ""),
            "number": str(found.get("projectNumber", "")),
            "org_id": parent.get("id", "") if parent.get("type") == "organization" else "",
            "folder_id": parent.get("id", "") if parent.get("type") == "folder" else "",
            "billing_account": self._billing_account(services, project),
            "labels": labels,
            "effective_labels": labels,
            "terraform_labels": labels,
        }

    @staticmethod
    def _billing_account(services: Services, project: str) -> str:
        """Needs a right of its own, without which the real data source leaves it empty as well."""
        try:
            found = services.google.call("GET", f"/cloudbilling/v1/projects/{quoted(project)}/billingInfo")
        except ApiError:
            return ""
        return str(found.get("billingAccountName", "")).removeprefix("billingAccounts/")


class ClientConfig(DataSource):
    """google_client_config: what the provider block says, and a token."""

    def read(self, services: Services, config: Values) -> Values:
        provider = services.provider
        project, region, zone = (provider.get(name) or "" for name in ("project", "region", "zone"))
        return {
            **config,
            "id": f'projects/"{project}"/regions/"{region}"/zones/"{zone}"',
            "project": project,
            "region": region,
            "zone": zone,
            "access_token": services.google.token(),
            "default_labels": provider.get("default_labels") or {},
        }
