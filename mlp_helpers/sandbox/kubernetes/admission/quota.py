"""ResourceQuotas: what an object uses, whether a namespace may use so much, and keeping the account."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from mlp_helpers.sandbox.kubernetes import quantity
from mlp_helpers.sandbox.kubernetes.admission.request import AdmissionRequest, Storage, refusal
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry
from mlp_helpers.sandbox.kubernetes.pod_defaults import containers_of

__all__ = ["charge", "check_quota", "usage_of", "used_in"]

Object = dict[str, Any]
Amounts = dict[str, str]

_QUOTAS = "resourcequotas"
_COUNTED_BY_NAME = frozenset(
    ["configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services"]
)
_ASKED_OF_EACH_CONTAINER = ("cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory")


def usage_of(kind: Kind, obj: Object | None) -> Amounts:
    """What one object uses, by the names that quotas have for it."""
    if obj is None:
        return {}
    counted = f"count/{kind.resource}"
    usage = {counted: "1"}
    if kind.resource == "pods":
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return {counted: "1"}  # a pod that has ended is still an object, and uses nothing else
        usage |= _pod_usage(obj)
    elif kind.resource == "services":
        usage |= _service_usage(obj)
    elif kind.resource == "persistentvolumeclaims":
        usage |= _claim_usage(obj)
    if not kind.group and kind.plural in _COUNTED_BY_NAME:
        usage[kind.plural] = "1"
    return usage


def _pod_usage(pod: Object) -> Amounts:
    spec = pod.get("spec") or {}
    usage: Amounts = {}
    for part in ("requests", "limits"):
        for name, amount in _pod_amounts(spec, part).items():
            usage[f"{part}.{name}"] = amount
            if part == "requests" and "/" not in name:
                usage[name] = amount
    return usage


def _pod_amounts(spec: Object, part: str) -> Amounts:
    """Containers and sidecars run together; each other init container runs alone, before them."""
    together: Amounts = {}
    alone: Amounts = {}
    for field, _, container in containers_of(spec):
        amounts = (container.get("resources") or {}).get(part) or {}
        if field == "initContainers" and container.get("restartPolicy") != "Always":
            for name, amount in amounts.items():
                if quantity.parse(amount) > quantity.parse(alone.get(name, "0")):
                    alone[name] = str(amount)
        else:
            together = _sum(together, amounts)
    for name, amount in alone.items():
        if quantity.parse(amount) > quantity.parse(together.get(name, "0")):
            together[name] = amount
    return _sum(together, spec.get("overhead") or {}) if part == "requests" else together


def _service_usage(service: Object) -> Amounts:
    spec = service.get("spec") or {}
    kind, ports = spec.get("type"), str(len(spec.get("ports") or ()))
    if kind == "NodePort":
        return {"services.nodeports": ports}
    if kind == "LoadBalancer":
        node_ports = ports if spec.get("allocateLoadBalancerNodePorts") is not False else "0"
        return {"services.loadbalancers": "1", "services.nodeports": node_ports}
    return {}


def _claim_usage(claim: Object) -> Amounts:
    spec = claim.get("spec") or {}
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
    usage = {"requests.storage": str(size)}
    if spec.get("storageClassName"):
        prefix = f"{spec['storageClassName']}.storageclass.storage.k8s.io"
        usage |= {f"{prefix}/requests.storage": str(size), f"{prefix}/persistentvolumeclaims": "1"}
    return usage


def _sum(one: Mapping[str, Any], other: Mapping[str, Any], *, subtract: bool = False) -> Amounts:
    return {
        name: quantity.add(one.get(name, "0"), other.get(name, "0"), subtract=subtract) for name in {**one, **other}
    }


def used_in(namespace: str, quota: Object, storage: Storage, registry: Registry) -> Amounts:
    """What the objects of a namespace use of a quota, counted anew."""
    hard = (quota.get("spec") or {}).get("hard") or {}
    used = dict.fromkeys(hard, "0")
    for kind in _counted_kinds(hard, registry):
        for obj in storage.list(kind.storage_key, namespace):
            if _applies(quota, kind, obj):
                usage = usage_of(kind, obj)
                used = _sum(used, {name: usage[name] for name in hard if name in usage})
    return used


def _counted_kinds(hard: Iterable[str], registry: Registry) -> list[Kind]:
    names = set()
    for name in hard:
        if name.startswith("count/"):
            names.add(name.removeprefix("count/"))
        elif name in _COUNTED_BY_NAME:
            names.add(name)
        elif name.startswith("services."):
            names.add("services")
        elif name.endswith(("requests.storage", "/persistentvolumeclaims")):
            names.add("persistentvolumeclaims")
        else:
            names.add("pods")
    return [kind for name in sorted(names) if (kind := registry.by_resource(name))]


def check_quota(request: AdmissionRequest, storage: Storage, registry: Registry) -> None:
    """Refuse what a quota of the namespace does not leave room for.

    Raises:
        ApiError: 403 of the first quota that is exceeded, or that asks for requests or limits that are missing.
    """
    for quota, delta in _concerned(request, storage):
        name = quota["metadata"]["name"]
        missing = _missing(request, quota)
        if missing:
            raise refusal(request, f"failed quota: {name}: must specify {missing}")
        hard, used = _account(request.namespace, quota, storage, registry)
        over = [
            one
            for one in sorted(delta)
            if quantity.parse(delta[one]) > 0 and _total(used, delta, one) > quantity.parse(hard[one])
        ]
        if over:
            shown = (("requested", delta), ("used", used), ("limited", hard))
            parts = [f"{label}: {','.join(f'{one}={amounts.get(one, 0)}' for one in over)}" for label, amounts in shown]
            raise refusal(request, f"exceeded quota: {name}, {', '.join(parts)}")


def charge(request: AdmissionRequest, storage: Storage, registry: Registry) -> None:
    """Enter a write or deletion into the quotas' accounts; to be called in the transaction that makes it."""
    for quota, delta in _concerned(request, storage):
        hard, used = _account(request.namespace, quota, storage, registry)
        changed = copy.deepcopy(quota)
        changed["status"] = {"hard": hard, "used": {name: _sum(used, delta)[name] for name in used}}
        if changed["status"] != quota.get("status"):
            storage.write("MODIFIED", _QUOTAS, changed, quota)


