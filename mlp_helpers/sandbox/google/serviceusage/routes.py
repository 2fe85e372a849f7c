"""Service Usage's API: which services a project has enabled, and the operations that change it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from mlp_helpers.sandbox.google.admission import Admission, ProjectService
from mlp_helpers.sandbox.google.calls import Call, Json, Route
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.errors import GoogleError
from mlp_helpers.sandbox.google.operations import Finish, Operation, Operations, long_running
from mlp_helpers.sandbox.google.serviceusage.catalog import CATALOG
from mlp_helpers.sandbox.google.serviceusage.errors import SERVICE
from mlp_helpers.sandbox.google.serviceusage.store import check_known

_TYPES = "google.api.serviceusage.v1"
_NOTHING_TO_DO = "operations/noop.DONE_OPERATION"
_RESPONSES = {
    "enable": "EnableServiceResponse",
    "disable": "DisableServiceResponse",
    "batch": "BatchEnableServicesResponse",
}


class ServiceUsageService(ProjectService):
    """Service Usage."""

    name = SERVICE

    def __init__(self, admission: Admission, documents: Documents, *, seconds: float) -> None:
        super().__init__(admission)
        self.operations = Operations(
            documents,
            service="serviceusage",
            seconds=seconds,
            new_name=lambda: f"acat.{secrets.token_hex(12)}",
            work=self._work,
        )

    def routes(self) -> Sequence[Route]:
        services = "/v1/projects/{project}/services"
        return (
            Route("GET", "/v1/operations/{operation}", self._get_operation),
            Route("GET", f"{services}:batchGet", self._batch_get, "serviceusage.services.get"),
            Route("POST", f"{services}:batchEnable", self._batch_enable, "serviceusage.services.enable"),
            Route("GET", services, self._list, "serviceusage.services.list"),
            Route("POST", f"{services}/{{service}}:enable", self._enable, "serviceusage.services.enable"),
            Route("POST", f"{services}/{{service}}:disable", self._disable, "serviceusage.services.disable"),
            Route("GET", f"{services}/{{service}}", self._get, "serviceusage.services.get"),
        )

    async def _get(self, call: Call, project: str, service: str) -> Json:
        check_known([service])
        return self._shown(project, service)

    async def _list(self, call: Call, project: str) -> Json:
        enabled = self.admission.services.enabled(project)
        wanted = call.query.text("filter")
        names = sorted(CATALOG)
        if wanted == "state:ENABLED":
            names = sorted(enabled)
        elif wanted == "state:DISABLED":
            names = sorted(CATALOG.keys() - enabled)
        elif wanted:
            raise GoogleError("INVALID_ARGUMENT", f"Invalid filter: {wanted}")
        return {"services": [self._shown(project, name) for name in names]}

    async def _batch_get(self, call: Call, project: str) -> Json:
        names = [name.rpartition("/")[2] for name in call.query.texts("names")]
        check_known(names)
        return {"services": [self._shown(project, name) for name in names]}

    async def _enable(self, call: Call, project: str, service: str) -> Json:
        check_known([service])
        return self._begin("enable", project, [service])

    async def _batch_enable(self, call: Call, project: str) -> Json:
        services = (await call.json()).get("serviceIds") or []
        check_known(services)
        return self._begin("batch", project, services)

    def _begin(self, kind: str, project: str, services: list[str]) -> Json:
        found = self.admission.projects.get(project)
        if set(services) <= self.admission.services.enabled(found.id):
            response = self._response(kind, found.id, services)
            return {
                "name": _NOTHING_TO_DO,
                "done": True,
                "response": {"@type": f"type.googleapis.com/{_TYPES}.{_RESPONSES[kind]}", **response},
            }
        operation = self.operations.begin(
            kind, scope=f"projects/{found.number}", target=found.id, arguments={"services": services}
        )
        return self._shown_operation(operation)

    async def _disable(self, call: Call, project: str, service: str) -> Json:
        """Disabling takes effect at once here; the real one asks whether the service has been used lately."""
        with_dependents = bool((await call.json()).get("disableDependentServices"))
        found = self.admission.projects.get(project)
        self.admission.services.disable(found.id, service, with_dependents=with_dependents)
        response = self._response("disable", found.id, [service])
        operation = self.operations.done(
            "disable", scope=f"projects/{found.number}", target=found.id, response=response
        )
        return self._shown_operation(operation)

    async def _work(self, operation: Operation) -> Finish:
        services = operation.arguments["services"]

        def enable() -> Json:
            self.admission.services.enable(operation.target, services)
            return self._response(operation.kind, operation.target, services)

        return enable

    def _response(self, kind: str, project: str, services: Iterable[str]) -> Json:
        shown = [self._shown(project, service) for service in services]
        return {"services": shown} if kind == "batch" else {"service": shown[0]}

    async def _get_operation(self, call: Call, operation: str) -> Json:
        found = self.operations.get(operation)
        if found is None:
            raise GoogleError("NOT_FOUND", f"Operation operations/{operation} not found.")
        return self._shown_operation(found)

    def _shown_operation(self, operation: Operation) -> Json:
        names = [f"{operation.scope}/services/{name}" for name in operation.arguments.get("services", ())]
        metadata: dict[str, Any] = {"@type": f"type.googleapis.com/{_TYPES}.OperationMetadata", "resourceNames": names}
        return long_running(
            operation,
            name=f"operations/{operation.name}",
            metadata=metadata,
            response_type=f"{_TYPES}.{_RESPONSES[operation.kind]}",
        )

    def _shown(self, project: str, service: str) -> Json:
        found = self.admission.projects.get(project)
        enabled = service in self.admission.services.enabled(found.id)
        return {
            "name": f"projects/{found.number}/services/{service}",
            "parent": f"projects/{found.number}",
            "config": {"name": service, "title": CATALOG[service].title, "usage": {}},
            "state": "ENABLED" if enabled else "DISABLED",
        }
