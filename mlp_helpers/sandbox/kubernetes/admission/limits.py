"""LimitRanges: what containers, pods and volume claims get by default, and the least and most they may ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from mlp_helpers.sandbox.kubernetes import quantity
from mlp_helpers.sandbox.kubernetes.admission.request import AdmissionRequest, Storage, refusal

__all__ = ["apply_limit_defaults", "check_limits"]

Object = dict[str, Any]
Amounts = Mapping[str, Any]

_ANNOTATION = "kubernetes.io/limit-ranger"


def _items(request: AdmissionRequest, storage: Storage, kind: str) -> list[Object]:
    ranges = storage.list("limitranges", request.namespace)
    items = [item for one in ranges for item in (one.get("spec") or {}).get("limits") or ()]
    return [item for item in items if item.get("type") == kind]


def _containers(pod: Object) -> Iterator[tuple[str, Object]]:
    spec = pod.get("spec") or {}
    yield from (("container", one) for one in spec.get("containers") or ())
    yield from (("init container", one) for one in spec.get("initContainers") or ())


def apply_limit_defaults(request: AdmissionRequest, storage: Storage) -> None:
    """Fill in requests and limits that a new pod leaves out, and note it in an annotation."""
    if not request.creates("pods") or request.obj is None:
        return
    requests: Object = {}
    limits: Object = {}
    for item in _items(request, storage, "Container"):
        requests |= item.get("defaultRequest") or {}
        limits |= item.get("default") or {}
    notes = []
    for label, container in _containers(request.obj):
        for part, amounts in (("requests", requests), ("limits", limits)):
            given = container.setdefault("resources", {}).get(part) or {}
            added = {name: amount for name, amount in amounts.items() if name not in given}
            if added:
                container["resources"][part] = {**given, **added}
                notes.append(f"{', '.join(sorted(added))} {part[:-1]} for {label} {container['name']}")
    if notes:
        annotations = request.obj["metadata"].setdefault("annotations", {})
        annotations[_ANNOTATION] = f"LimitRanger plugin set: {'; '.join(notes)}"


def check_limits(request: AdmissionRequest, storage: Storage) -> None:
    """Refuse a pod or claim outside the limits of its namespace.

    Raises:
        ApiError: 403 with every limit that is not kept.
    """
    if request.obj is None or not request.creates("pods", "persistentvolumeclaims"):
        return
    problems: list[str] = []
    if request.kind.resource == "persistentvolumeclaims":
        asked = ((request.obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
        for item in _items(request, storage, "PersistentVolumeClaim"):
            problems += _check(item, "PersistentVolumeClaim", asked, asked)
    else:
        containers = [one.get("resources") or {} for _, one in _containers(request.obj)]
        for item in _items(request, storage, "Container"):
            for one in containers:
                problems += _check(item, "Container", one.get("requests") or {}, one.get("limits") or {})
        main = [one.get("resources") or {} for one in (request.obj.get("spec") or {}).get("containers") or ()]
        for item in _items(request, storage, "Pod"):
            problems += _check(item, "Pod", _total(main, "requests"), _total(main, "limits"))
    if problems:
        raise refusal(request, problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def _total(resources: Iterable[Object], part: str) -> Object:
    total: Object = {}
    for one in resources:
        for name, amount in (one.get(part) or {}).items():
            total[name] = quantity.add(total.get(name, "0"), amount)
    return total


def _check(item: Object, kind: str, requests: Amounts, limits: Amounts) -> list[str]:
    problems = []
    for name, least in (item.get("min") or {}).items():
        begin = f"minimum {name} usage per {kind} is {least}"
        if name not in requests:
            problems.append(f"{begin}.  No request is specified")
        elif _amount(requests, name) < quantity.parse(least):
            problems.append(f"{begin}, but request is {requests[name]}")
        elif name in limits and _amount(limits, name) < quantity.parse(least):
            problems.append(f"{begin}, but limit is {limits[name]}")
    for name, most in (item.get("max") or {}).items():
        begin = f"maximum {name} usage per {kind} is {most}"
        if name not in limits:
            problems.append(f"{begin}.  No limit is specified")
        elif _amount(limits, name) > quantity.parse(most):
            problems.append(f"{begin}, but limit is {limits[name]}")
        elif name in requests and _amount(requests, name) > quantity.parse(most):
            problems.append(f"{begin}, but request is {requests[name]}")
    return problems + _check_ratio(item, kind, requests, limits)


def _check_ratio(item: Object, kind: str, requests: Amounts, limits: Amounts) -> list[str]:
    problems = []
    for name, most in (item.get("maxLimitRequestRatio") or {}).items():
        begin = f"{name} max limit to request ratio per {kind} is {most}"
        if name not in requests or _amount(requests, name) == 0:
            problems.append(f"{begin}, but no request is specified or request is 0.")
        elif name not in limits or _amount(limits, name) == 0:
            problems.append(f"{begin}, but no limit is specified or limit is 0.")
        elif (ratio := _amount(limits, name) / _amount(requests, name)) > quantity.parse(most):
            problems.append(f"{begin}, but provided ratio is {ratio:f}")
    return problems


def _amount(amounts: Amounts, name: str) -> Decimal:
    return quantity.parse(amounts[name])
