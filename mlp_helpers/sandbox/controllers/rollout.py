"""How a Deployment moves from old ReplicaSets to a new one; decisions only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from mlp_helpers.sandbox.controllers.client import Object

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words


def template_hash(template: Mapping[str, Any]) -> str:
    """A short name for a pod template."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:10])


def has_template(replica_set: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether a ReplicaSet runs this template; its own hash label aside."""
    own = replica_set["spec"]["template"]
    labels = {key: value for key, value in (own["metadata"].get("labels") or {}).items() if key != HASH_LABEL}
    given = template.get("metadata") or {}
    return bool(own["spec"] == template["spec"] and labels == (given.get("labels") or {})) and (
        (own["metadata"].get("annotations") or {}) == (given.get("annotations") or {})
    )


def revision_of(obj: Mapping[str, Any]) -> int:
    """The revision that an object is annotated with."""
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, "0"))


@dataclass(frozen=True)
class Bounds:
    """How far a rollout may go above and below the wanted number."""

    surge: int
    unavailable: int

    @classmethod
    def of(cls, deployment: Mapping[str, Any]) -> Bounds:
        """The bounds of a Deployment's rolling update; both zero would never move, so one may then be missing."""
        wanted = deployment["spec"].get("replicas", 1)
        rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
        surge = _number(rolling.get("maxSurge", "25%"), wanted, up=True)
        unavailable = min(_number(rolling.get("maxUnavailable", "25%"), wanted, up=False), wanted)
        return cls(surge, unavailable if surge or unavailable else 1)


def _number(value: str | int, of: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        part = int(value[:-1]) * of / 100
        return ceil(part) if up else floor(part)
    return int(value)


def replicas(replica_set: Mapping[str, Any]) -> int:
    """How many pods a ReplicaSet asks for."""
    return int(replica_set["spec"].get("replicas", 1))


def available(replica_set: Mapping[str, Any]) -> int:
    """How many of its pods are available."""
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def rolling_step(wanted: int, bounds: Bounds, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """The next sizes of the ReplicaSets that change, by name.

    First up as far as the surge allows; if nothing goes up, then down as far as enough pods stay available: the
    unhealthy old ones first, which serve nobody.
    """
    total = replicas(new) + sum(map(replicas, old))
    if replicas(new) > wanted:
        return {new["metadata"]["name"]: wanted}
    if replicas(new) < wanted and total < wanted + bounds.surge:
        return {new["metadata"]["name"]: replicas(new) + min(wanted - replicas(new), wanted + bounds.surge - total)}
    return _scale_down(wanted - bounds.unavailable, new, old)


def _scale_down(minimum: int, new: Object, old: Sequence[Object]) -> dict[str, int]:
    sizes = {one["metadata"]["name"]: replicas(one) for one in old}
    before = dict(sizes)
    new_missing = replicas(new) - min(available(new), replicas(new))
    room = replicas(new) + sum(sizes.values()) - minimum - new_missing
    for one in old:
        unhealthy = max(0, replicas(one) - available(one))
        leaving = min(unhealthy, max(0, room))
        sizes[one["metadata"]["name"]] -= leaving
        room -= leaving
    spare = available(new) + sum(min(available(one), sizes[one["metadata"]["name"]]) for one in old) - minimum
    for one in old:
        leaving = max(0, min(spare, room, sizes[one["metadata"]["name"]]))
        sizes[one["metadata"]["name"]] -= leaving
        spare, room = spare - leaving, room - leaving
    return {name: size for name, size in sizes.items() if size != before[name]}


def recreate_step(wanted: int, new: Object | None, old: Sequence[Object], old_pods: int) -> dict[str, int]:
    """All old ones down; the new one up only when the last old pod has gone."""
    down = {one["metadata"]["name"]: 0 for one in old if replicas(one)}
    if down or old_pods or new is None:
        return down
    return {new["metadata"]["name"]: wanted} if replicas(new) != wanted else {}
