"""RayClusters: what the operator makes of them, and what it says about them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.controllers.kuberay.cluster_rules import metadata_fault, spec_fault
from mlp_helpers.sandbox.controllers.kuberay.pods import head_pod, start_command, worker_pod
from tests.sandbox.kuberay.kubelet import Kubelet, Object, cluster_spec, ray_cluster, until


def conditions(status: Object) -> dict[str, str]:
    return {one["type"]: one["status"] for one in status["conditions"]}


def environment(container: Object) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def owned() -> Object:
    cluster = ray_cluster()
    cluster["metadata"]["uid"] = "1"
    return cluster


def test_the_head_starts_ray_as_its_group_says() -> None:
    pod = head_pod(owned())
    container = pod["spec"]["containers"][0]
    command = environment(container)["KUBERAY_GEN_RAY_START_CMD"]
    assert command == (
        "ray start --head --block --dashboard-agent-listen-port=52365 --dashboard-host=0.0.0.0 "
        "--memory=4294967296 --metrics-export-port=8080 --num-cpus=0"
    )
    assert container["args"] == [f"ulimit -n 65536; {command}"]
    assert environment(container)["RAY_ADDRESS"] == "127.0.0.1:6379"
    assert environment(container)["RAY_AUTH_TOKEN"] == {"secretKeyRef": {"name": "ml-team", "key": "auth_token"}}
    assert pod["metadata"]["name"].startswith("ml-team-head-")
    assert pod["metadata"]["labels"]["ray.io/group"] == "headgroup"


def test_a_worker_joins_the_head_and_waits_for_it_first() -> None:
    cluster = owned()
    pod = worker_pod(cluster, cluster["spec"]["workerGroupSpecs"][0])
    container, wait = pod["spec"]["containers"][0], pod["spec"]["initContainers"][0]
    assert environment(container)["KUBERAY_GEN_RAY_START_CMD"] == (
        "ray start --address=ml-team-head-svc.ml-team.svc.cluster.local:6379 --block "
        "--dashboard-agent-listen-port=52365 --memory=2147483648 --metrics-export-port=8080 --num-cpus=2"
    )
    assert environment(container)["FQ_RAY_IP"] == "ml-team-head-svc.ml-team.svc.cluster.local"
    assert wait["name"] == "wait-gcs-ready"
    # Pod Security looks at every container.
    assert wait["securityContext"] == container["securityContext"]
    assert pod["metadata"]["name"].startswith("ml-team-workers-worker-")


def test_flags_stand_alone_and_false_ones_are_left_out() -> None:
    assert (
        start_command({"block": "true", "no-monitor": "false", "port": "1"}, "head")
        == "ray start --head --block --port=1"
    )


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("ml-team", {}, ""),
        ("x" * 54, {}, "no more than 53"),
        ("1team", {}, "DNS1035"),
        ("ml-team", {"workerGroupSpecs": cluster_spec()["workerGroupSpecs"] * 2}, "unique"),
        ("ml-team", {"headGroupSpec": {"template": {"spec": {"containers": []}}}}, "at least one container"),
    ],
)
def test_a_cluster_that_breaks_a_rule_says_which(name: str, changes: Object, words: str) -> None:
    cluster = ray_cluster(name, **changes)
    fault = metadata_fault(cluster["metadata"]) or spec_fault(cluster["spec"])
    assert (words in fault) if words else not fault


async def test_a_cluster_becomes_ready_with_head_service_token_and_workers(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_cluster(replicas=2))
    status = await kubelet.until_state("RayCluster", "ml-team", state="ready", readyWorkerReplicas=2)
    assert status["desiredWorkerReplicas"] == status["availableWorkerReplicas"] == 2
    assert (status["minWorkerReplicas"], status["maxWorkerReplicas"]) == (0, 4)
    assert (status["desiredCPU"], status["desiredMemory"], status["desiredGPU"]) == ("4", "8Gi", "0")
    assert status["endpoints"]["dashboard"] == "8265"
    assert status["head"]["serviceName"] == "ml-team-head-svc"
    assert conditions(status)["HeadPodReady"] == conditions(status)["RayClusterProvisioned"] == "True"
    service = await kubelet.get("Service", "ml-team-head-svc", "v1")
    assert service is not None
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"]["ray.io/node-type"] == "head"
    secret = await kubelet.get("Secret", "ml-team", "v1")
    assert secret is not None
    assert len(base64.b64decode(secret["data"]["auth_token"])) >= 32
    assert secret["metadata"]["ownerReferences"][0]["kind"] == "RayCluster"
    assert {"CreatedHeadPod", "CreatedWorkerPod", "CreatedService"} <= await kubelet.events()


async def test_workers_follow_the_replicas_within_their_bounds(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_cluster(replicas=1))
    await kubelet.until_state("RayCluster", "ml-team", readyWorkerReplicas=1)
    groups = cluster_spec(9)["workerGroupSpecs"]
    await kubelet.patch("RayCluster", "ml-team", {"spec": {"workerGroupSpecs": groups}})
    await kubelet.until_state("RayCluster", "ml-team", desiredWorkerReplicas=4, readyWorkerReplicas=4)
    groups[0]["replicas"] = 0
    await kubelet.patch("RayCluster", "ml-team", {"spec": {"workerGroupSpecs": groups}})
    await kubelet.until_state("RayCluster", "ml-team", desiredWorkerReplicas=0, availableWorkerReplicas=0)
    assert len(await kubelet.pods("head")) == 1


async def test_a_worker_named_for_deletion_is_the_one_that_goes(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_cluster(replicas=2))
    await kubelet.until_state("RayCluster", "ml-team", readyWorkerReplicas=2)
    chosen = (await kubelet.pods("worker"))[1]["metadata"]["name"]
    groups = cluster_spec(1)["workerGroupSpecs"]
    groups[0]["scaleStrategy"] = {"workersToDelete": [chosen]}
    await kubelet.patch("RayCluster", "ml-team", {"spec": {"workerGroupSpecs": groups}})

    async def is_gone() -> bool:
        names = [pod["metadata"]["name"] for pod in await kubelet.pods("worker")]
        return len(names) == 1 and chosen not in names

    await until(is_gone)


@pytest.mark.parametrize("node_type", ["head", "worker"])
@pytest.mark.parametrize("way", ["deleted", "failed"])
async def test_a_lost_pod_is_replaced(kubelet: Kubelet, client: Client, node_type: str, way: str) -> None:
    await client.create(ray_cluster())
    await kubelet.until_state("RayCluster", "ml-team", state="ready", readyWorkerReplicas=1)
    lost = (await kubelet.pods(node_type))[0]["metadata"]
    if way == "deleted":
        await client.delete(await client.resource("v1", "Pod"), lost["name"], lost["namespace"])
    else:
        await kubelet.set_phase(lost["name"], "Failed")

    async def is_replaced() -> bool:
        now = await kubelet.pods(node_type)
        return len(now) == 1 and now[0]["metadata"]["uid"] != lost["uid"]

    await until(is_replaced)
    await kubelet.until_state("RayCluster", "ml-team", readyWorkerReplicas=1)


async def test_a_suspended_cluster_has_no_pods_and_comes_back(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_cluster())
    await kubelet.until_state("RayCluster", "ml-team", state="ready")
    await kubelet.patch("RayCluster", "ml-team", {"spec": {"suspend": True}})
    status = await kubelet.until_state("RayCluster", "ml-team", state="suspended")
    assert conditions(status)["RayClusterSuspended"] == "True"
    assert not await kubelet.pods()
    await kubelet.patch("RayCluster", "ml-team", {"spec": {"suspend": False}})
    await kubelet.until_state("RayCluster", "ml-team", state="ready", readyWorkerReplicas=1)


async def test_a_cluster_is_not_ready_while_its_pods_are_not(kubelet: Kubelet, client: Client) -> None:
    kubelet.is_held = True
    await client.create(ray_cluster())
    status = await kubelet.until_state("RayCluster", "ml-team", desiredWorkerReplicas=1)
    assert "state" not in status
    assert conditions(status)["RayClusterProvisioned"] == "False"
    kubelet.is_held = False
    await kubelet.until_state("RayCluster", "ml-team", state="ready")


async def test_an_invalid_cluster_gets_an_event_and_no_pods(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_cluster("1team"))

    async def is_told() -> bool:
        return "InvalidRayClusterMetadata" in await kubelet.events()

    await until(is_told)
    assert not await kubelet.pods()


async def test_pods_that_are_refused_are_told_once_and_tried_again(kubelet: Kubelet, client: Client) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": "ml-team"},
        "spec": {"hard": {"pods": "0"}},
    }
    await client.apply(quota, manager="tests")
    await client.create(ray_cluster())

    async def is_told() -> bool:
        status = (await kubelet.get("RayCluster", "ml-team") or {}).get("status") or {}
        return "exceeded quota" in status.get("reason", "")

    await until(is_told)
    status = await kubelet.until_state("RayCluster", "ml-team", desiredWorkerReplicas=1)
    assert conditions(status)["ReplicaFailure"] == "True"
    found, _ = await client.list(await client.resource("v1", "Event"), "ml-team")
    assert len([event for event in found if event["reason"] == "FailedToCreateHeadPod"]) == 1
    await client.delete(await client.resource("v1", "ResourceQuota"), "none", "ml-team")
    await kubelet.until_state("RayCluster", "ml-team", state="ready")
