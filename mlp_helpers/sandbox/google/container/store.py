"""Clusters and their node pools, as they are read back; no protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.cloud import container_v1

from mlp_helpers.sandbox.google.clusters import ClusterSpec, NodePoolSpec
from mlp_helpers.sandbox.google.container import errors
from mlp_helpers.sandbox.google.container.defaults import etag, short_hash
from mlp_helpers.sandbox.google.container.rpcs import normalized
from mlp_helpers.sandbox.google.documents import Documents

Json = dict[str, Any]

_COLLECTION = "clusters"
_CLUSTER_MESSAGE = type(container_v1.Cluster.pb(container_v1.Cluster()))
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "PREFER_NO_SCHEDULE": "PreferNoSchedule", "NO_EXECUTE": "NoExecute"}
_GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


class ContainerStore:
    """Clusters by name, `projects/P/locations/L/clusters/C`; node pools are kept inside."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def find(self, name: str) -> Json | None:
        """A cluster, or None."""
        return self._documents.get(_COLLECTION, name)

    def get(self, name: str) -> Json:
        """A cluster, or the service's refusal."""
        found = self.find(name)
        if found is None:
            raise errors.not_found(name)
        return found

    def pool(self, name: str) -> Json:
        """A node pool by its full name."""
        cluster, _, pool = name.partition("/nodePools/")
        for found in self.get(cluster).get("nodePools") or ():
            if found["name"] == pool:
                return dict(found)
        raise errors.not_found(name)

    def within(self, project: str, location: str) -> list[Json]:
        """The clusters of a location; `-` stands for all."""
        place = "" if location == "-" else f"{location}/"
        return [cluster for _, cluster in self._documents.list(_COLLECTION, f"projects/{project}/locations/{place}")]

    def write(self, name: str, cluster: Json) -> Json:
        """Write a cluster, in the one form in which JSON is kept, with what follows from its parts."""
        pools = [{**pool, "etag": etag(pool)} for pool in cluster.get("nodePools") or ()]
        groups = [url for pool in pools for url in pool.get("instanceGroupUrls") or ()]
        whole = {
            **cluster,
            "nodePools": pools,
            "instanceGroupUrls": groups,
            "currentNodeCount": sum(nodes_of(pool) for pool in pools if pool.get("status") != "PROVISIONING"),
            "labelFingerprint": short_hash(str(sorted((cluster.get("resourceLabels") or {}).items()))),
        }
        if pools:
            whole["currentNodeVersion"] = pools[0]["version"]
        kept = normalized(whole, _CLUSTER_MESSAGE)
        kept["etag"] = etag(kept)
        self._documents.put(_COLLECTION, name, kept)
        return kept

    def change(self, name: str, /, **fields: Any) -> Json:
        """Change fields of a cluster."""
        return self.write(name, {**self.get(name), **fields})

    def change_pool(self, name: str, /, **fields: Any) -> Json:
        """Change fields of a node pool."""
        cluster, _, pool = name.partition("/nodePools/")
        found = self.get(cluster)
        pools = [{**each, **fields} if each["name"] == pool else each for each in found.get("nodePools") or ()]
        return self.write(cluster, {**found, "nodePools": pools})

    def remove_pool(self, name: str) -> None:
        """Forget a node pool."""
        cluster, _, pool = name.partition("/nodePools/")
        found = self.get(cluster)
        self.write(cluster, {**found, "nodePools": [each for each in found["nodePools"] if each["name"] != pool]})

    def delete(self, name: str) -> None:
        """Forget a cluster."""
        self._documents.delete(_COLLECTION, name)

    def size_of_group(self, path: str) -> int | None:
        """How many machines an instance group has; None for one that belongs to no node pool."""
        for _, cluster in self._documents.list(_COLLECTION):
            for pool in cluster.get("nodePools") or ():
                if any(url.endswith(path) for url in pool.get("instanceGroupUrls") or ()):
                    return int(pool.get("initialNodeCount", 0))
        return None

    def users_of(self, path: str) -> Iterator[str]:
        """The clusters in a network or subnetwork, for Compute Engine's "in use"."""
        for name, cluster in self._documents.list(_COLLECTION):
            if path in (cluster["networkConfig"]["network"], cluster["networkConfig"]["subnetwork"]):
                yield name


def nodes_of(pool: Mapping[str, Any]) -> int:
    """All machines of a pool."""
    return int(pool.get("initialNodeCount", 0)) * len(pool.get("locations") or ())


def spec_of(name: str, cluster: Json) -> ClusterSpec:
    """What the cluster host is asked for; pools that are coming or going are in it only when they have arrived."""
    pools = [pool for pool in cluster.get("nodePools") or () if pool.get("status") != "STOPPING"]
    return ClusterSpec(name, cluster["currentMasterVersion"], tuple(_pool_spec(pool) for pool in pools))


def _pool_spec(pool: Json) -> NodePoolSpec:
    config = pool.get("config") or {}
    return NodePoolSpec(
        name=pool["name"],
        node_count=int(pool.get("initialNodeCount", 0)),
        machine_type=config.get("machineType", "e2-medium"),
        zones=tuple(pool.get("locations") or ()),
        labels=_node_labels(pool["name"], config),
        taints=tuple(_node_taints(config)),
    )


def _node_labels(name: str, config: Json) -> dict[str, str]:
    """Labels that GKE puts on the nodes of a pool, and those that were asked for."""
    machine = str(config.get("machineType", "e2-medium"))
    labels = {
        "cloud.google.com/gke-nodepool": name,
        "cloud.google.com/gke-boot-disk": str(config.get("diskType", "pd-balanced")),
        "cloud.google.com/machine-family": machine.partition("-")[0],
        "cloud.google.com/gke-os-distribution": "ubuntu" if "UBUNTU" in config.get("imageType", "") else "cos",
    }
    for accelerator in config.get("accelerators") or ():
        labels["cloud.google.com/gke-accelerator"] = accelerator["acceleratorType"]
        labels["cloud.google.com/gke-accelerator-count"] = str(accelerator.get("acceleratorCount", 1))
    for field, label in (("spot", "gke-spot"), ("preemptible", "gke-preemptible"), ("flexStart", "gke-flex-start")):
        if config.get(field):
            labels[f"cloud.google.com/{label}"] = "true"
    return {**labels, **(config.get("labels") or {})}


def _node_taints(config: Json) -> Iterator[dict[str, str]]:
    for taint in config.get("taints") or ():
        effect = _EFFECTS.get(taint.get("effect", ""), "NoSchedule")
        yield {"key": taint.get("key", ""), "value": taint.get("value", ""), "effect": effect}
    if config.get("accelerators"):
        yield dict(_GPU_TAINT)  # GKE taints accelerator nodes by itself; the API does not show it
