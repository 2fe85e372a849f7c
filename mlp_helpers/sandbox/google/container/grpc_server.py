"""GKE over gRPC: the library's own messages, answered by the handlers.

The channel is insecure, so a client sends its token as plain metadata (`authorization: Bearer …`), by an interceptor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2, json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mlp_helpers.sandbox.google.admission import Admission
from mlp_helpers.sandbox.google.container.handlers import ContainerHandlers
from mlp_helpers.sandbox.google.container.rpcs import GRPC_SERVICE, Rpc, to_json, to_message
from mlp_helpers.sandbox.google.errors import GoogleError

_DETAILS = "grpc-status-details-bin"
_STATUSES = {status.name: status for status in grpc.StatusCode}


class GrpcServer:
    """The gRPC server of `google.container.v1.ClusterManager`."""

    def __init__(self, handlers: ContainerHandlers, admission: Admission) -> None:
        self._handlers, self._admission = handlers, admission
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int) -> int:
        """Listen; returns the port."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        methods = {rpc.name: self._method(rpc) for rpc in self._handlers.rpcs.values()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(GRPC_SERVICE, methods),))
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()
        return int(bound)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            await self._server.stop(grace=None)

    def _method(self, rpc: Rpc) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            self._handler(rpc),
            request_deserializer=rpc.request_type.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _handler(self, rpc: Rpc) -> Callable[[Message, Any], Awaitable[Message]]:
        async def handler(request: Message, context: Any) -> Message:
            try:
                headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
                identity = self._admission.identify(headers)
                reply = await self._handlers.call(rpc, to_json(request), identity)
            except GoogleError as error:
                details = ((_DETAILS, rich_status(error).SerializeToString()),)
                await context.abort(_STATUSES[error.status], error.message, details)
                raise
            return to_message(reply, rpc.response_type)

        return handler


def rich_status(error: GoogleError) -> Any:
    """The refusal with its details, from which clients read `.reason`."""
    status = status_pb2.Status(code=code_pb2.Code.Value(error.status), message=error.message)
    for detail in error.details:
        if detail["@type"].endswith("google.rpc.ErrorInfo"):
            fields = {key: value for key, value in detail.items() if key != "@type"}
            packed = any_pb2.Any()
            packed.Pack(json_format.ParseDict(fields, error_details_pb2.ErrorInfo()))
            status.details.append(packed)
    return status
