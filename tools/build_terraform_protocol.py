"""Take Terraform's plugin protocol, as compiled descriptors, out of the wheel `tf`.

    python -m pip download --no-deps --dest FOLDER tf==1.2.0
    python tools/build_terraform_protocol.py FOLDER/tf-1.2.0-py3-none-any.whl

The wheel wants protobuf < 6, which the rest of the environment cannot have; so it is never installed. Its generated
modules carry the file descriptors as one bytes literal each. They are data, and any protobuf loads them.
"""

from __future__ import annotations

import ast
import sys
import zipfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

OUTPUT = Path(__file__).parents[1] / "mlp_helpers/sandbox/terraform/protocol.binpb"
MODULES = {
    "tf/gen/tfplugin_pb2.py": "tfplugin6.proto",
    "tf/gen/grpc_controller_pb2.py": "grpc_controller.proto",
    "tf/gen/grpc_stdio_pb2.py": "grpc_stdio.proto",
}


def serialized_descriptor(source: str) -> bytes:
    """The argument of `AddSerializedFile(…)` in a generated module."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "AddSerializedFile"
        ):
            literal = node.args[0]
            if isinstance(literal, ast.Constant) and isinstance(literal.value, bytes):
                return literal.value
    raise ValueError("The module has no serialized file descriptor.")


def main(wheel: Path) -> None:
    """Write the three files' descriptors as one FileDescriptorSet."""
    files = FileDescriptorSet()
    with zipfile.ZipFile(wheel) as archive:
        for module, name in MODULES.items():
            descriptor = FileDescriptorProto.FromString(serialized_descriptor(archive.read(module).decode()))
            descriptor.name = name
            files.file.append(descriptor)
    OUTPUT.write_bytes(files.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
