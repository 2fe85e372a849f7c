"""What GKE refuses, judged against the request and the project's networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.google.compute.locations import REGIONS, region_of, zones_of
from mlp_helpers.sandbox.google.compute.rules import relative
from mlp_helpers.sandbox.google.compute.store import ComputeStore
from mlp_helpers.sandbox.google.container.errors import invalid

Json = dict[str, Any]
Network = ipaddress.IPv4Network

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?")
_AUTOMATIC_PODS, _AUTOMATIC_SERVICES = Network("10.100.0.0/14"), Network("34.118.224.0/20")
_MOST_NODES = 1000
_AUTOPILOT_REFUSES = ("nodePools", "nodeConfig", "networkPolicy")


@dataclass(frozen=True)
class Place:
    """Where a cluster is in the network: full paths, names of the secondary ranges, ranges."""

    network: str
    subnetwork: str
    pods_range: str
    services_range: str
    pods: Network
    services: Network


def check_location(location: str) -> None:
    """Refuse a place that is neither region nor zone."""
    if location not in REGIONS and not region_of(location):
        raise invalid(f"Location {location!r} does not exist.")


def check_name(kind: str, name: str) -> None:
    """Refuse a name that GKE refuses."""
    if not _NAME.fullmatch(name):
        raise invalid(f'Invalid value for field "{kind}.name": "{name}". Must be a match of regex \'{_NAME.pattern}\'.')


def check_new_cluster(asked: Json, *, project: str, location: str) -> None:
    """Refuse what GKE refuses of a new cluster, but for the network."""
    check_location(location)
    check_name("cluster", str(asked.get("name", "")))
    check_zones(asked.get("locations") or (), location)
    autopilot = bool(asked.get("autopilot", {}).get("enabled"))
    if autopilot:
        for field in _AUTOPILOT_REFUSES:
            if asked.get(field):
                raise invalid(f"Autopilot clusters do not accept cluster.{field}.")
        if location not in REGIONS:
            raise invalid("Autopilot clusters must be regional clusters.")
    elif not asked.get("nodePools") and int(asked.get("initialNodeCount", 0)) <= 0:
        raise invalid("Cluster.initial_node_count must be greater than zero.")
    if asked.get("nodePools") and asked.get("initialNodeCount"):
        raise invalid("Cluster.initial_node_count must not be set together with Cluster.node_pools.")
    _check_identity_pool(asked, project)
    names = [str(pool.get("name", "")) for pool in asked.get("nodePools") or ()]
    for pool in asked.get("nodePools") or ():
        check_new_pool(pool, location)
        if names.count(str(pool.get("name"))) > 1:
            raise invalid(f"Node pool name {pool['name']!r} is used more than once.")


def _check_identity_pool(asked: Json, project: str) -> None:
    pool = asked.get("workloadIdentityConfig", {}).get("workloadPool")
    if pool and pool != f"{project}.svc.id.goog":
        raise invalid(f"Workload pool must be {project}.svc.id.goog, not {pool}.")


def check_zones(zones: Iterable[str], location: str) -> None:
    """Refuse zones that are not in the cluster's region."""
    region = region_of(location)
    for zone in zones:
        if zone not in zones_of(region):
            raise invalid(f"Zone {zone!r} is not a zone of region {region!r}.")


def check_new_pool(asked: Json, location: str) -> None:
    """Refuse what GKE refuses of a new node pool."""
    check_name("node_pool", str(asked.get("name", "")))
    check_zones(asked.get("locations") or (), location)
    check_size(int(asked.get("initialNodeCount", 0)))
    check_autoscaling(asked.get("autoscaling") or {})
    check_upgrade(asked.get("upgradeSettings") or {})
    config = asked.get("config") or {}
    if config.get("spot") and config.get("preemptible"):
        raise invalid("Node pool cannot be both spot and preemptible.")
    if config.get("fastSocket", {}).get("enabled") and not config.get("gvnic", {}).get("enabled"):
        raise invalid("Fast Socket requires gVNIC to be enabled.")


