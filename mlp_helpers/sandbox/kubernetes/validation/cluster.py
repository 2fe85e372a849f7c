"""Validation of network policies, priority and storage classes, disruption budgets and autoscalers."""

from __future__ import annotations

import ipaddress
from typing import Any

from mlp_helpers.sandbox.kubernetes.validation.pods import check_port
from mlp_helpers.sandbox.kubernetes.validation.problems import Problem, forbidden, invalid, not_supported, required
from mlp_helpers.sandbox.kubernetes.validation.workloads import check_selector

__all__ = [
    "check_autoscaler",
    "check_disruption_budget",
    "check_network_policy",
    "check_priority_class",
    "check_priority_class_update",
    "check_storage_class",
    "check_storage_class_update",
]

Object = dict[str, Any]

_HIGHEST_PRIORITY = 1_000_000_000
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_IMMUTABLE = "field is immutable"


def check_network_policy(obj: Object) -> list[Problem]:
    """Selectors, peers and ports of a network policy."""
    spec = obj.get("spec") or {}
    problems = check_selector(spec.get("podSelector") or {}, "spec.podSelector")
    for number, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Egress", "Ingress"):
            problems.append(not_supported(f"spec.policyTypes[{number}]", kind, ["Egress", "Ingress"]))
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{number}]"
            for place, port in enumerate(rule.get("ports") or ()):
                problems += _check_policy_port(port, f"{path}.ports[{place}]")
            for place, peer in enumerate(rule.get(side) or ()):
                problems += _check_peer(peer, f"{path}.{side}[{place}]")
    return problems


def _check_policy_port(port: Object, path: str) -> list[Problem]:
    problems = []
    if port.get("protocol") not in (None, "SCTP", "TCP", "UDP"):
        problems.append(not_supported(f"{path}.protocol", port["protocol"], ["SCTP", "TCP", "UDP"]))
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, int):
        problems += check_port(f"{path}.port", number)
    if end is not None and isinstance(number, int) and end < number:
        problems.append(invalid(f"{path}.endPort", end, "must be greater than or equal to `port`"))
    elif end is not None and not isinstance(number, int):
        problems.append(
            invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified or non-numeric")
        )
    return problems


def _check_peer(peer: Object, path: str) -> list[Problem]:
    selectors = [name for name in ("podSelector", "namespaceSelector") if peer.get(name) is not None]
    block = peer.get("ipBlock")
    if not selectors and block is None:
        return [required(path, "must specify a peer")]
    if selectors and block is not None:
        return [forbidden(path, "may not specify both ipBlock and another peer")]
    problems = [found for name in selectors for found in check_selector(peer[name], f"{path}.{name}")]
    return problems + (_check_block(block, f"{path}.ipBlock") if block is not None else [])


def _check_block(block: Object, path: str) -> list[Problem]:
    words = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
    if not block.get("cidr"):
        return [required(f"{path}.cidr")]
    outer = _network(block["cidr"])
    if outer is None:
        return [invalid(f"{path}.cidr", block["cidr"], words)]
    problems = []
    for number, text in enumerate(block.get("except") or ()):
        inner = _network(text)
        if inner is None:
            problems.append(invalid(f"{path}.except[{number}]", text, words))
        elif inner.version != outer.version or inner == outer or not _is_within(inner, outer):
            problems.append(invalid(f"{path}.except[{number}]", text, "must be a strict subset of `cidr`"))
    return problems


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _is_within(inner: _Network, outer: _Network) -> bool:
    return inner.network_address in outer and inner.broadcast_address in outer


def check_priority_class(obj: Object) -> list[Problem]:
    """Name and value of a priority class; those of the system are reserved."""
    name, value = obj["metadata"].get("name", ""), obj.get("value") or 0
    if _SYSTEM_PRIORITIES.get(name) == value:
        return []
    problems = []
    if name.startswith("system-"):
        words = "priority class names with 'system-' prefix are reserved for system use only"
        problems.append(forbidden("metadata.name", words))
    if value > _HIGHEST_PRIORITY:
        words = f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}"
        problems.append(forbidden("value", words))
    if obj.get("preemptionPolicy") not in ("Never", "PreemptLowerPriority"):
        supported = ["Never", "PreemptLowerPriority"]
        problems.append(not_supported("preemptionPolicy", obj.get("preemptionPolicy", ""), supported))
    return problems


def check_priority_class_update(old: Object, new: Object) -> list[Problem]:
    """A priority class keeps its value."""
    problems = []
    if (old.get("value") or 0) != (new.get("value") or 0):
        problems.append(forbidden("value", "may not be changed in an update."))
    if old.get("preemptionPolicy") != new.get("preemptionPolicy"):
        problems.append(invalid("preemptionPolicy", new.get("preemptionPolicy"), _IMMUTABLE))
    return problems


def check_storage_class(obj: Object) -> list[Problem]:
    """Provisioner and policies of a storage class."""
    problems = [] if obj.get("provisioner") else [required("provisioner")]
    for field, supported in (
        ("reclaimPolicy", ["Delete", "Retain"]),
        ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"]),
    ):
        if obj.get(field) not in supported:
            problems.append(not_supported(field, obj.get(field, ""), supported))
    return problems


def check_storage_class_update(old: Object, new: Object) -> list[Problem]:
    """What a storage class makes stays the same."""
    words = "updates to {} are forbidden."
    return [
        forbidden(field, words.format(field))
        for field in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
        if (old.get(field) or None) != (new.get(field) or None)
    ]


def check_disruption_budget(obj: Object) -> list[Problem]:
    """The one number of a disruption budget."""
    spec = obj.get("spec") or {}
    problems = check_selector(spec.get("selector") or {}, "spec.selector")
    given = [field for field in ("minAvailable", "maxUnavailable") if spec.get(field) is not None]
    if len(given) > 1:
        shown = {field: spec[field] for field in given}
        problems.append(invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
    for field in given:
        value = spec[field]
        if isinstance(value, int) and value < 0:
            problems.append(invalid(f"spec.{field}", value, "must be greater than or equal to 0"))
        elif isinstance(value, str) and not (value.endswith("%") and value[:-1].isdigit()):
            words = "a valid percent string must be a numeric string followed by an ending '%'"
            problems.append(
                invalid(
                    f"spec.{field}", value, f"{words} (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
                )
            )
    return problems


def check_autoscaler(obj: Object) -> list[Problem]:
    """Bounds and target of an autoscaler."""
    spec = obj.get("spec") or {}
    lowest, highest = spec.get("minReplicas", 1), spec.get("maxReplicas") or 0
    problems = []
    if lowest < 1:
        problems.append(invalid("spec.minReplicas", lowest, "must be greater than or equal to 1"))
    if highest < 1:
        problems.append(invalid("spec.maxReplicas", highest, "must be greater than 0"))
    elif highest < lowest:
        problems.append(invalid("spec.maxReplicas", highest, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    return problems + [required(f"spec.scaleTargetRef.{field}") for field in ("kind", "name") if not target.get(field)]
