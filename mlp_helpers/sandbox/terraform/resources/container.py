"""What GKE's two resources share: their operations, one change of a cluster at a time, creations that are resumed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import ClassVar

from mlp_helpers.sandbox.terraform.api import Json, Services, accepted
from mlp_helpers.sandbox.terraform.errors import ApiError, HalfMadeError, OperationError
from mlp_helpers.sandbox.terraform.resources.base import timeout_seconds
from mlp_helpers.sandbox.terraform.resources.rest import RestResource
from mlp_helpers.sandbox.terraform.values import Values

Request = tuple[str, str, Json]  # method, path, body


class ContainerResource(RestResource):
    """A cluster or a node pool."""

    service: ClassVar[str] = "/container/v1"

    def cluster_url(self, values: Values) -> str:
        """Path of the cluster on the emulated host."""
        return self.url(values).partition("/nodePools/")[0]

    def operation_path(self, operation: Json, values: Values) -> str:
        if "operationType" not in operation:
            return ""
        return self._operation_path(str(operation["name"]), values)

    def _operation_path(self, name: str, values: Values) -> str:
        return f"{self.service}/{self.fill('projects/{project}/locations/{location}', values)}/operations/{name}"

    def start(self, services: Services, values: Values, collection: str, body: Json) -> None:
        """Post a new object and wait; an interrupted creation goes on, and the next refresh waits for it."""
        operation = services.google.call("POST", collection, body)
        values["operation"] = operation["name"]
        path, seconds = (
            self.operation_path(operation, values),
            timeout_seconds(values, "create", self.default_timeout_seconds),
        )
        try:
            with accepted(resumable=True):
                services.wait(
                    operation, lambda: services.google.call("GET", path), timeout_seconds=seconds, grace_seconds=0
                )
        except HalfMadeError as error:
            values["operation"] = values["operation"] if error.resumable else None
            raise
        values["operation"] = None

    def read(self, services: Services, state: Values) -> Values | None:
        if state.get("operation") and not services.is_stopping:
            operation = services.google.find(self._operation_path(state["operation"], state))
            # A creation that failed after all shows in the object, which is there or not.
            with suppress(OperationError):
                if operation is not None:
                    self.wait(services, operation, state, "create")
            state = {**state, "operation": None}
        return super().read(services, state)

    def send(self, services: Services, values: Values, requests: Iterable[Request]) -> None:
        """Send the calls of an update one after the other."""
        with services.lock(self.cluster_url(values)):
            for method, path, body in requests:
                self.wait(services, services.google.call(method, path, body), values, "update")

    def delete(self, services: Services, state: Values) -> None:
        with services.lock(self.cluster_url(state)):
            try:
                operation = services.google.call("DELETE", self.url(state))
            except ApiError as error:
                if error.status == 404:
                    return
                raise
            self.wait(services, operation, state, "delete")
