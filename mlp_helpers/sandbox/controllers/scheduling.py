"""Which node a pod fits, and in the scheduler's words why not; decisions only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mlp_helpers.sandbox.controllers.quantities import Resources, add, pod_resources
from mlp_helpers.sandbox.controllers.selectors import matches_any_term

_HARD = ("NoSchedule", "NoExecute")


@dataclass(frozen=True)
class Refusal:
    """Why one node does not take a pod; preemption could help only against a lack of resources."""

    reason: str
    is_lack: bool = False


def requests_of(pod: Mapping[str, Any]) -> Resources:
    """What a pod takes of a node."""
    return add(pod_resources(pod["spec"], "requests"), {"pods": 1})


def counts(pod: Mapping[str, Any]) -> bool:
    """Whether a pod still takes resources."""
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def refusals(pod: Mapping[str, Any], node: Mapping[str, Any], used: Resources) -> list[Refusal]:
    """Why a node cannot take a pod: the first filter's reasons, as the real scheduler stops there; empty if it can."""
    spec, node_spec = pod["spec"], node.get("spec") or {}
    tolerations = spec.get("tolerations") or []
    if node_spec.get("unschedulable") and not _tolerates(
        tolerations, {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    ):
        return [Refusal("node(s) were unschedulable")]
    for taint in node_spec.get("taints") or []:
        if taint["effect"] in _HARD and not _tolerates(tolerations, taint):
            return [Refusal(f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}")]
    if not _selected(spec, node["metadata"]):
        return [Refusal("node(s) didn't match Pod's node affinity/selector")]
    return _lacks(requests_of(pod), (node.get("status") or {}).get("allocatable") or {}, used)


def _lacks(wanted: Resources, allocatable: Mapping[str, str], used: Resources) -> list[Refusal]:
    free = add({}, allocatable)
    lacking = [
        name for name, amount in wanted.items() if amount and amount > free.get(name, Decimal(0)) - used.get(name, 0)
    ]
    return [Refusal("Too many pods" if name == "pods" else f"Insufficient {name}", is_lack=True) for name in lacking]


def _selected(spec: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    labels = metadata.get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or matches_any_term(
        required["nodeSelectorTerms"], labels, {"metadata.name": metadata["name"]}
    )


def _tolerates(tolerations: Sequence[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint["effect"]):
            continue
        if toleration.get("operator") == "Exists":
            if toleration.get("key") in (None, "", taint["key"]):
                return True
        elif toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def best(nodes: Iterable[Mapping[str, Any]], used: Mapping[str, Resources]) -> Mapping[str, Any]:
    """Of the nodes that fit, the one with the largest part of its processors and memory free."""

    def free(node: Mapping[str, Any]) -> tuple[Decimal, str]:
        allocatable = add({}, node["status"]["allocatable"])
        taken = used.get(node["metadata"]["name"], {})
        parts = [
            1 - taken.get(name, Decimal(0)) / allocatable[name] for name in ("cpu", "memory") if allocatable.get(name)
        ]
        return -sum(parts, Decimal(0)), node["metadata"]["name"]

    return min(nodes, key=free)


def explain(by_node: Mapping[str, Sequence[Refusal]]) -> str:
    """The message of an unschedulable pod."""
    if not by_node:
        return "no nodes available to schedule pods"
    head = f"0/{len(by_node)} nodes are available"
    reasons = Counter(refusal.reason for found in by_node.values() for refusal in found)
    helped = Counter(
        "No preemption victims found for incoming pod"
        if all(refusal.is_lack for refusal in found)
        else "Preemption is not helpful for scheduling"
        for found in by_node.values()
    )
    return f"{head}: {_tally(reasons)}. preemption: {head}: {_tally(helped)}."


def _tally(reasons: Counter[str]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
