"""The scale subresource: one form for the number of replicas of any kind that has one."""

from __future__ import annotations

import copy
from typing import Any

from mlp_helpers.sandbox.kubernetes.errors import ApiError, cause, invalid
from mlp_helpers.sandbox.kubernetes.jsonpath import find
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.selectors import format_selector

__all__ = ["scale_of", "with_scale"]

Object = dict[str, Any]


def _paths(kind: Kind) -> Object:
    """Where a kind has its replicas, wanted and seen, and its selector."""
    if kind.built_in:
        return {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    return dict((kind.version_options().get("subresources") or {}).get("scale") or {})


def scale_of(kind: Kind, thing: Object) -> Object:
    """The Scale of an object."""
    metadata, paths = thing["metadata"], _paths(kind)
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = find(thing, paths["specReplicasPath"])
    status: Object = {"replicas": find(thing, paths["statusReplicasPath"]) or 0}
    if selector := _selector(kind, thing, paths):
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector(kind: Kind, thing: Object, paths: Object) -> str:
    if not kind.built_in:
        path = paths.get("labelSelectorPath")
        return str(find(thing, path) or "") if path else ""
    selector = thing["spec"].get("selector") or {}
    plain = {"matchLabels": selector} if kind.resource == "replicationcontrollers" else selector
    return format_selector(plain)


def with_scale(kind: Kind, thing: Object, scale: Object) -> Object:
    """The object with the replicas that a Scale wants.

    Raises:
        ApiError: 422 for a number below zero.
    """
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if replicas < 0:
        raise _negative(thing["metadata"]["name"], replicas)
    made = copy.deepcopy(thing)
    *above, last = _paths(kind)["specReplicasPath"].strip(".").split(".")
    node = made
    for name in above:
        node = node.setdefault(name, {})
    node[last] = replicas
    if version := (scale.get("metadata") or {}).get("resourceVersion"):
        made["metadata"]["resourceVersion"] = version
    return made


def _negative(name: str, replicas: int) -> ApiError:
    why = f"Invalid value: {replicas}: must be greater than or equal to 0"
    return invalid("Scale", "autoscaling", name, [cause("FieldValueInvalid", "spec.replicas", why)])
