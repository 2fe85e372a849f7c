"""The scheduler: binds pods to nodes, or says why it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from mlp_helpers.sandbox.controllers.client import STRATEGIC, ConflictError, NotFoundError, Object
from mlp_helpers.sandbox.controllers.conditions import condition, find_condition, timestamp, with_conditions
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.loop import Key, Manager, key_of
from mlp_helpers.sandbox.controllers.quantities import Resources, add
from mlp_helpers.sandbox.controllers.scheduling import Refusal, best, counts, explain, refusals, requests_of


class Scheduler:
    """Places pods by requests, selectors and taints; tries again when a node changes or a pod makes room."""

    name = "scheduler"

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._pods = manager.informer("v1", "Pod")
        self._nodes = manager.informer("v1", "Node")
        self._events = EventRecorder(manager.client, "default-scheduler")
        self._one_at_a_time = asyncio.Lock()
        self._assumed: dict[str, str] = {}  # bound by us, not yet seen as bound: pod uid to node
        manager.register(self, {self._pods: self._pods_to_look_at, self._nodes: lambda _: self._pending()})

    def _pods_to_look_at(self, pod: Object) -> Iterable[Key]:
        makes_room = "nodeName" in pod["spec"] and (not counts(pod) or "deletionTimestamp" in pod["metadata"])
        return self._pending() if makes_room else [key_of(pod)]

    def _pending(self) -> list[Key]:
        return [key_of(pod) for pod in self._pods.list() if _waits(pod)]

    async def reconcile(self, key: Key) -> float | None:
        async with self._one_at_a_time:  # two decisions at once would give the same room twice
            pod = self._pods.get(key[1], key[0])
            if pod is None or not _waits(pod) or pod["metadata"]["uid"] in self._assumed:
                return None
            used = self._used()
            refused = {
                node["metadata"]["name"]: refusals(pod, node, used.get(node["metadata"]["name"], {}))
                for node in self._nodes.list()
            }
            fitting = [node for node in self._nodes.list() if not refused[node["metadata"]["name"]]]
            if fitting:
                await self._bind(pod, best(fitting, used)["metadata"]["name"])
            else:
                await self._say_why(pod, refused)
        return None

    def _used(self) -> dict[str, Resources]:
        used: dict[str, Resources] = {}
        living = set()
        for pod in self._pods.list():
            uid = pod["metadata"]["uid"]
            living.add(uid)
            if "nodeName" in pod["spec"]:
                self._assumed.pop(uid, None)
            node = pod["spec"].get("nodeName") or self._assumed.get(uid)
            if node and counts(pod):
                used[node] = add(used.get(node, {}), requests_of(pod))
        for uid in set(self._assumed) - living:
            del self._assumed[uid]
        return used

    async def _bind(self, pod: Object, node: str) -> None:
        namespace, name = key_of(pod)
        resource = await self._client.resource("v1", "Pod")
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._client.raw("POST", resource.path(namespace, name, "binding"), body=binding)
        except (NotFoundError, ConflictError):
            return  # gone, or bound by somebody else: its change is on the way
        self._assumed[pod["metadata"]["uid"]] = node
        await self._events.normal(pod, "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")

    async def _say_why(self, pod: Object, refused: dict[str, list[Refusal]]) -> None:
        message = explain(refused)
        said = condition("PodScheduled", False, "Unschedulable", message)
        before = find_condition(pod, "PodScheduled")
        if before is not None and before.get("message") == message:
            return
        conditions = with_conditions([before] if before else [], [said], timestamp())
        namespace, name = key_of(pod)
        resource = await self._client.resource("v1", "Pod")
        patch = {"status": {"conditions": conditions}}
        try:
            await self._client.patch(resource, name, namespace, patch, content_type=STRATEGIC, subresource="status")
        except NotFoundError:
            return
        await self._events.warning(pod, "FailedScheduling", message)


def _waits(pod: Object) -> bool:
    return (
        not pod["spec"].get("nodeName")
        and not pod["spec"].get("schedulingGates")
        and pod["spec"].get("schedulerName", "default-scheduler") == "default-scheduler"
        and "deletionTimestamp" not in pod["metadata"]
        and counts(pod)
    )
