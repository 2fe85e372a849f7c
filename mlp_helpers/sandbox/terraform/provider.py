"""The service tfplugin6.Provider: Terraform's calls, turned into plans and calls of resources."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc

from mlp_helpers.sandbox.terraform import planner, protocol
from mlp_helpers.sandbox.terraform.errors import NotEmulatedError, ProviderError
from mlp_helpers.sandbox.terraform.resources import data_source, resource
from mlp_helpers.sandbox.terraform.resources.base import Resource
from mlp_helpers.sandbox.terraform.rules import problems
from mlp_helpers.sandbox.terraform.schemas import Block, Schemas
from mlp_helpers.sandbox.terraform.values import Value, Values, decode, decode_json, encode

_ERROR = 1

# Where the real providers look when the provider block leaves an argument out.
_ENVIRONMENT = {
    "project": ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"),
    "region": ("GOOGLE_REGION", "GCLOUD_REGION", "CLOUDSDK_COMPUTE_REGION"),
    "zone": ("GOOGLE_ZONE", "GCLOUD_ZONE", "CLOUDSDK_COMPUTE_ZONE"),
    "owner": ("GITHUB_OWNER", "GITHUB_ORGANIZATION"),
}


class Provider:
    """One provider process.

    Args:
        name: google, google-beta or github.
    """

    def __init__(self, name: str) -> None:
        self._name, self._schemas = name, Schemas(name)
        self._arguments: Values = {}
        self._services: Any = None
        self._stopping = threading.Event()

    def handlers(self) -> dict[str, protocol.Handler]:
        """The methods that are served, by name."""
        methods: dict[str, Callable[[Any, Any], None]] = {
            "GetMetadata": self._metadata,
            "GetProviderSchema": self._schema,
            "ValidateProviderConfig": self._nothing,
            "ConfigureProvider": self._configure,
            "ValidateResourceConfig": self._validate,
            "ValidateDataResourceConfig": self._nothing,
            "UpgradeResourceState": self._upgrade,
            "ReadResource": self._read,
            "PlanResourceChange": self._plan,
            "ApplyResourceChange": self._apply,
            "ImportResourceState": self._import,
            "ReadDataSource": self._read_data,
            "GetFunctions": self._nothing,
            "StopProvider": self._stop,
        }
        return {name: _handler(name, method) for name, method in methods.items()}

    # Schemas and configuration

    def _nothing(self, request: Any, response: Any) -> None:
        """Nothing to add to an empty answer."""

    def _metadata(self, request: Any, response: Any) -> None:
        response.server_capabilities.CopyFrom(_capabilities())
        for name in self._schemas.resources:
            response.resources.add(type_name=name)
        for name in self._schemas.data_sources:
            response.data_sources.add(type_name=name)

    def _schema(self, request: Any, response: Any) -> None:
        response.server_capabilities.CopyFrom(_capabilities())
        response.provider.block.CopyFrom(self._schemas.provider.to_message())
        for name in self._schemas.resources:
            response.resource_schemas[name].block.CopyFrom(self._schemas.resource(name).to_message())
        for name in self._schemas.data_sources:
            response.data_source_schemas[name].block.CopyFrom(self._schemas.data_source(name).to_message())

    def _configure(self, request: Any, response: Any) -> None:
        from mlp_helpers.sandbox.terraform.api import Services

        self._arguments = decode(request.config.msgpack, self._schemas.provider.type) or {}
        for name, variables in _ENVIRONMENT.items():
            if name in self._arguments and self._arguments[name] is None:
                self._arguments[name] = next(filter(None, map(os.environ.get, variables)), None)
        with _diagnosed(response):
            services = Services(self._arguments, self._stopping)
            (services.github if self._name == "github" else services.google).check()
            self._services = services

    def _stop(self, request: Any, response: Any) -> None:
        self._stopping.set()

    # Resources

    def _validate(self, request: Any, response: Any) -> None:
        config = decode(request.config.msgpack, self._schemas.resource(request.type_name).type)
        with _diagnosed(response):
            for problem in problems(self._resource(request.type_name).rules, config):
                _diagnose(response, problem.summary, problem.detail, problem.path)

    def _upgrade(self, request: Any, response: Any) -> None:
        block = self._schemas.resource(request.type_name)
        response.upgraded_state.CopyFrom(_dynamic(decode_json(request.raw_state.json, block.type), block))

    def _read(self, request: Any, response: Any) -> None:
        block = self._schemas.resource(request.type_name)
        state = decode(request.current_state.msgpack, block.type)
        response.private = request.private
        response.new_state.CopyFrom(request.current_state)
        with _diagnosed(response):
            found = self._resource(request.type_name).read(self._services, state)
            response.new_state.CopyFrom(_dynamic(found, block))

    def _plan(self, request: Any, response: Any) -> None:
        block = self._schemas.resource(request.type_name)
        # The real providers are built on the old SDK and say so: only then may a plan hold a default that nobody wrote.
        response.legacy_type_system = True
        response.planned_private = request.prior_private
        proposed = decode(request.proposed_new_state.msgpack, block.type)
        if proposed is None:
            response.planned_state.CopyFrom(_dynamic(None, block))
            return
        with _diagnosed(response):
            plan = planner.plan(
                block,
                self._resource(request.type_name).rules,
                decode(request.config.msgpack, block.type),
                proposed,
                decode(request.prior_state.msgpack, block.type),
                self._arguments,
            )
            response.planned_state.CopyFrom(_dynamic(plan.planned, block))
            for path in plan.replace:
                response.requires_replace.append(_path(path))

    def _apply(self, request: Any, response: Any) -> None:
        from mlp_helpers.sandbox.terraform import applier

        block = self._schemas.resource(request.type_name)
        prior = decode(request.prior_state.msgpack, block.type)
        planned = decode(request.planned_state.msgpack, block.type)
        response.legacy_type_system = True
        response.private = request.planned_private
        response.new_state.CopyFrom(request.prior_state)
        with _diagnosed(response):
            outcome = applier.apply(self._resource(request.type_name), self._services, prior, planned)
            response.new_state.CopyFrom(_dynamic(outcome.state, block))
            if outcome.failure is not None:
                raise outcome.failure

    def _import(self, request: Any, response: Any) -> None:
        block = self._schemas.resource(request.type_name)
        with _diagnosed(response):
            kind = self._resource(request.type_name)
            seed = {**dict.fromkeys(block.type[1]), **kind.imported(request.id, self._arguments)}
            seed |= kind.identity(seed)
            found = kind.read(self._services, seed)
            if found is None:
                raise ProviderError(
                    "Cannot import non-existent remote object", f"There is no {request.type_name} {request.id}."
                )
            response.imported_resources.add(type_name=request.type_name, state=_dynamic(found, block))

    def _read_data(self, request: Any, response: Any) -> None:
        block = self._schemas.data_source(request.type_name)
        with _diagnosed(response):
            source = data_source(request.type_name, block)
            found = source.read(self._services, decode(request.config.msgpack, block.type))
            response.state.CopyFrom(_dynamic(found, block))

    def _resource(self, type_name: str) -> Resource:
        return resource(type_name, self._schemas.resource(type_name))


def _handler(name: str, method: Callable[[Any, Any], None]) -> protocol.Handler:
    answer = protocol.response(name)

    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        response = answer()
        try:
            method(request, response)
        except NotEmulatedError as error:
            _fail(context, error.summary)
        except Exception as error:  # a defect of ours: Terraform shows it as the provider's, instead of waiting
            import traceback

            traceback.print_exc()
            _fail(context, f"{name}: {error!r}")
        return response

    return handle


def _fail(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.INTERNAL, message)
    raise AssertionError("abort raises")


def _capabilities() -> Any:
    return protocol.ServerCapabilities(get_provider_schema_optional=True)


def _dynamic(value: Value, block: Block) -> Any:
    return protocol.DynamicValue(msgpack=encode(value, block.type))


@contextmanager
def _diagnosed(response: Any) -> Iterator[None]:
    """Errors that a person can act on become diagnostics of the answer."""
    try:
        yield
    except ProviderError as error:
        _diagnose(response, error.summary, error.detail)


def _diagnose(response: Any, summary: str, detail: str, path: planner.Path = ()) -> None:
    diagnostic = response.diagnostics.add(severity=_ERROR, summary=summary, detail=detail)
    if path:
        diagnostic.attribute.CopyFrom(_path(path))


def _path(path: planner.Path) -> Any:
    message = protocol.AttributePath()
    for step in path:
        if isinstance(step, int):
            message.steps.add(element_key_int=step)
        else:
            message.steps.add(attribute_name=step)
    return message
