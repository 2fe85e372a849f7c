"""GKE's methods, read from the client library: names, messages, REST paths; and messages as JSON and back.

The library's classes carry no service descriptor, so the methods are found by letting its transport build its stubs on
a channel that only takes notes, and the REST paths in the transport's own table (`rest_base`, a private module: the
lock file pins the library, and a test holds the number of methods).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.cloud import container_v1
from google.cloud.container_v1.services.cluster_manager.transports.grpc import ClusterManagerGrpcTransport
from google.cloud.container_v1.services.cluster_manager.transports.rest_base import _BaseClusterManagerRestTransport
from google.protobuf import json_format
from google.protobuf.message import Message

from mlp_helpers.sandbox.google.container.errors import invalid

Json = dict[str, Any]

GRPC_SERVICE = "google.container.v1.ClusterManager"
_NO_ADDRESS = "127.0.0.1:1"


@dataclass(frozen=True)
class HttpRule:
    """A REST path of a method; `body` is `*` where the body is the request."""

    method: str
    template: str
    body: str


@dataclass(frozen=True)
class Rpc:
    """A method of GKE."""

    name: str
    request_type: type[Message]
    response_type: type[Message]
    rules: tuple[HttpRule, ...]

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.name.startswith(("Get", "List", "Fetch", "Check"))


class _NotingChannel:
    """A channel that writes down the stubs that are asked of it."""

    def __init__(self) -> None:
        self.responses: dict[str, Any] = {}

    def unary_unary(self, path: str, **options: Any) -> Callable[..., None]:
        self.responses[path] = (options["request_serializer"], options["response_deserializer"])
        return lambda *_: None


def discover() -> dict[str, Rpc]:
    """All methods of the library's version of GKE."""
    channel = grpc.insecure_channel(_NO_ADDRESS)
    transport = ClusterManagerGrpcTransport(channel=channel)
    notes: Any = _NotingChannel()
    transport._logged_channel = transport._grpc_channel = notes
    transport._stubs = {}
    for attribute, value in vars(ClusterManagerGrpcTransport).items():
        if isinstance(value, property) and attribute not in ("grpc_channel", "kind"):
            getattr(transport, attribute)
    channel.close()
    return {rpc.name: rpc for rpc in _rpcs(notes.responses)}


def _rpcs(stubs: dict[str, Any]) -> Iterator[Rpc]:
    for path, (serialize, deserialize) in stubs.items():
        service, name = path.strip("/").split("/")
        if service == GRPC_SERVICE:
            yield Rpc(name, _message_type(serialize), _message_type(deserialize), tuple(_rules(name)))


def _message_type(bound: Any) -> type[Message]:
    """The protobuf class behind a library class, or a plain protobuf class (`Empty`)."""
    owner = getattr(bound, "__self__", None)
    if owner is not None and hasattr(owner, "pb"):
        return type(owner.pb(owner()))
    from google.protobuf import empty_pb2

    return empty_pb2.Empty


def _rules(name: str) -> Iterator[HttpRule]:
    holder = getattr(_BaseClusterManagerRestTransport, f"_Base{name}")
    for option in holder._get_http_options():
        yield HttpRule(option["method"].upper(), option["uri"], option.get("body") or "")


def to_json(message: Message) -> Json:
    """A message as REST gives it."""
    return dict(json_format.MessageToDict(message))


def to_message(value: Json, kind: type[Message]) -> Message:
    """JSON as a message; what the library does not know is left out."""
    return json_format.ParseDict(value, kind(), ignore_unknown_fields=True)


def normalized(value: Json, kind: type[Message]) -> Json:
    """JSON from a client in the one form that is kept: camel case, names of enums.

    Fields that the library does not know yet, but the caller does, are kept as they came.
    """
    try:
        known = to_json(to_message(value, kind))
    except json_format.ParseError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    return _with_unknown(known, value, kind.DESCRIPTOR)


def _with_unknown(known: Json, given: Json, descriptor: Any) -> Json:
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    for key, value in given.items():
        field = fields.get(key)
        if field is None:
            known[key] = value
        elif field.enum_type is not None:
            _check_enum(key, value, field.enum_type.values_by_name)
            if isinstance(value, str):
                known.setdefault(field.json_name, value)  # protobuf leaves out the first value, such as NO_UPGRADES
        elif field.json_name in known and field.message_type is not None:
            known[field.json_name] = _nested(known[field.json_name], value, field)
    return known


def _nested(known: Any, given: Any, field: Any) -> Any:
    message = field.message_type
    if message.full_name.startswith("google.protobuf."):
        return known
    if message.GetOptions().map_entry:
        inner = message.fields_by_name["value"]
        if inner.message_type is None or not isinstance(given, dict):
            return known
        return {key: _nested(one, given[key], inner) if key in given else one for key, one in known.items()}
    if isinstance(given, list):
        return [_with_unknown(one, other, message) for one, other in zip(known, given, strict=True)]
    return _with_unknown(known, given, message) if isinstance(given, dict) else known


def _check_enum(key: str, value: Any, names: Any) -> None:
    """protobuf drops the name of an enum's value that it does not know; GKE refuses it."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and one not in names:
            raise invalid(f"Invalid JSON payload received. Invalid value at '{key}': \"{one}\"")


def field_names(kind: str) -> frozenset[str]:
    """Names of a message's fields in JSON, such as those of `Cluster`."""
    message = getattr(container_v1, kind)
    return frozenset(field.json_name for field in message.pb(message()).DESCRIPTOR.fields)
