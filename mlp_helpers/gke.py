"""Clusters and node pools, as GKE tells of them."""

from __future__ import annotations

from dataclasses import dataclass

from mlp_helpers.endpoints import Endpoints


@dataclass(frozen=True)
class NodePool:
    """A node pool.

    Args:
        nodes: Number of nodes now, over all zones.
        status: GKE's own word: RUNNING, PROVISIONING, …
    """

    name: str
    machine_type: str
    nodes: int
    status: str


@dataclass(frozen=True)
class ClusterInfo:
    """A cluster, as the console would show it."""

    name: str
    location: str
    status: str
    version: str
    is_private: bool
    node_pools: tuple[NodePool, ...]


def find_cluster(endpoints: Endpoints, *, project: str, location: str, name: str) -> ClusterInfo | None:
    """One cluster, or None where there is none of that name."""
    from google.api_core import exceptions

    try:
        found = endpoints.container().get_cluster(name=f"projects/{project}/locations/{location}/clusters/{name}")
    except exceptions.NotFound:
        return None
    pools = tuple(
        NodePool(
            pool.name,
            pool.config.machine_type,
            pool.initial_node_count * max(1, len(pool.locations or found.locations)),
            pool.status.name,
        )
        for pool in found.node_pools
    )
    return ClusterInfo(
        found.name,
        found.location,
        found.status.name,
        found.current_master_version,
        found.private_cluster_config.enable_private_nodes,
        pools,
    )
