"""Cluster addresses and node ports of Services: given out once each, by looking at those in use."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterable
from typing import Any

from mlp_helpers.sandbox.kubernetes.errors import cause, invalid

__all__ = ["allocate"]

Object = dict[str, Any]

SERVICE_RANGE = ipaddress.IPv4Network("10.96.0.0/16")
NODE_PORTS = range(30000, 32768)
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


def allocate(service: Object, services: Callable[[], Iterable[Object]]) -> None:
    """Give a service what it needs of addresses and node ports.

    Args:
        service: Is changed.
        services: All services of the cluster.

    Raises:
        ApiError: 422 for an address or port that is taken or out of range.
    """
    spec = service["spec"]
    name = service["metadata"]["name"]
    if spec.get("type") == "ExternalName":
        return
    others = [one for one in services() if one["metadata"].get("uid") != service["metadata"].get("uid")]
    _give_address(spec, name, {one["spec"].get("clusterIP") for one in others})
    if spec.get("type") in _WITH_NODE_PORTS and spec.get("allocateLoadBalancerNodePorts") is not False:
        taken = {port.get("nodePort") for one in others for port in one["spec"].get("ports") or ()}
        _give_node_ports(spec, name, taken)


def _give_address(spec: Object, name: str, taken: set[Any]) -> None:
    address = spec.get("clusterIP")
    if not address:
        size = SERVICE_RANGE.num_addresses
        address = next(
            one for one in (str(SERVICE_RANGE[random.randrange(2, size - 1)]) for _ in range(size)) if one not in taken
        )
    elif address != "None":
        if ipaddress.ip_address(address) not in SERVICE_RANGE:
            why = f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range."
            raise _refused(
                name, "spec.clusterIPs", f'["{address}"]', f"{why} The range of valid IPs is {SERVICE_RANGE}"
            )
        if address in taken:
            why = f"failed to allocate IP {address}: provided IP is already allocated"
            raise _refused(name, "spec.clusterIPs", f'["{address}"]', why)
    spec["clusterIP"] = address
    spec.setdefault("clusterIPs", [address])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _give_node_ports(spec: Object, name: str, taken: set[Any]) -> None:
    for index, port in enumerate(spec.get("ports") or ()):
        wanted = port.get("nodePort")
        if not wanted:
            port["nodePort"] = wanted = random.choice([one for one in NODE_PORTS if one not in taken])
        elif wanted in taken:
            raise _refused(name, f"spec.ports[{index}].nodePort", wanted, "provided port is already allocated")
        taken.add(wanted)


def _refused(name: str, field: str, value: Any, why: str) -> Exception:
    return invalid("Service", "", name, [cause("FieldValueInvalid", field, f"Invalid value: {value}: {why}")])
