"""What can be done with a pod besides reading and writing it: binding it to a node, evicting it."""

from __future__ import annotations

import copy
from typing import Any

from mlp_helpers.sandbox.kubernetes.deletions import DeleteOptions, Deletions
from mlp_helpers.sandbox.kubernetes.errors import ApiError
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.objects import Objects, WriteOptions
from mlp_helpers.sandbox.kubernetes.selectors import matches_selector

__all__ = ["bind", "evict"]

Object = dict[str, Any]

_CREATED: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind(objects: Objects, kind: Kind, namespace: str, name: str, binding: Object, options: WriteOptions) -> Object:
    """Give a pod to a node, once.

    Raises:
        ApiError: 409 if it has one already, 404 if there is no such pod.
    """
    live = objects.stored(kind, namespace, name)
    node = (binding.get("target") or {}).get("name", "")
    if before := live["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{before}"'
        message = f'Operation cannot be fulfilled on pods/binding "{name}": {why}'
        raise ApiError(409, "Conflict", message, details={"name": name, "kind": "pods/binding"})
    if not options.dry_run:
        thing = copy.deepcopy(live)
        thing["spec"]["nodeName"] = node
        status = thing.setdefault("status", {})
        conditions = [one for one in status.get("conditions") or () if one.get("type") != "PodScheduled"]
        scheduled = {
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": objects.now(),
        }
        status["conditions"] = [*conditions, scheduled]
        if "generation" in thing["metadata"]:
            thing["metadata"]["generation"] += 1
        objects.store.write("MODIFIED", kind.storage_key, thing, live)
    return dict(_CREATED)


def evict(
    objects: Objects, deletions: Deletions, kind: Kind, namespace: str, name: str, options: WriteOptions
) -> Object:
    """Delete a pod if no disruption budget needs it.

    Raises:
        ApiError: 429 if one does, 404 if there is no such pod.
    """
    pod = objects.stored(kind, namespace, name)
    if pod.get("status", {}).get("phase") not in ("Pending", "Succeeded", "Failed"):
        _check_budgets(objects, namespace, pod)
    deletions.delete(kind, namespace, name, DeleteOptions(dry_run=options.dry_run), options)
    return dict(_CREATED)


def _check_budgets(objects: Objects, namespace: str, pod: Object) -> None:
    labels = pod["metadata"].get("labels") or {}
    for budget in objects.store.list("poddisruptionbudgets.policy", namespace):
        status = budget.get("status") or {}
        if matches_selector(budget["spec"].get("selector"), labels) and status.get("disruptionsAllowed", 0) < 1:
            needed, current = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
            name = budget["metadata"]["name"]
            why = f"The disruption budget {name} needs {needed} healthy pods and has {current} currently"
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            causes = [{"reason": "DisruptionBudget", "message": why}]
            raise ApiError(429, "TooManyRequests", message, details={"causes": causes})
