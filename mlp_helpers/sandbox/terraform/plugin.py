"""A go-plugin server: the handshake on stdout, TLS on a unix socket, the controller and stdio services.

It ends when Terraform says so, or when Terraform is gone.
"""

from __future__ import annotations

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


def serve(handlers: dict[str, protocol.Handler], certificate: Path) -> None:
    """Serve a provider until Terraform says stop or dies; ends the process.

    Args:
        handlers: The methods of tfplugin6.Provider, by name.
        certificate: PEM file with the server's private key and its certificate, in this order.
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
    key, chain = _read_certificate(certificate)
    # The folder has mode 0700. It stands in for the client certificate: Terraform's uses P-521, which gRPC refuses.
    with tempfile.TemporaryDirectory(prefix="mlp-tf-") as folder:
        socket = Path(folder) / "provider.sock"
        server.add_secure_port(f"unix://{socket}", grpc.ssl_server_credentials([(key.encode(), chain.encode())]))
        server.start()
        encoded = "".join(chain.splitlines()[1:-1]).rstrip("=")
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


def _read_certificate(path: Path) -> tuple[str, str]:
    key, separator, certificate = path.read_text().partition("-----BEGIN CERTIFICATE-----")
    return key, (separator + certificate).strip()
