"""What a kubelet tells the API about pods, and a job server that answers as Ray's does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from mlp_helpers.sandbox.controllers.client import Client, ConflictError, NotFoundError

Object = dict[str, Any]
NAMESPACE = "ml-team"


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 15) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.03)


class JobServer:
    """The part of Ray's REST API that the operator asks."""

    def __init__(self) -> None:
        self.jobs: dict[str, Object] = {}
        self.tokens: set[str] = set()
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/api/jobs/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.tokens.add(request.headers.get("X-Ray-Authorization", ""))
        name, _, action = request.match_info["rest"].partition("/")
        if request.method == "POST" and not name:
            body = json.loads(await request.text())
            self.jobs[body["submission_id"]] = {**body, "status": "RUNNING", "message": "Job is running."}
            return web.json_response({"submission_id": body["submission_id"]})
        if name not in self.jobs:
            return web.Response(status=404, text=f"Job {name} does not exist.")
        if action == "stop":
            self.jobs[name]["status"] = "STOPPED"
            return web.json_response({"stopped": True})
        return web.json_response(self.jobs[name])


class Kubelet:
    """Says of every pod that it runs and is ready, unless the test holds it back."""

    def __init__(self, client: Client) -> None:
        self.client, self.is_held = client, False
        self.job_server = JobServer()

    async def run(self) -> None:
        await self.job_server.start()
        while True:
            for pod in await self.pods():
                await self._serve(pod)
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self.job_server.stop()

    async def _serve(self, pod: Object) -> None:
        metadata = pod["metadata"]
        try:
            if metadata.get("deletionTimestamp"):
                resource = await self.client.resource("v1", "Pod")
                await self.client.delete(resource, metadata["name"], NAMESPACE, grace_seconds=0)
            elif not self.is_held and not (pod.get("status") or {}).get("podIP"):
                await self.set_phase(metadata["name"], "Running")
        except (NotFoundError, ConflictError):
            return

    async def set_phase(self, name: str, phase: str) -> None:
        resource = await self.client.resource("v1", "Pod")
        ports = json.dumps({"8265": self.job_server.port})
        await self.client.patch(resource, name, NAMESPACE, {"metadata": {"annotations": {"sandbox.mlp/ports": ports}}})
        ready = {"type": "Ready", "status": "True" if phase == "Running" else "False"}
        status = {"phase": phase, "podIP": "127.0.0.1", "conditions": [ready]}
        await self.client.patch(resource, name, NAMESPACE, {"status": status}, subresource="status")

    async def pods(self, node_type: str = "") -> list[Object]:
        """The pods that are there, or those of one type."""
        selector = f"ray.io/node-type={node_type}" if node_type else "ray.io/is-ray-node=yes"
        found, _ = await self.client.list(await self.client.resource("v1", "Pod"), NAMESPACE, label_selector=selector)
        return found

    async def get(self, kind: str, name: str, api_version: str = "ray.io/v1") -> Object | None:
        try:
            return await self.client.get(await self.client.resource(api_version, kind), name, NAMESPACE)
        except NotFoundError:
            return None

    async def until_state(self, kind: str, name: str, **expected: Any) -> Object:
        """Wait until fields of the status have values; the status."""
        seen: list[Object] = [{}]

        async def is_there() -> bool:
            seen[0] = (await self.get(kind, name) or {}).get("status") or {}
            return all(seen[0].get(key) == value for key, value in expected.items())

        try:
            await until(is_there)
        except TimeoutError:
            raise AssertionError(f"{kind} {name} is {seen[0]}, expected {expected}") from None
        return seen[0]

    async def patch(self, kind: str, name: str, patch: Object) -> None:
        await self.client.patch(await self.client.resource("ray.io/v1", kind), name, NAMESPACE, patch)

    async def events(self) -> set[str]:
        """The reasons of all events."""
        found, _ = await self.client.list(await self.client.resource("v1", "Event"), NAMESPACE)
        return {event["reason"] for event in found}


def ray_cluster(name: str = "ml-team", replicas: int = 1, **spec: Any) -> Object:
    """A RayCluster as the platform declares it."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**cluster_spec(replicas), **spec},
    }


def cluster_spec(replicas: int = 1) -> Object:
    image = "rayproject/ray:2.60.0-py311"
    head = {
        "name": "ray-head",
        "image": image,
        "ports": [{"containerPort": 6379, "name": "gcs-server"}, {"containerPort": 8265, "name": "dashboard"}],
        "resources": {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    worker = {
        "name": "ray-worker",
        "image": image,
        "resources": {"requests": {"cpu": "1500m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    return {
        "rayVersion": "2.60.0",
        "authOptions": {"mode": "token"},
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": {"spec": {"containers": [head]}}},
        "workerGroupSpecs": [
            {
                "groupName": "workers",
                "replicas": replicas,
                "minReplicas": 0,
                "maxReplicas": 4,
                "rayStartParams": {},
                "template": {"spec": {"containers": [worker]}},
            }
        ],
    }
