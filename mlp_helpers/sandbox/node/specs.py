"""Nodes: what they are made of, and the objects that show them."""

from __future__ import annotations

import platform
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlp_helpers.sandbox.controllers.client import Object
from mlp_helpers.sandbox.controllers.conditions import condition, with_conditions

OURS = "sandbox.mlp/kubelet"
"""Annotation of the nodes that a kubelet of this package made, with the port it listens on."""


@dataclass(frozen=True)
class NodeSpec:
    """One machine of a node pool, as the cluster sees it.

    Args:
        name: Its name.
        labels: Labels, such as the node pool, the zone and the machine type.
        taints: Taints, as a node's spec carries them.
        allocatable: What pods may ask for: cpu, memory, pods, nvidia.com/gpu, ...
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)


def node_labels(spec: NodeSpec) -> dict[str, str]:
    """The labels that every node has, and its own."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    return {
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        **spec.labels,
    }


def node_object(spec: NodeSpec, *, port: int) -> Object:
    """The Node without its status."""
    taints = [dict(taint) for taint in spec.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.name, "labels": node_labels(spec), "annotations": {OURS: str(port)}},
        "spec": {"taints": taints} if taints else {},
    }


def node_status(spec: NodeSpec, *, port: int, version: str, before: Object, now: str) -> Object:
    """The status of a node that is well.

    Args:
        spec: The node.
        port: Where its kubelet listens.
        version: The cluster's version, as the API server says it.
        before: The status so far.
        now: The time.
    """
    allocatable = {"pods": "110", **spec.allocatable}
    well = [
        condition("MemoryPressure", False, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", False, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", False, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", True, "KubeletReady", "kubelet is posting ready status"),
    ]
    conditions = with_conditions(before.get("conditions"), well, now)
    return {
        "capacity": allocatable,
        "allocatable": allocatable,
        "conditions": [{**entry, "lastHeartbeatTime": now} for entry in conditions],
        "addresses": [
            {"type": "InternalIP", "address": "127.0.0.1"},
            {"type": "Hostname", "address": spec.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {
            "architecture": node_labels(spec)["kubernetes.io/arch"],
            "bootID": "",
            "containerRuntimeVersion": f"process://{platform.python_version()}",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": version,
            "kubeletVersion": version,
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": f"MLP sandbox on {socket.gethostname()} ({platform.system()})",
            "systemUUID": "",
        },
    }
