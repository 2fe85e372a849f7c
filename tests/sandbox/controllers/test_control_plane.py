"""The controllers at work on a real API server; the tests play the kubelet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mlp_helpers.sandbox.controllers.client import Object
from mlp_helpers.sandbox.controllers.conditions import find_condition, is_true

from .conftest import Cluster, until

pytestmark = pytest.mark.usefixtures("control_plane")

CONTAINER: Object = {"name": "c", "image": "python:3.12"}


def template(**container: Any) -> Object:
    return {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{**CONTAINER, **container}]}}


async def deployment(cluster: Cluster, replicas: int = 2, **spec: Any) -> Object:
    selector = {"matchLabels": {"app": "a"}}
    content = {"replicas": replicas, "selector": selector, "template": template(), **spec}
    return await cluster.create("apps/v1", "Deployment", "d", spec=content)


async def pods_of(cluster: Cluster, count: int) -> Sequence[Object]:
    """Wait until there are so many pods that are not ending."""
    found: list[Object] = []

    async def there() -> bool:
        pods = await cluster.list("v1", "Pod")
        found[:] = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return len(found) == count

    await until(there)
    return found


async def status_of(cluster: Cluster, api_version: str, kind: str, name: str) -> Object:
    found = await cluster.get(api_version, kind, name)
    return (found or {}).get("status") or {}


# Namespaces


async def test_a_new_namespace_gets_its_account_and_certificate(cluster: Cluster) -> None:
    await cluster.create("v1", "Namespace", "team")
    await until(lambda: cluster.get("v1", "ServiceAccount", "default", "team"))
    await until(lambda: cluster.get("v1", "ConfigMap", "kube-root-ca.crt", "team"))
    found = await cluster.get("v1", "ConfigMap", "kube-root-ca.crt", "team")
    assert found is not None
    assert "BEGIN CERTIFICATE" in found["data"]["ca.crt"]


async def test_an_ending_namespace_is_emptied_first(cluster: Cluster) -> None:
    await cluster.create("v1", "Namespace", "team")
    held = {"namespace": "team", "finalizers": ["example.com/hold"]}
    await cluster.create("v1", "ConfigMap", "held", metadata=held)
    await cluster.create("v1", "Secret", "free", metadata={"namespace": "team"})
    await cluster.delete("v1", "Namespace", "team")

    async def says_why() -> bool:
        return is_true(await cluster.get("v1", "Namespace", "team") or {}, "NamespaceFinalizersRemaining")

    await until(says_why)
    assert await cluster.get("v1", "Secret", "free", "team") is None
    resource = await cluster.client.resource("v1", "ConfigMap")
    await cluster.client.patch(resource, "held", "team", {"metadata": {"finalizers": None}})
    await until(lambda: _gone(cluster, "v1", "Namespace", "team"))


async def _gone(cluster: Cluster, api_version: str, kind: str, name: str) -> bool:
    return await cluster.get(api_version, kind, name) is None


# Ownership


async def owned(cluster: Cluster) -> None:
    owner = await cluster.create("v1", "ConfigMap", "owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await cluster.create(
        "v1", "Secret", "child", metadata={"ownerReferences": [{**reference, "blockOwnerDeletion": True}]}
    )


async def test_what_is_owned_goes_with_its_owner(cluster: Cluster) -> None:
    await owned(cluster)
    await cluster.delete("v1", "ConfigMap", "owner")
    await until(lambda: _gone(cluster, "v1", "Secret", "child"))


async def test_in_the_foreground_the_owner_goes_last(cluster: Cluster) -> None:
    await owned(cluster)
    await cluster.patch("v1", "Secret", "child", {"metadata": {"finalizers": ["example.com/hold"]}})
    await cluster.delete("v1", "ConfigMap", "owner", propagation="Foreground")

    async def child_is_ending() -> bool:
        child = await cluster.get("v1", "Secret", "child")
        return child is not None and "deletionTimestamp" in child["metadata"]

    await until(child_is_ending)
    assert await cluster.get("v1", "ConfigMap", "owner") is not None
    await cluster.patch("v1", "Secret", "child", {"metadata": {"finalizers": None}})
    await until(lambda: _gone(cluster, "v1", "ConfigMap", "owner"))


async def test_orphans_stay(cluster: Cluster) -> None:
    await owned(cluster)
    await cluster.delete("v1", "ConfigMap", "owner", propagation="Orphan")
    await until(lambda: _gone(cluster, "v1", "ConfigMap", "owner"))
    child = await cluster.get("v1", "Secret", "child")
    assert child is not None
    assert "ownerReferences" not in child["metadata"]


async def test_an_owner_of_another_uid_is_none(cluster: Cluster) -> None:
    await cluster.create("v1", "ConfigMap", "owner")
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": "00000000-0000-0000-0000-000000000000",
    }
    await cluster.create("v1", "Secret", "child", metadata={"ownerReferences": [reference]})
    await until(lambda: _gone(cluster, "v1", "Secret", "child"))


# Workloads


async def test_a_deployment_becomes_available_with_its_pods(cluster: Cluster) -> None:
    await cluster.node()
    await deployment(cluster)
    for pod in await pods_of(cluster, 2):
        await cluster.be_kubelet(pod["metadata"]["name"])

    async def available() -> bool:
        found = await cluster.get("apps/v1", "Deployment", "d") or {}
        progress = find_condition(found, "Progressing") or {}
        return is_true(found, "Available") and progress.get("reason") == "NewReplicaSetAvailable"

    await until(available)
    status = await status_of(cluster, "apps/v1", "Deployment", "d")
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (2, 2, 2)
    (replica_set,) = await cluster.list("apps/v1", "ReplicaSet")
    assert await cluster.events("ScalingReplicaSet") == [
        f"Scaled up replica set {replica_set['metadata']['name']} from 0 to 2"
    ]


async def test_a_new_template_replaces_the_pods_and_goes_up_first(cluster: Cluster) -> None:
    await cluster.node()
    await deployment(cluster, 1)
    (old,) = await pods_of(cluster, 1)
    await cluster.be_kubelet(old["metadata"]["name"])
    change = {"spec": {"template": {"spec": {"containers": [{**CONTAINER, "image": "python:3.13"}]}}}}
    await cluster.patch("apps/v1", "Deployment", "d", change)
    both = await pods_of(cluster, 2)
    (new,) = [pod for pod in both if pod["metadata"]["name"] != old["metadata"]["name"]]
    await cluster.be_kubelet(new["metadata"]["name"])
    (left,) = await pods_of(cluster, 1)
    assert left["metadata"]["name"] == new["metadata"]["name"]
    found = await cluster.get("apps/v1", "Deployment", "d")
    assert found is not None
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


async def test_a_deleted_pod_is_replaced(cluster: Cluster) -> None:
    await deployment(cluster, 1)
    (pod,) = await pods_of(cluster, 1)
    await cluster.delete("v1", "Pod", pod["metadata"]["name"], grace_seconds=0)

    async def replaced() -> bool:
        names = [one["metadata"]["name"] for one in await cluster.list("v1", "Pod")]
        return len(names) == 1 and names[0] != pod["metadata"]["name"]

    await until(replaced)


async def test_scaling_down_deletes_pods(cluster: Cluster) -> None:
    await deployment(cluster, 3)
    await pods_of(cluster, 3)
    await cluster.patch("apps/v1", "Deployment", "d", {"spec": {"replicas": 1}})
    await pods_of(cluster, 1)


async def test_pods_that_quota_refuses_are_reported(cluster: Cluster) -> None:
    await cluster.create("v1", "ResourceQuota", "q", spec={"hard": {"pods": "0"}})

    async def counted() -> bool:
        return bool(await status_of(cluster, "v1", "ResourceQuota", "q"))

    await until(counted)
    await deployment(cluster, 1)

    async def reported() -> bool:
        sets = await cluster.list("apps/v1", "ReplicaSet")
        return bool(sets) and is_true(sets[0], "ReplicaFailure")

    await until(reported)
    assert "exceeded quota: q" in (await cluster.events("FailedCreate"))[0]


async def test_a_job_completes(cluster: Cluster) -> None:
    await cluster.node()
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}, "ttlSecondsAfterFinished": 0}
    await cluster.create("batch/v1", "Job", "j", spec=spec, metadata={"finalizers": ["example.com/look"]})
    (pod,) = await pods_of(cluster, 1)
    assert pod["metadata"]["labels"]["job-name"] == "j"
    await cluster.be_kubelet(pod["metadata"]["name"], "Succeeded", ready=False)

    async def complete() -> bool:
        return is_true(await cluster.get("batch/v1", "Job", "j") or {}, "Complete")

    await until(complete)
    assert "completionTime" in await status_of(cluster, "batch/v1", "Job", "j")
    await cluster.patch("batch/v1", "Job", "j", {"metadata": {"finalizers": None}})
    await until(lambda: _gone(cluster, "batch/v1", "Job", "j"))


async def test_a_job_gives_up_at_its_limit(cluster: Cluster) -> None:
    await cluster.node()
    spec = {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}
    await cluster.create("batch/v1", "Job", "j", spec=spec)
    (pod,) = await pods_of(cluster, 1)
    await cluster.be_kubelet(pod["metadata"]["name"], "Failed", ready=False, exit_code=1)

    async def failed() -> bool:
        return is_true(await cluster.get("batch/v1", "Job", "j") or {}, "Failed")

    await until(failed)
    assert await cluster.events("BackoffLimitExceeded") == ["Job has reached the specified backoff limit"]


# Scheduling


async def test_pods_are_bound_to_nodes_that_fit(cluster: Cluster) -> None:
    await cluster.create(
        "v1", "Pod", "p", spec={"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "5"}}}]}
    )

    async def refused(words: str) -> bool:
        found = find_condition(await cluster.get("v1", "Pod", "p") or {}, "PodScheduled") or {}
        return str(found.get("message", "")).startswith(words)

    await until(lambda: refused("no nodes available"))
    await cluster.node("small", cpu="4")
    await until(lambda: refused("0/1 nodes are available: 1 Insufficient cpu."))
    await cluster.node("large", cpu="8")

    async def bound() -> bool:
        found = await cluster.get("v1", "Pod", "p") or {"spec": {}}
        return bool(found["spec"].get("nodeName") == "large")

    await until(bound)

    async def said() -> bool:
        return await cluster.events("Scheduled") == ["Successfully assigned default/p to large"]

    await until(said)
    assert any("Insufficient cpu" in message for message in await cluster.events("FailedScheduling"))


async def test_a_pod_that_ends_makes_room(cluster: Cluster) -> None:
    await cluster.node(cpu="1")
    for name in ("first", "second"):
        spec = {"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "1"}}}]}
        await cluster.create("v1", "Pod", name, spec=spec)

    async def bound() -> list[str]:
        return [pod["metadata"]["name"] for pod in await cluster.list("v1", "Pod") if pod["spec"].get("nodeName")]

    await until(bound)
    (winner,) = await bound()
    await cluster.delete("v1", "Pod", winner, grace_seconds=0)

    async def other_is_bound() -> bool:
        names = await bound()
        return len(names) == 1 and names != [winner]

    await until(other_is_bound)


# Endpoints and quota


async def test_a_service_leads_to_the_real_ports_of_ready_pods(cluster: Cluster) -> None:
    await cluster.node()
    ports = [{"name": "web", "port": 80, "targetPort": 8080}]
    await cluster.create("v1", "Service", "s", spec={"selector": {"app": "a"}, "ports": ports})
    metadata = {"labels": {"app": "a"}, "annotations": {"sandbox.mlp/ports": '{"8080": 20001}'}}
    await cluster.create("v1", "Pod", "p", metadata=metadata, spec={"containers": [CONTAINER]})

    async def bound() -> bool:
        return bool((await cluster.get("v1", "Pod", "p") or {"spec": {}})["spec"].get("nodeName"))

    await until(bound)
    await cluster.be_kubelet("p")

    async def leads() -> bool:
        slices = await cluster.list(
            "discovery.k8s.io/v1", "EndpointSlice", label_selector="kubernetes.io/service-name=s"
        )
        return [one["ports"][0]["port"] for one in slices if one["endpoints"][0]["conditions"]["ready"]] == [20001]

    await until(leads)

    async def older_too() -> bool:
        found = await cluster.get("v1", "Endpoints", "s") or {}
        subsets = found.get("subsets") or [{}]
        return bool(subsets[0].get("addresses")) and bool(subsets[0]["ports"][0]["port"] == 20001)

    await until(older_too)
    await cluster.delete("v1", "Service", "s")
    await until(lambda: _gone(cluster, "v1", "Endpoints", "s"))


async def test_quota_counts_what_is_used(cluster: Cluster) -> None:
    hard = {"pods": "2", "requests.cpu": "1", "count/configmaps": "9"}
    await cluster.create("v1", "ResourceQuota", "q", spec={"hard": hard})
    await cluster.create("v1", "ConfigMap", "one")

    async def used() -> Object:
        return (await status_of(cluster, "v1", "ResourceQuota", "q")).get("used") or {}

    async def is_used(cpu: str) -> bool:
        return (await used()).get("requests.cpu") == cpu

    await until(lambda: is_used("0"))
    spec = {"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "250m"}}}]}
    await cluster.create("v1", "Pod", "p", spec=spec)
    await until(lambda: is_used("250m"))
    assert (await used())["pods"] == "1"
    await cluster.delete("v1", "Pod", "p", grace_seconds=0)
    await until(lambda: is_used("0"))
