"""The kubelet: shows nodes, runs the pods that are bound to them, and serves their logs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import aiohttp

from mlp_helpers.sandbox.controllers.client import ApiError, Client, Object
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.informer import Informer
from mlp_helpers.sandbox.node.endpoint import KubeletEndpoint
from mlp_helpers.sandbox.node.lookup import Lookup
from mlp_helpers.sandbox.node.nodes import Nodes
from mlp_helpers.sandbox.node.pod_worker import PodWorker, remove_pod_folder
from mlp_helpers.sandbox.node.ports import PortAllocator
from mlp_helpers.sandbox.node.processes import (
    exact_memory,
    kill_all,
    marked_processes,
    memory_by_session,
    session_members,
)
from mlp_helpers.sandbox.node.runtimes import Runtimes
from mlp_helpers.sandbox.node.services import EnvironmentFor, NodeServices
from mlp_helpers.sandbox.node.specs import NodeSpec
from mlp_helpers.sandbox.tasks import end_tasks

_MEMORY_SECONDS = 2.0
_RETRY_SECONDS = 1.0
_LOST_GRACE_SECONDS = 2.0
_STOP_GRACE_SECONDS = 15.0
_WORKER_LABEL = ("ray.io/node-type", "worker")

_log = logging.getLogger(__name__)


class Kubelet:
    """One kubelet for all nodes of a cluster: they are the same machine.

    Args:
        folder: The node's folder (`node/` of the cluster's folder); pods' logs and records survive a crash there.
        kubeconfig: A file or its content, with the rights of a node.
        runtimes: Which image runs as what.
        nodes: The nodes to show; see `set_nodes`.
        environment_for: Variables that the platform gives a pod, such as how it finds its Google identity.
        token_file: What the API server proves itself with; by default `kubelet-token` beside the folder.
        ports: Where ports come from; share one among the kubelets of a process.
        first_backoff_seconds: The first pause of a container that crashes again and again.
    """

    def __init__(
        self,
        folder: Path,
        kubeconfig: Path | Mapping[str, object],
        *,
        runtimes: Runtimes,
        nodes: Sequence[NodeSpec] = (),
        environment_for: EnvironmentFor = lambda pod: {},
        token_file: Path | None = None,
        ports: PortAllocator | None = None,
        first_backoff_seconds: float = 10.0,
    ) -> None:
        self._folder = folder
        self._token_file = token_file or folder.parent / "kubelet-token"
        self._client = Client(kubeconfig, user_agent="kubelet")
        self._endpoint = KubeletEndpoint(self._token, self._find_log)
        self._nodes = Nodes(self._client, nodes)
        self._pods = Informer(self._client, "v1", "Pod")
        self._pods.listen(self._pod_changed)
        self._services = NodeServices(
            folder=folder,
            client=self._client,
            lookup=Lookup(self._client),
            events=EventRecorder(self._client, "kubelet", host=nodes[0].name if nodes else ""),
            runtimes=runtimes,
            ports=ports or PortAllocator(),
            environment_for=environment_for,
            allocatable_of=self._nodes.allocatable_of,
            first_backoff_seconds=first_backoff_seconds,
        )
        self._workers: dict[str, PodWorker] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Where the endpoint listens."""
        return self._endpoint.port

    async def start(self) -> None:
        """Register the nodes, find the pods that are running already, and take up the work."""
        self._services.pods.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._endpoint.start()
        await self._nodes.register(self.port)
        self._tasks = [
            asyncio.create_task(self._pods.run()),
            asyncio.create_task(self._nodes.keep_alive()),
            asyncio.create_task(self._watch_memory()),
        ]
        await self._pods.synced.wait()
        await self._end_orphans()

    async def stop(self, *, keep_pods: bool = False) -> None:
        """Stop; by default the pods' processes end too, Ray's workers before their heads.

        Args:
            keep_pods: Leave the processes to the next kubelet on this folder.
        """
        await end_tasks(self._tasks)
        await asyncio.gather(*self._ends.values(), return_exceptions=True)
        await end_tasks(self._lives.values())
        if not keep_pods:
            workers = [worker for uid, worker in self._workers.items() if uid not in self._ends]
            for group in _in_order(workers):
                await asyncio.gather(*(worker.stop_containers(_STOP_GRACE_SECONDS) for worker in group))
        await self._endpoint.stop()
        await self._client.close()

    async def set_nodes(self, nodes: Sequence[NodeSpec]) -> None:
        """Show these nodes and no others; the pods of a node that goes are deleted with it."""
        gone = await self._nodes.replace(nodes)
        for pod in self._pods.list():
            self._pod_changed(None, pod)  # it may have been bound to one of these nodes all along
            if pod["spec"].get("nodeName") in gone:
                metadata = pod["metadata"]
                resource = await self._client.resource("v1", "Pod")
                with contextlib.suppress(ApiError):
                    await self._client.delete(resource, metadata["name"], metadata["namespace"], uid=metadata["uid"])

    # Pods

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        if after is None:
            if before is not None and before["metadata"]["uid"] in self._workers:
                self._end(before["metadata"]["uid"], _LOST_GRACE_SECONDS)
            return
        if before is not None and before["metadata"]["uid"] != after["metadata"]["uid"]:
            self._pod_changed(before, None)
        uid = after["metadata"]["uid"]
        if not self._nodes.has(after["spec"].get("nodeName", "")) and uid not in self._workers:
            return
        worker = self._workers.setdefault(uid, PodWorker(self._services, after))
        worker.update(after)
        if "deletionTimestamp" in after["metadata"]:
            grace = after["metadata"].get("deletionGracePeriodSeconds")
            self._end(uid, float(30 if grace is None else grace))
        elif uid not in self._lives and (after.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            self._lives[uid] = asyncio.create_task(self._live(worker))

    async def _live(self, worker: PodWorker) -> None:
        """Run a pod; what fails for a passing reason is taken up again."""
        while True:
            try:
                return await worker.run()
            except* (ApiError, aiohttp.ClientError, TimeoutError, OSError) as errors:
                _log.warning("pod %s: %s", worker.pod["metadata"]["name"], errors.exceptions)
            except* Exception:
                _log.exception("pod %s", worker.pod["metadata"]["name"])
            await asyncio.sleep(_RETRY_SECONDS)

    def _end(self, uid: str, grace_seconds: float) -> None:
        if uid not in self._ends:
            self._ends[uid] = asyncio.create_task(self._end_pod(uid, grace_seconds))

    async def _end_pod(self, uid: str, grace_seconds: float) -> None:
        worker = self._workers[uid]
        if life := self._lives.pop(uid, None):
            await end_tasks([life])
        while True:
            try:
                await worker.delete(grace_seconds)
                break
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.warning("pod %s: not ended yet: %s", worker.pod["metadata"]["name"], error)
            await asyncio.sleep(_RETRY_SECONDS)
        del self._workers[uid], self._ends[uid]

    async def _end_orphans(self) -> None:
        """End what belongs to pods that were deleted while no kubelet ran."""
        # Whatever its node: at this moment the nodes may not be known yet.
        known = {pod["metadata"]["uid"] for pod in self._pods.list()}
        for folder in self._services.pods.iterdir():
            if folder.name in known:
                continue
            records = [json.loads(path.read_text()) for path in folder.glob("containers/*/*/process.json")]
            marked = marked_processes(folder.name)
            # A session is only ours if one of its processes still carries the pod's mark: pids are used again.
            if found := marked():
                await kill_all(marked)
                shims = {int(record["shim"]) for record in records} & set(found)
                await kill_all(session_members(shims))
            remove_pod_folder(folder)

    # Memory

    async def _watch_memory(self) -> None:
        while True:
            await asyncio.sleep(_MEMORY_SECONDS)
            limited = {
                container.process.shim: container
                for worker in self._workers.values()
                for container in worker.containers
                if container.process is not None and container.memory_limit is not None
            }
            used = memory_by_session(limited)
            for session, container in limited.items():
                limit = container.memory_limit or 0
                if used[session] > limit and exact_memory(session) > limit:
                    await container.end_for_memory()

    # Logs

    def _token(self) -> str:
        return self._token_file.read_text().strip() if self._token_file.exists() else ""

    def _find_log(self, namespace: str, pod: str, name: str, previous: bool) -> tuple[Path, Callable[[], bool]]:
        found = self._pods.get(pod, namespace)
        if found is None:
            raise LookupError(f"pod {pod!r} in namespace {namespace!r} is not on this node")
        uid = found["metadata"]["uid"]
        runs = self._services.pods / uid / "containers" / name
        numbers = sorted(int(path.name) for path in runs.glob("[0-9]*")) if runs.exists() else []
        if previous:
            if len(numbers) < 2:
                raise LookupError(f'previous terminated container "{name}" in pod "{pod}" not found')
            return runs / str(numbers[-2]) / "log", lambda: True
        run = runs / str(numbers[-1] if numbers else 0)
        return run / "log", lambda: (run / "exit.json").exists() or uid not in self._workers


def _in_order(workers: Iterable[PodWorker]) -> list[list[PodWorker]]:
    """Groups of pods to stop one after the other: Ray's workers can only drain while their head lives."""
    label, value = _WORKER_LABEL
    first: list[PodWorker] = []
    last: list[PodWorker] = []
    for worker in workers:
        labels = worker.pod["metadata"].get("labels") or {}
        (first if labels.get(label) == value else last).append(worker)
    return [first, last]