def check_size(count: int) -> None:
    """Refuse a number of nodes that no pool has."""
    if not 0 <= count <= _MOST_NODES:
        raise invalid(f"Node count {count} is not between 0 and {_MOST_NODES}.")


def check_autoscaling(autoscaling: Mapping[str, Any]) -> None:
    """Refuse limits that contradict each other."""
    if not autoscaling.get("enabled"):
        return
    per_zone = (int(autoscaling.get("minNodeCount", 0)), int(autoscaling.get("maxNodeCount", 0)))
    total = (int(autoscaling.get("totalMinNodeCount", 0)), int(autoscaling.get("totalMaxNodeCount", 0)))
    if per_zone[1] and total[1]:
        raise invalid("Only one of max_node_count and total_max_node_count can be set.")
    least, most = total if total[1] else per_zone
    if most < 1:
        raise invalid("Autoscaling: the maximum number of nodes must be at least 1.")
    if least > most:
        raise invalid(f"Autoscaling: the minimum number of nodes ({least}) is greater than the maximum ({most}).")


def check_upgrade(settings: Mapping[str, Any]) -> None:
    """Refuse a surge upgrade that could never move."""
    surge, unavailable = settings.get("maxSurge"), settings.get("maxUnavailable")
    if settings.get("strategy", "SURGE") == "SURGE" and settings and not int(surge or 0) and not int(unavailable or 0):
        raise invalid("Upgrade settings: max_surge and max_unavailable cannot both be 0.")


def find_place(asked: Json, *, project: str, location: str, compute: ComputeStore) -> Place:
    """The network, subnetwork and ranges of a new cluster, or the refusal of what there is not."""
    network = _path(asked.get("network") or "default", f"projects/{project}/global/networks")
    if compute.find(network) is None:
        raise invalid(f'Project "{network.split("/")[1]}" has no network named "{network.rpartition("/")[2]}".')
    region = region_of(location)
    collection = f"projects/{project}/regions/{region}/subnetworks"
    subnetwork = _path(asked.get("subnetwork") or network.rpartition("/")[2], collection)
    found = compute.find(subnetwork)
    if found is None or relative(found["network"]) != network:
        short = subnetwork.rpartition("/")[2]
        raise invalid(f'Network "{network.rpartition("/")[2]}" has no subnetwork named "{short}" in region "{region}".')
    policy = asked.get("ipAllocationPolicy") or {}
    suffix = f"{asked['name']}"
    pods_range, pods = _range(policy, "cluster", "Pod", found, _AUTOMATIC_PODS, f"gke-{suffix}-pods")
    services_range, services = _range(
        policy, "services", "Services", found, _AUTOMATIC_SERVICES, f"gke-{suffix}-services"
    )
    return Place(network, subnetwork, pods_range, services_range, pods, services)


def _path(text: str, collection: str) -> str:
    return relative(text) if "/" in text else f"{collection}/{text}"


def _range(
    policy: Json, field: str, label: str, subnetwork: Json, automatic: Network, automatic_name: str
) -> tuple[str, Network]:
    """A named secondary range of the subnetwork, or one that GKE would choose."""
    name = policy.get(f"{field}SecondaryRangeName")
    if name:
        for entry in subnetwork.get("secondaryIpRanges") or ():
            if entry["rangeName"] == name:
                return str(name), Network(entry["ipCidrRange"])
        raise invalid(f'{label} secondary range "{name}" not found in subnet "{subnetwork["name"]}".')
    block = str(policy.get(f"{field}Ipv4CidrBlock") or policy.get(f"{field}Ipv4Cidr") or "")
    if block.startswith("/"):
        return automatic_name, Network((automatic.network_address, int(block[1:])))
    try:
        return automatic_name, Network(block) if block else automatic
    except ValueError:
        raise invalid(f"Invalid IPv4 CIDR block for {field}: {block!r}.") from None
