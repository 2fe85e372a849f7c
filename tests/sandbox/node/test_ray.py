"""A real Ray head and worker as pods, started by the command that KubeRay writes."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import aiohttp
import psutil
import pytest

from mlp_helpers.sandbox.controllers.client import Client, Object
from mlp_helpers.sandbox.controllers.conditions import is_true
from mlp_helpers.sandbox.node.kubelet import Kubelet
from mlp_helpers.sandbox.node.processes import marked_processes
from tests.sandbox.controllers.conftest import Cluster, until
from tests.sandbox.node.conftest import logs

pytestmark = pytest.mark.ray

IMAGE = "rayproject/ray:2.60.0"
LIMITS = {"limits": {"cpu": "1", "memory": "2Gi"}}
HEAD_PROBE = (
    "wget -T 2 -q -O- http://localhost:52365/api/local_raylet_healthz | grep success && "
    "wget -T 10 -q -O- http://localhost:8265/api/gcs_healthz | grep success"
)
WORKER_PROBE = "wget -T 2 -q -O- http://localhost:52365/api/local_raylet_healthz | grep success"
WAIT = (
    "SECONDS=0\nwhile true; do\n"
    "  if ray health-check --address ray-head-svc.default.svc.cluster.local:6379 > /dev/null 2>&1; then\n"
    '    echo "GCS is ready."\n    break\n  fi\n  sleep 5\ndone\n'
)


def container(name: str, command: str, probe: str, *env: Object, **more: object) -> Object:
    return {
        "name": name,
        "image": IMAGE,
        "command": ["/bin/bash", "-c", "--"],
        "args": [f"ulimit -n 65536; {command}"],
        "env": [
            {"name": "RAY_AUTH_MODE", "value": "token"},
            {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "ray", "key": "auth_token"}}},
            *env,
        ],
        "resources": LIMITS,
        "readinessProbe": {"exec": {"command": ["bash", "-c", probe]}, "periodSeconds": 1, "timeoutSeconds": 5},
        **more,
    }


async def start_ray(cluster: Cluster) -> None:
    await cluster.create("v1", "Secret", "ray", stringData={"auth_token": "0123456789abcdef"})
    ports = [("gcs-server", 6379), ("dashboard", 8265), ("client", 10001)]
    service = [{"name": name, "port": port} for name, port in ports]
    selector = {"ray.io/node-type": "head"}
    await cluster.create(
        "v1", "Service", "ray-head-svc", spec={"clusterIP": "None", "selector": selector, "ports": service}
    )
    # The worker first: it has to wait for its head.
    address = "ray-head-svc.default.svc.cluster.local"
    start = (
        f"ray start --address={address}:6379 --block --num-cpus=1 "
        "--dashboard-agent-listen-port=52365 --metrics-export-port=8080"
    )
    await cluster.create(
        "v1",
        "Pod",
        "worker",
        metadata={"labels": {"ray.io/node-type": "worker"}},
        spec={
            "initContainers": [
                {"name": "wait-gcs-ready", "image": IMAGE, "command": ["/bin/bash", "-c", "--"], "args": [WAIT]}
            ],
            "containers": [container("ray-worker", start, WORKER_PROBE, {"name": "FQ_RAY_IP", "value": address})],
        },
    )
    start = (
        "ray start --head --block --dashboard-host=0.0.0.0 --num-cpus=1 "
        "--dashboard-agent-listen-port=52365 --metrics-export-port=8080"
    )
    declared = [{"name": name, "containerPort": port} for name, port in ports]
    head = container("ray-head", start, HEAD_PROBE, ports=declared)
    await cluster.create("v1", "Pod", "head", metadata={"labels": selector}, spec={"containers": [head]})


async def ready(cluster: Cluster, name: str) -> bool:
    return is_true(await cluster.get("v1", "Pod", name) or {}, "Ready")


async def dashboard(cluster: Cluster, client: Client, path: str, body: Object | None = None) -> Object:
    """Ask Ray's dashboard through the API server's service proxy, as a person far away would."""
    head = await cluster.get("v1", "Pod", "head") or {}
    port = json.loads(head["metadata"]["annotations"]["sandbox.mlp/ports"])["8265"]
    headers = {"Authorization": "Bearer 0123456789abcdef"}
    async with aiohttp.ClientSession(headers=headers) as session:
        call = session.post if body is not None else session.get
        async with call(f"http://127.0.0.1:{port}{path}", json=body) as response:
            assert response.status == 200, await response.text()
            answer: Object = await response.json()
            return answer


async def test_head_and_worker_form_a_cluster_on_loopback(cluster: Cluster, client: Client, kubelet: Kubelet) -> None:
    await start_ray(cluster)
    await until(lambda: ready(cluster, "head"), 180)
    await until(lambda: ready(cluster, "worker"), 120)
    assert "GCS is ready." in await logs(client, "worker", container="wait-gcs-ready")

    async def both_alive() -> bool:
        nodes = (await dashboard(cluster, client, "/api/v0/nodes?detail=1"))["data"]["result"]["result"]
        return sorted(node["labels"]["pod"] for node in nodes if node["state"] == "ALIVE") == ["head", "worker"]

    await until(both_alive, 30)
    entrypoint = "python -c 'import ray; ray.init(); print(ray.get(ray.remote(lambda: 6 * 7).remote()))'"
    job = (await dashboard(cluster, client, "/api/jobs/", {"entrypoint": entrypoint}))["submission_id"]

    async def job_is_over() -> bool:
        return (await dashboard(cluster, client, f"/api/jobs/{job}"))["status"] in ("SUCCEEDED", "FAILED")

    await until(job_is_over, 60)
    assert (await dashboard(cluster, client, f"/api/jobs/{job}/logs"))["logs"].splitlines()[-1] == "42"

    pods = [await cluster.get("v1", "Pod", name) or {} for name in ("head", "worker")]
    pids = [pid for pod in pods for pid in marked_processes(pod["metadata"]["uid"])()]
    listening = {address for pid in pids for address in _listening(pid)}
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert not any("0123456789abcdef" in " ".join(_command(pid)) for pid in pids)

    folders = [Path((kubelet._services.pods / pod["metadata"]["uid"] / "ray-folder").read_text()) for pod in pods]
    for name in ("worker", "head"):
        await cluster.delete("v1", "Pod", name)
    for name in ("worker", "head"):
        await until(partial(_gone, cluster, name), 40)
    await asyncio.sleep(0.5)
    assert [pid for pod in pods for pid in marked_processes(pod["metadata"]["uid"])()] == []
    assert not any(folder.exists() for folder in folders)


def _listening(pid: int) -> set[str]:
    try:
        connections = psutil.Process(pid).net_connections()
    except psutil.NoSuchProcess:
        return set()
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def _command(pid: int) -> list[str]:
    try:
        return list(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return []


async def _gone(cluster: Cluster, name: str) -> bool:
    return await cluster.get("v1", "Pod", name) is None
