"""Ports of this machine for the container ports of pods, which all share 127.0.0.1."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from typing import Any

FIRST, LAST = 20000, 29999
"""Clear of Ray's own worker ports (10002-19999) and of the kernel's ephemeral ports."""


class PortsExhaustedError(Exception):
    """No port is left between FIRST and LAST."""


class PortAllocator:
    """Hands out ports that nobody listens on; one for all kubelets of a process."""

    def __init__(self, first: int = FIRST, last: int = LAST) -> None:
        self._first, self._last, self._next = first, last, first
        self._taken: set[int] = set()

    def allocate(self) -> int:
        """A free port.

        Raises:
            PortsExhaustedError: All are taken.
        """
        for offset in range(self._last - self._first + 1):
            span = self._last - self._first + 1
            port = self._first + (self._next - self._first + offset) % span
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                self._next = port + 1  # not at once again: a client may still hold the old one
                return port
        raise PortsExhaustedError(f"no free port between {self._first} and {self._last}")

    def take(self, ports: Iterable[int]) -> None:
        """Keep ports that running pods hold already."""
        self._taken |= set(ports)

    def release(self, ports: Iterable[int]) -> None:
        """Give ports back."""
        self._taken -= set(ports)


def declared_ports(pod: Mapping[str, Any]) -> list[int]:
    """The container ports that a pod's containers name."""
    containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    ports = {int(port["containerPort"]) for container in containers for port in container.get("ports") or ()}
    return sorted(ports)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
