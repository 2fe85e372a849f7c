"""What the workers of a node share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.node.lookup import Lookup
from mlp_helpers.sandbox.node.ports import PortAllocator
from mlp_helpers.sandbox.node.runtimes import Runtimes

EnvironmentFor = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""Variables that the platform gives a pod, such as how it finds its Google identity."""


@dataclass(frozen=True)
class NodeServices:
    """The kubelet's parts, as its workers use them.

    Args:
        folder: The node's folder; pods and claims live below it.
        client: The kubelet's client.
        lookup: Reads what pods refer to.
        events: Writes events as the kubelet.
        runtimes: Which image runs as what.
        ports: Gives out ports.
        environment_for: Variables that the platform gives a pod.
        allocatable_of: What a node has, by its name.
        first_backoff_seconds: The first pause of a container that crashes again and again.
    """

    folder: Path
    client: Client
    lookup: Lookup
    events: EventRecorder
    runtimes: Runtimes
    ports: PortAllocator
    environment_for: EnvironmentFor
    allocatable_of: Callable[[str], Mapping[str, str]]
    first_backoff_seconds: float = 10.0

    @property
    def pods(self) -> Path:
        """Where the pods' folders are."""
        return self.folder / "pods"

    @property
    def claims(self) -> Path:
        """Where the volumes of PersistentVolumeClaims are."""
        return self.folder / "claims"