def _concerned(request: AdmissionRequest, storage: Storage) -> list[tuple[Object, Amounts]]:
    """The quotas that a write concerns, each with what it adds to their accounts."""
    if not request.kind.namespaced or (request.kind.resource == _QUOTAS and request.operation == "UPDATE"):
        return []
    concerned = []
    for quota in storage.list(_QUOTAS, request.namespace):
        hard = (quota.get("spec") or {}).get("hard") or {}
        before, after = (
            usage_of(request.kind, obj) if obj is not None and _applies(quota, request.kind, obj) else {}
            for obj in (request.old, request.obj if request.operation != "DELETE" else None)
        )
        delta = _sum(after, before, subtract=True)
        delta = {name: amount for name, amount in delta.items() if name in hard and quantity.parse(amount) != 0}
        needs_check = request.creates("pods") and _applies(quota, request.kind, request.obj or {})
        if delta or (needs_check and set(hard) & set(_ASKED_OF_EACH_CONTAINER)):
            concerned.append((quota, delta))
    return concerned


def _account(namespace: str, quota: Object, storage: Storage, registry: Registry) -> tuple[Amounts, Amounts]:
    """Hard and used amounts. Until the quota's controller has counted for the first time they are counted here."""
    status, hard = quota.get("status") or {}, dict((quota.get("spec") or {}).get("hard") or {})
    used = status.get("used")
    if used is None or set(used) != set(hard):
        used = used_in(namespace, quota, storage, registry)
    return hard, dict(used)


def _total(used: Amounts, delta: Amounts, name: str) -> Decimal:
    return quantity.parse(used.get(name, "0")) + quantity.parse(delta[name])


def _missing(request: AdmissionRequest, quota: Object) -> str:
    """The amounts that containers must state because the quota limits them: `limits.cpu for: a,b; requests.cpu for:"
    " a`."""
    if not request.creates("pods") or request.obj is None:
        return ""
    hard = (quota.get("spec") or {}).get("hard") or {}
    found = []
    for name in sorted(set(hard) & set(_ASKED_OF_EACH_CONTAINER)):
        part, _, resource = name.rpartition(".")
        silent = [
            container["name"]
            for field, _, container in containers_of(request.obj.get("spec") or {})
            if field != "ephemeralContainers"
            and resource not in ((container.get("resources") or {}).get(part or "requests") or {})
        ]
        if silent:
            found.append(f"{name} for: {','.join(sorted(silent))}")
    return "; ".join(found)


def _applies(quota: Object, kind: Kind, obj: Object) -> bool:
    """Whether an object is within the quota's scopes; a quota with scopes counts only pods."""
    spec = quota.get("spec") or {}
    expressions = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    expressions += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not expressions:
        return True
    return kind.resource == "pods" and all(_in_scope(one, obj.get("spec") or {}) for one in expressions)


def _in_scope(expression: Object, spec: Object) -> bool:
    asks = any(
        (one.get("resources") or {}).get(part) for _, _, one in containers_of(spec) for part in ("requests", "limits")
    )
    match expression["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return not asks
        case "NotBestEffort":
            return asks
        case "PriorityClass":
            name, values = spec.get("priorityClassName", ""), expression.get("values") or ()
            wanted = {"In": name in values, "NotIn": name not in values, "Exists": bool(name), "DoesNotExist": not name}
            return wanted.get(expression.get("operator", "Exists"), False)
    return False
