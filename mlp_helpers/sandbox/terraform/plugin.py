"""A go-plugin server: the handshake on stdout, TLS on a unix socket, the controller and stdio services, and an end with the parent."""

from __future__ import annotations

import base64
import datetime
import os
import signal
import sys
import tempfile
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from mlp_helpers.sandbox.terraform import protocol

MAGIC_COOKIE = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
_CORE_PROTOCOL, _APPLICATION_PROTOCOL = 1, 6
_PARENT_CHECK_SECONDS = 1.0


def is_started_by_terraform() -> bool:
    """Whether the environment says so, as every plugin must check."""
    name, value = MAGIC_COOKIE
    return os.environ.get(name) == value


def serve(handlers: dict[str, protocol.Handler]) -> None:
    """Serve a provider until Terraform says stop or dies; ends the process.

    Args:
        handlers: The methods of tfplugin6.Provider, by name.
    """
    # Ctrl-C reaches the whole terminal; Terraform then calls StopProvider, and this process must live to answer it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    done = threading.Event()
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=16),
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    server.add_generic_rpc_handlers(
        (
            protocol.service("tfplugin6.Provider", handlers),
            protocol.service("plugin.GRPCController", {"Shutdown": _shutdown(done)}),
            protocol.service("plugin.GRPCStdio", {"StreamStdio": _stdio(done)}),
        )
    )
    # The folder has mode 0700. It stands in for the client certificate: Terraform's uses P-521, which Python's gRPC refuses.
    with tempfile.TemporaryDirectory(prefix="mlp-tf-") as folder:
        socket = Path(folder) / "provider.sock"
        key, certificate, der = _certificate()
        server.add_secure_port(f"unix://{socket}", grpc.ssl_server_credentials([(key, certificate)]))
        server.start()
        encoded = base64.b64encode(der).decode().rstrip("=")
        print(f"{_CORE_PROTOCOL}|{_APPLICATION_PROTOCOL}|unix|{socket}|grpc|{encoded}", flush=True)
        parent = os.getppid()
        while not done.wait(_PARENT_CHECK_SECONDS):
            if os.getppid() != parent:
                break
        server.stop(0.1).wait()  # long enough to answer Shutdown
    sys.stderr.flush()
    os._exit(0)  # Terraform waits for the exit; tearing down the interpreter would only take time


def _shutdown(done: threading.Event) -> protocol.Handler:
    empty = protocol.message("plugin.Empty")

    def shutdown(request: Any, context: grpc.ServicerContext) -> Any:
        done.set()
        return empty()

    return shutdown


def _stdio(done: threading.Event) -> protocol.Handler:
    def stream(request: Any, context: grpc.ServicerContext) -> Any:
        # Terraform reads the provider's stderr from its pipe; the stream must only stay open.
        finished = threading.Event()
        if context.add_callback(finished.set):
            while not (done.wait(_PARENT_CHECK_SECONDS) or finished.is_set()):
                pass
        return iter(())

    return stream


def _certificate() -> tuple[bytes, bytes, bytes]:
    """A key and a self-signed certificate for this one process: key PEM, certificate PEM, certificate DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (
        private,
        certificate.public_bytes(serialization.Encoding.PEM),
        certificate.public_bytes(serialization.Encoding.DER),
    )
