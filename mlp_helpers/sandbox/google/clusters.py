"""What GKE and the fleet ask of whoever runs the clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlp_helpers.sandbox.identities import Identity


@dataclass(frozen=True)
class NodePoolSpec:
    """The machines of a pool; `node_count` is per zone."""

    name: str
    node_count: int
    machine_type: str
    zones: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class ClusterSpec:
    """A cluster as it should run; `name` is `projects/P/locations/L/clusters/C`."""

    name: str
    kubernetes_version: str
    node_pools: tuple[NodePoolSpec, ...] = ()


@dataclass(frozen=True)
class ClusterEndpoint:
    """Where a running cluster's API server is: `127.0.0.1:PORT`, and the certificate (PEM) that vouches for it."""

    address: str
    ca_certificate: str


class ClusterHost(Protocol):
    """Runs clusters."""

    async def ensure(self, cluster: ClusterSpec) -> ClusterEndpoint:
        """Make a cluster run as specified; a cluster that does already is left alone."""
        ...

    async def remove(self, name: str) -> None:
        """Stop a cluster and forget it; one that is gone already is fine."""
        ...

    async def configure_sync(self, name: str, config_management: Mapping[str, Any] | None) -> None:
        """Install Config Sync as the fleet's `configmanagement` spec says, or uninstall it (None)."""
        ...

    async def sync_state(self, name: str) -> Mapping[str, Any]:
        """The `configmanagement` state of a cluster as the fleet shows it."""
        ...

    def kubeconfig(self, name: str, *, identity: Identity, token: str) -> str:
        """A kubeconfig (YAML) with which an identity reaches a cluster."""
        ...
