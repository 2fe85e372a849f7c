"""The kubelet with real processes on a real API server."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import psutil
import pytest

from mlp_helpers.sandbox.controllers.client import Client, Object
from mlp_helpers.sandbox.controllers.conditions import is_true
from mlp_helpers.sandbox.node.kubelet import Kubelet
from mlp_helpers.sandbox.node.processes import marked_processes
from mlp_helpers.sandbox.node.runtimes import Builtin
from mlp_helpers.sandbox.node.specs import NodeSpec
from tests.sandbox.controllers.conftest import Cluster, until

from .conftest import Node, logs

FOREVER = "import time; print('up', flush=True); time.sleep(600)"


def python(code: str, **more: Any) -> Object:
    return {"name": "c", "image": "python:3.12", "command": ["python", "-c", code], **more}


def shell(script: str, **more: Any) -> Object:
    return {"name": "c", "image": "busybox:1", "command": ["sh", "-c", script], **more}


async def run(cluster: Cluster, *containers: Object, name: str = "p", **spec: Any) -> Object:
    spec = {"containers": list(containers), "terminationGracePeriodSeconds": 5, **spec}
    return await cluster.create("v1", "Pod", name, spec=spec)


async def in_phase(cluster: Cluster, phase: str, name: str = "p") -> Object:
    """Wait for the phase of a pod."""
    found: Object = {}

    async def there() -> bool:
        found.update(await cluster.get("v1", "Pod", name) or {})
        return bool((found.get("status") or {}).get("phase") == phase)

    await until(there, 20)
    return found


async def container_state(cluster: Cluster, name: str = "p", index: int = 0) -> Object:
    pod = await cluster.get("v1", "Pod", name) or {}
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{"state": {}, "lastState": {}, "restartCount": 0}]
    status: Object = statuses[index]
    return status


async def waits_for(cluster: Cluster, reason: str) -> Object:
    """Wait until the container waits for a reason."""

    async def there() -> bool:
        return ((await container_state(cluster))["state"].get("waiting") or {}).get("reason") == reason

    await until(there, 20)
    return await container_state(cluster)


async def gone(cluster: Cluster, name: str = "p") -> bool:
    return await cluster.get("v1", "Pod", name) is None


# Life


async def test_a_pod_runs_and_is_deleted(cluster: Cluster, kubelet: Kubelet) -> None:
    await run(cluster, python(FOREVER))
    pod = await in_phase(cluster, "Running")
    assert is_true(pod, "Ready")
    assert pod["status"]["podIP"] == "127.0.0.1"
    assert len(marked_processes(pod["metadata"]["uid"])()) == 2  # the shim and the container
    await cluster.delete("v1", "Pod", "p")
    await until(lambda: gone(cluster))
    assert marked_processes(pod["metadata"]["uid"])() == []
    for reason in ("Scheduled", "Pulled", "Created", "Started", "Killing"):
        assert await cluster.events(reason), reason


async def test_exit_codes_and_logs_are_kept(cluster: Cluster, client: Client, kubelet: Kubelet) -> None:
    await run(cluster, shell("echo one; echo two >&2; exit 3"), restartPolicy="Never")
    await in_phase(cluster, "Failed")
    terminated = (await container_state(cluster))["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (3, "Error")
    assert sorted((await logs(client, "p")).split()) == ["one", "two"]
    assert len((await logs(client, "p", tailLines="1")).split()) == 1
    assert (await logs(client, "p", timestamps="true")).startswith("20")


async def test_a_log_is_followed_to_the_end(cluster: Cluster, client: Client, kubelet: Kubelet) -> None:
    await run(cluster, shell("for i in 1 2 3; do echo $i; sleep 0.3; done"), restartPolicy="Never")
    await in_phase(cluster, "Running")
    assert (await logs(client, "p", follow="true")).split() == ["1", "2", "3"]


async def test_a_crashing_container_backs_off(cluster: Cluster, client: Client, kubelet: Kubelet) -> None:
    await run(cluster, shell("echo run; exit 1"))
    status = await waits_for(cluster, "CrashLoopBackOff")
    assert "back-off" in status["state"]["waiting"]["message"]
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert (await logs(client, "p", previous="true")).strip() == "run"
    assert any(
        message.startswith("Back-off restarting failed container c") for message in await cluster.events("BackOff")
    )


async def test_a_command_that_is_not_there_says_so(cluster: Cluster, kubelet: Kubelet) -> None:
    await run(cluster, {"name": "c", "image": "python:3.12", "command": ["no-such-command"]}, restartPolicy="Never")
    await in_phase(cluster, "Failed")
    terminated = (await container_state(cluster))["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("StartError", 128)
    assert 'exec: "no-such-command": executable file not found in $PATH' in terminated["message"]


async def test_grace_is_given_and_then_ends(cluster: Cluster, kubelet: Kubelet) -> None:
    await run(cluster, shell("trap '' TERM; echo up; while :; do sleep 0.1; done"))
    pod = await in_phase(cluster, "Running")
    await cluster.delete("v1", "Pod", "p", grace_seconds=1)
    await until(lambda: gone(cluster))
    assert marked_processes(pod["metadata"]["uid"])() == []


async def test_init_containers_come_first_and_share_volumes(cluster: Cluster, client: Client, kubelet: Kubelet) -> None:
    mount = [{"name": "v", "mountPath": "/data"}]
    first = {**shell("echo hello > /data/x", volumeMounts=mount), "name": "first"}
    main = shell("cat /data/x", volumeMounts=mount)
    volumes = [{"name": "v", "emptyDir": {}}]
    await run(cluster, main, initContainers=[first], volumes=volumes, restartPolicy="Never")
    pod = await in_phase(cluster, "Succeeded")
    assert (await logs(client, "p")).strip() == "hello"
    assert "/data" in json.loads(pod["metadata"]["annotations"]["sandbox.mlp/mounts"])


async def test_a_failed_init_container_stops_the_pod(cluster: Cluster, kubelet: Kubelet) -> None:
    first = {**shell("exit 2"), "name": "first"}
    await run(cluster, python(FOREVER), initContainers=[first], restartPolicy="Never")
    pod = await in_phase(cluster, "Failed")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 2


async def test_memory_above_the_limit_ends_a_container(cluster: Cluster, kubelet: Kubelet) -> None:
    limits = {"limits": {"memory": "64Mi"}}
    code = "import time; b = bytearray(200_000_000); time.sleep(600)"
    await run(cluster, python(code, resources=limits), restartPolicy="Never")
    await in_phase(cluster, "Failed")
    terminated = (await container_state(cluster))["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("OOMKilled", 137)


# What a container sees


async def test_the_environment_is_worked_out(cluster: Cluster, client: Client, kubelet: Kubelet) -> None:
    await cluster.create("v1", "ConfigMap", "m", data={"a": "from map"})
    await cluster.create("v1", "Secret", "s", stringData={"b": "from secret"})
    env = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "a"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "BOTH", "value": "$(NAME)/$(A)"},
    ]
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    await run(cluster, python(code, env=env, envFrom=[{"secretRef": {"name": "s"}}]), restartPolicy="Never")
    await in_phase(cluster, "Succeeded")
    seen = json.loads(await logs(client, "p"))
    assert (seen["BOTH"], seen["CPU"], seen["b"]) == ("p/from map", "8", "from secret")
    assert seen["GCE_METADATA_HOST"] == "p.test"
    assert seen["PATH"].startswith(os.path.dirname(sys.executable))
    assert "PYTHONDONTWRITEBYTECODE" not in seen


async def test_a_missing_secret_holds_the_container_until_it_comes(cluster: Cluster, kubelet: Kubelet) -> None:
    env = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "late", "key": "t"}}}]
    await run(cluster, python("", env=env), restartPolicy="Never")
    status = await waits_for(cluster, "CreateContainerConfigError")
    assert status["state"]["waiting"]["message"] == 'secret "late" not found'
    await cluster.create("v1", "Secret", "late", stringData={"t": "x"})
    await in_phase(cluster, "Succeeded")


async def test_a_pods_token_reaches_the_api_server(cluster: Cluster, client: Client, kubelet: Kubelet) -> None:
    code = (
        "import json, os, ssl, base64, urllib.request\n"
        "c = json.load(open(os.environ['KUBECONFIG']))\n"
        "cluster, user = c['clusters'][0]['cluster'], c['users'][0]['user']\n"
        "tls = ssl.create_default_context(cadata=base64.b64decode(cluster['certificate-authority-data']).decode())\n"
        "r = urllib.request.Request(cluster['server'] + '/apis/authentication.k8s.io/v1/selfsubjectreviews', b'{}')\n"
        "r.add_header('Authorization', 'Bearer ' + open(user['tokenFile']).read())\n"
        "r.add_header('Content-Type', 'application/json')\n"
        "print(json.load(urllib.request.urlopen(r, context=tls))['status']['userInfo']['username'])\n"
    )
    await run(cluster, python(code), restartPolicy="Never")
    await in_phase(cluster, "Succeeded")
    assert (await logs(client, "p")).strip() == "system:serviceaccount:default:default"


async def test_ports_are_real_and_probed(cluster: Cluster, kubelet: Kubelet) -> None:
    server = {
        **python("", ports=[{"containerPort": 8080, "name": "http"}]),
        "command": ["python", "-m", "http.server", "8080", "--bind", "0.0.0.0"],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    await run(cluster, server)

    async def ready() -> bool:
        return is_true(await cluster.get("v1", "Pod", "p") or {}, "Ready")

    await until(ready, 20)
    pod = await cluster.get("v1", "Pod", "p") or {}
    port = json.loads(pod["metadata"]["annotations"]["sandbox.mlp/ports"])["8080"]
    assert 20000 <= port <= 29999
    listening = {c.laddr.ip for p in _processes(pod) for c in p.net_connections() if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}


def _processes(pod: Object) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in marked_processes(pod["metadata"]["uid"])()]


async def test_a_failing_liveness_probe_restarts(cluster: Cluster, kubelet: Kubelet) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    await run(cluster, python(FOREVER, livenessProbe=probe))

    async def restarted() -> bool:
        return bool((await container_state(cluster))["restartCount"])

    await until(restarted, 20)
    assert any(message.startswith("Liveness probe failed") for message in await cluster.events("Unhealthy"))


async def test_an_image_without_a_runtime_is_simulated(cluster: Cluster, kubelet: Kubelet) -> None:
    await run(cluster, {"name": "c", "image": "fluent/fluent-bit:3"})
    pod = await in_phase(cluster, "Running")
    assert pod["metadata"]["annotations"]["sandbox.mlp/simulated"] == "true"
    assert any("nothing runs" in message for message in await cluster.events("Simulated"))


async def test_a_builtin_runs_with_its_pods_identity(cluster: Cluster, client: Client, node: Node) -> None:
    seen: list[str] = []

    async def builtin(kubeconfig: dict[str, object], environment: Mapping[str, str], log: logging.Logger) -> None:
        own = Client(kubeconfig, user_agent="builtin")
        review = await own.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body={})
        await own.close()
        seen.append(review["status"]["userInfo"]["username"])
        log.info("I am %s in %s", seen[0], environment["POD"])
        await asyncio.Event().wait()

    node.builtins["example.com/operator"] = Builtin(builtin)
    async with node.running():
        env = [{"name": "POD", "value": "p"}]
        await run(cluster, {"name": "c", "image": "example.com/operator:v1", "env": env})
        await in_phase(cluster, "Running")
        await until(lambda: _truth(seen), 10)
        assert "I am system:serviceaccount:default:default in p" in await logs(client, "p")
        await cluster.delete("v1", "Pod", "p")
        await until(lambda: gone(cluster))


async def _truth(value: object) -> bool:
    return bool(value)


# Crashes


@pytest.mark.parametrize("nodes_later", [False, True])
async def test_pods_outlive_the_kubelet_and_are_adopted(
    cluster: Cluster, client: Client, node: Node, nodes_later: bool
) -> None:
    async with node.running(keep_pods=True):
        await run(cluster, shell("echo before; sleep 1; echo after; sleep 600"))
        pod = await in_phase(cluster, "Running")
    before = marked_processes(pod["metadata"]["uid"])()
    assert before
    async with node.running(nodes_later=nodes_later):
        await asyncio.sleep(1.2)
        assert set(before) & set(marked_processes(pod["metadata"]["uid"])())
        assert (await logs(client, "p")).split() == ["before", "after"]
        assert (await container_state(cluster))["restartCount"] == 0
        await cluster.delete("v1", "Pod", "p")
        await until(lambda: gone(cluster), 15)
    assert marked_processes(pod["metadata"]["uid"])() == []


async def test_an_end_that_nobody_saw_is_known(cluster: Cluster, node: Node) -> None:
    async with node.running(keep_pods=True):
        await run(cluster, shell("sleep 0.5; exit 7"), restartPolicy="Never")
        await in_phase(cluster, "Running")
    await asyncio.sleep(0.8)
    async with node.running():
        await in_phase(cluster, "Failed")
        assert (await container_state(cluster))["state"]["terminated"]["exitCode"] == 7


async def test_processes_of_deleted_pods_are_ended_at_start(cluster: Cluster, node: Node) -> None:
    async with node.running(keep_pods=True):
        await run(cluster, python(FOREVER))
        pod = await in_phase(cluster, "Running")
    await cluster.delete("v1", "Pod", "p", grace_seconds=0)
    assert marked_processes(pod["metadata"]["uid"])()
    async with node.running():
        assert marked_processes(pod["metadata"]["uid"])() == []


async def test_stopping_leaves_no_process(cluster: Cluster, node: Node) -> None:
    async with node.running():
        await run(cluster, python("import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"))
        pod = await in_phase(cluster, "Running")
    assert marked_processes(pod["metadata"]["uid"])() == []


async def test_what_leaves_its_session_is_ended_too(cluster: Cluster, kubelet: Kubelet) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); import time; time.sleep(600)"
    await run(cluster, python(code))
    pod = await in_phase(cluster, "Running")
    uid = pod["metadata"]["uid"]
    await until(lambda: _truth(len(marked_processes(uid)()) == 3))
    await cluster.delete("v1", "Pod", "p")
    await until(lambda: gone(cluster))
    assert marked_processes(uid)() == []


async def test_a_container_killed_from_outside_is_restarted(cluster: Cluster, kubelet: Kubelet) -> None:
    await run(cluster, python(FOREVER))
    pod = await in_phase(cluster, "Running")
    for process in _processes(pod):
        if "-c" in process.cmdline():
            os.kill(process.pid, signal.SIGKILL)

    async def restarted() -> bool:
        status = await container_state(cluster)
        return bool(status["restartCount"] == 1 and "running" in status["state"])

    await until(restarted)
    assert (await container_state(cluster))["lastState"]["terminated"]["exitCode"] == 137


async def test_the_pods_of_a_node_that_goes_are_deleted(cluster: Cluster, kubelet: Kubelet) -> None:
    await run(cluster, python(FOREVER))
    pod = await in_phase(cluster, "Running")
    await kubelet.set_nodes([NodeSpec("node-2", allocatable={"cpu": "1", "memory": "1Gi"})])
    await until(lambda: gone(cluster))
    assert marked_processes(pod["metadata"]["uid"])() == []
    assert [node["metadata"]["name"] for node in await cluster.list("v1", "Node")] == ["node-2"]


@pytest.mark.parametrize("replicas", [2])
async def test_a_deployment_runs_to_availability(cluster: Cluster, kubelet: Kubelet, replicas: int) -> None:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [python(FOREVER)]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    await cluster.create("apps/v1", "Deployment", "d", spec=spec)

    async def available() -> bool:
        found = await cluster.get("apps/v1", "Deployment", "d") or {}
        return bool((found.get("status") or {}).get("availableReplicas") == replicas)

    await until(available, 20)
