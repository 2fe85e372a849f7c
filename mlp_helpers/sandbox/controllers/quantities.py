"""Quantities such as `500m` and `1Gi`: exact arithmetic, and the canonical text of the sums."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal

Resources = dict[str, Decimal]
"""Amounts by resource name: `cpu`, `memory`, `nvidia.com/gpu`, ..."""

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}

_QUANTITY = re.compile(r"(?P<number>[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)(?P<suffix>[KMGTPE]i|[numkMGTPE])?")


def parse_quantity(text: str | int | float) -> Decimal:
    """The amount that a quantity stands for.

    Raises:
        ValueError: It is not a quantity.
    """
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"not a quantity: {text!r}")
    number, suffix = Decimal(found["number"]), found["suffix"] or ""
    return number * _BINARY[suffix] if suffix in _BINARY else number.scaleb(_DECIMAL[suffix])


def format_quantity(amount: Decimal, resource: str) -> str:
    """The canonical text of an amount: cores with `m` if needed, memory and storage in binary units where exact."""
    if amount == amount.to_integral_value():
        whole = int(amount)
        if resource.endswith(("memory", "storage")):
            for suffix, size in reversed(_BINARY.items()):
                if whole and whole % size == 0:
                    return f"{whole // size}{suffix}"
        return str(whole)
    return f"{int((amount * 1000).to_integral_value(ROUND_CEILING))}m"


def add(sums: Resources, more: Mapping[str, str | int | Decimal]) -> Resources:
    """The sum of amounts and quantities, resource by resource."""
    result = dict(sums)
    for name, quantity in more.items():
        amount = quantity if isinstance(quantity, Decimal) else parse_quantity(quantity)
        result[name] = result.get(name, Decimal(0)) + amount
    return result


def total(parts: Iterable[Mapping[str, str | int | Decimal]]) -> Resources:
    """The sum of many."""
    sums: Resources = {}
    for part in parts:
        sums = add(sums, part)
    return sums


def pod_resources(spec: Mapping[str, object], which: str) -> Resources:
    """What a pod asks for (`requests`) or may use (`limits`): its containers' sum, or the largest init container."""
    containers, first = _amounts(spec.get("containers"), which), _amounts(spec.get("initContainers"), which)
    asked = total(containers)
    for init in first:
        for name, amount in init.items():
            asked[name] = max(asked.get(name, Decimal(0)), amount)
    overhead = spec.get("overhead")
    return add(asked, overhead) if isinstance(overhead, Mapping) else asked


def _amounts(containers: object, which: str) -> list[Resources]:
    found = []
    for container in containers if isinstance(containers, list) else []:
        resources = container.get("resources") or {}
        # A limit without a request is a request, too.
        asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        found.append(add({}, asked if which == "requests" else resources.get("limits") or {}))
    return found
