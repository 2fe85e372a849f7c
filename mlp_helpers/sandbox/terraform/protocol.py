"""Terraform's plugin protocol 6 and go-plugin's two services, as messages made from committed descriptors.

The descriptors come from `tools/build_terraform_protocol.py`. Generated code would pin a version of protobuf;
descriptors load under any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool, empty_pb2, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

Message = Any  # the classes are made at run time
Handler = Callable[[Message, grpc.ServicerContext], Message]

_POOL = descriptor_pool.DescriptorPool()  # its own, so that nothing meets another copy of these names
_POOL.AddSerializedFile(empty_pb2.DESCRIPTOR.serialized_pb)
for _file in FileDescriptorSet.FromString(Path(__file__).with_name("protocol.binpb").read_bytes()).file:
    _POOL.AddSerializedFile(_file.SerializeToString())


def message(name: str) -> Message:
    """The class of a message, by full name: `message("tfplugin6.PlanResourceChange.Response")`."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


DynamicValue = message("tfplugin6.DynamicValue")
Diagnostic = message("tfplugin6.Diagnostic")
AttributePath = message("tfplugin6.AttributePath")
Schema = message("tfplugin6.Schema")
ServerCapabilities = message("tfplugin6.ServerCapabilities")


def response(method: str) -> Message:
    """The class of what a method of tfplugin6.Provider answers."""
    return message(f"tfplugin6.{method}.Response")


def service(name: str, handlers: Mapping[str, Handler]) -> grpc.GenericRpcHandler:
    """A gRPC service with the given methods.

    The others answer UNIMPLEMENTED, which Terraform expects of older providers.
    """
    methods = {}
    for method in _POOL.FindServiceByName(name).methods:
        if method.name not in handlers:
            continue
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        methods[method.name] = make(
            handlers[method.name],
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )
    return grpc.method_handlers_generic_handler(name, methods)
