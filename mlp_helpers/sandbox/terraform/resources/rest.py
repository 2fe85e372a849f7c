"""The common case: an object in a collection of a Google REST API, made, changed and removed by operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlp_helpers.sandbox.terraform.api import Json, Services, accepted, quoted
from mlp_helpers.sandbox.terraform.bodies import Shape, changed, from_body, to_body
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.base import Resource, parse_identifier, timeout_seconds
from mlp_helpers.sandbox.terraform.values import Value, Values


class RestResource(Resource):
    """An object at `{service}/{collection}/{name}`. Templates are filled from the state's arguments."""

    service: ClassVar[str]  # prefix on the emulated Google host, with version: "/compute/v1"
    collection: ClassVar[str]  # "projects/{project}/global/networks"
    name_argument: ClassVar[str] = "name"
    name_parameter: ClassVar[str] = ""  # the query parameter that names a new object, where the body does not
    uses_mask: ClassVar[bool] = False  # whether PATCH needs updateMask
    import_formats: ClassVar[tuple[str, ...]] = ()
    shape: ClassVar[Shape] = Shape()
    default_timeout_seconds: ClassVar[float] = 1200

    def relative_name(self, values: Values) -> str:
        """The object's path below the service: also its Terraform id."""
        return f"{self.fill(self.collection, values)}/{values[self.name_argument]}"

    def fill(self, template: str, values: Values) -> str:
        """Fill a template; an argument that is missing is a person's omission."""
        try:
            filled = template.format_map({name: value for name, value in values.items() if value is not None})
        except KeyError as error:
            name = error.args[0]
            raise ProviderError(
                f"{name}: required field is not set", f"Set {name} in the resource or in the provider block."
            ) from error
        return filled

    def url(self, values: Values) -> str:
        """Path of the object on the emulated host."""
        return f"{self.service}/{quoted_path(self.relative_name(values))}"

    def identity(self, values: Values) -> Values:
        return {"id": self.relative_name(values)}

    def imported(self, identifier: str, provider: Mapping[str, Value]) -> Values:
        formats = self.import_formats or (
            self._full_format(),
            f"{{project}}/{{{self.name_argument}}}",
            f"{{{self.name_argument}}}",
        )
        return parse_identifier(identifier, provider, *formats)

    def _full_format(self) -> str:
        return f"{self.collection}/{{{self.name_argument}}}"

    def body(self, values: Values) -> Json:
        """What to send for the values."""
        return to_body(self.block, self.shape, values)

    def state(self, body: Json, seed: Values) -> Values:
        """The state that the service's answer shows."""
        return from_body(self.block, self.shape, body, seed) | {"id": seed["id"]}

    def create(self, services: Services, values: Values) -> Values:
        collection = f"{self.service}/{quoted_path(self.fill(self.collection, values))}"
        params = {self.name_parameter: str(values[self.name_argument])} if self.name_parameter else {}
        operation = services.google.call("POST", collection, self.body(values), **params)
        with accepted():
            self.wait(services, operation, values, "create")
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        body = services.google.find(self.url(state))
        return None if body is None else self.state(body, state)

    def update(self, services: Services, prior: Values, values: Values) -> None:
        fields = changed(self.body(prior), self.body(values))
        if fields:
            self.patch(services, values, fields)

    def patch(self, services: Services, values: Values, fields: Json) -> None:
        """Send changed fields and wait."""
        params = {"updateMask": ",".join(sorted(fields))} if self.uses_mask else {}
        operation = services.google.call("PATCH", self.url(values), fields, **params)
        self.wait(services, operation, values, "update")

    def delete(self, services: Services, state: Values) -> None:
        try:
            operation = services.google.call("DELETE", self.url(state))
        except ApiError as error:
            if error.status == 404:
                return
            raise
        self.wait(services, operation, state, "delete")

    def wait(self, services: Services, operation: Json, values: Values, action: str) -> Json:
        """Wait for an operation; an answer that is the object itself needs none."""
        path = self.operation_path(operation, values)
        if not path:
            return operation
        seconds = timeout_seconds(values, action, self.default_timeout_seconds)
        return services.wait(operation, lambda: services.google.call("GET", path), timeout_seconds=seconds)

    def operation_path(self, operation: Json, values: Values) -> str:
        """Where an operation is read; empty if the answer is none. The newer services name them in full."""
        name = str(operation.get("name", ""))
        return f"{self.service}/{name}" if "/operations/" in name else ""


def quoted_path(path: str) -> str:
    """A path with every part quoted."""
    return "/".join(quoted(part) for part in path.split("/"))


def argument(values: Values, name: str) -> Any:
    """A block's arguments where at most one block is allowed; empty if there is none."""
    blocks = values.get(name) or []
    return blocks[0] if blocks else {}
