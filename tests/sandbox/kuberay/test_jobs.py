"""RayJobs: a cluster, a submission through the API server's proxy, and the result."""

from __future__ import annotations

from typing import Any

import pytest

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.controllers.kuberay.jobs import job_fault, submission
from tests.sandbox.kuberay.kubelet import Kubelet, Object, cluster_spec, ray_cluster, until


def ray_job(name: str = "flights", **spec: Any) -> Object:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "namespace": "ml-team"},
        "spec": {"entrypoint": "python job.py", **({"rayClusterSpec": cluster_spec()} | spec)},
    }


def on_standing_cluster(**spec: Any) -> Object:
    job = ray_job(**spec)
    del job["spec"]["rayClusterSpec"]
    job["spec"]["clusterSelector"] = {"ray.io/cluster": "ml-team"}
    return job


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, ""),
        ({"rayClusterSpec": None}, "rayClusterSpec or clusterSelector"),
        ({"rayClusterSpec": None, "clusterSelector": {"a": "b"}}, "ray.io/cluster"),
        ({"clusterSelector": {"ray.io/cluster": "a"}, "shutdownAfterJobFinishes": True}, "not the job's own"),
        ({"ttlSecondsAfterFinished": 5}, "shutdownAfterJobFinishes"),
        ({"suspend": True}, "suspended"),
        ({"entrypoint": ""}, "entrypoint"),
        ({"runtimeEnvYAML": "- a"}, "mapping"),
    ],
)
def test_a_job_that_breaks_a_rule_says_which(spec: Object, words: str) -> None:
    fault = job_fault(ray_job(**spec))
    assert (words in fault) if words else not fault


def test_a_submission_carries_what_the_job_says() -> None:
    job = ray_job(
        jobId="chosen",
        runtimeEnvYAML="env_vars: {A: b}\n",
        entrypointNumCpus=0.5,
        entrypointResources='{"x": 1}',
        metadata={"team": "ml"},
    )
    assert submission(job) == {
        "entrypoint": "python job.py",
        "submission_id": "chosen",
        "metadata": {"team": "ml"},
        "runtime_env": {"env_vars": {"A": "b"}},
        "entrypoint_num_cpus": 0.5,
        "entrypoint_resources": {"x": 1},
    }


async def running(kubelet: Kubelet, name: str = "flights") -> str:
    """Wait until a job runs; its submission id."""
    status = await kubelet.until_state("RayJob", name, jobDeploymentStatus="Running", jobStatus="RUNNING")
    return str(status["jobId"])


async def test_a_job_gets_a_cluster_runs_and_is_cleaned_up(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_job(shutdownAfterJobFinishes=True))
    submission_id = await running(kubelet)
    assert kubelet.job_server.jobs[submission_id]["entrypoint"] == "python job.py"
    secret_sent = next(iter(kubelet.job_server.tokens))
    assert secret_sent.startswith("Bearer ")
    kubelet.job_server.jobs[submission_id] |= {"status": "SUCCEEDED", "message": "Job finished successfully."}
    status = await kubelet.until_state("RayJob", "flights", jobDeploymentStatus="Complete", jobStatus="SUCCEEDED")
    assert status["succeeded"] == 1
    assert status["endTime"] >= status["startTime"]

    async def is_gone() -> bool:
        return await kubelet.get("RayCluster", status["rayClusterName"]) is None

    await until(is_gone)
    assert {"CreatedRayCluster", "Submitted", "DeletedRayCluster"} <= await kubelet.events()


async def test_a_failed_job_says_why(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_job(submissionMode="HTTPMode"))
    submission_id = await running(kubelet)
    kubelet.job_server.jobs[submission_id] |= {"status": "FAILED", "message": "exit code 1"}
    status = await kubelet.until_state("RayJob", "flights", jobDeploymentStatus="Failed", jobStatus="FAILED")
    assert (status["reason"], status["message"], status["failed"]) == ("AppFailed", "exit code 1", 1)
    assert await kubelet.get("RayCluster", status["rayClusterName"]) is not None


async def test_a_job_with_a_backoff_limit_is_tried_again_on_a_new_cluster(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_job(backoffLimit=1))
    first = await running(kubelet)
    kubelet.job_server.jobs[first] |= {"status": "FAILED", "message": "exit code 1"}

    async def is_another() -> bool:
        status = (await kubelet.get("RayJob", "flights") or {}).get("status") or {}
        return status.get("jobId") not in (None, first) and status.get("jobStatus") == "RUNNING"

    await until(is_another, seconds=20)


async def test_a_job_on_a_standing_cluster_leaves_it_and_stops_when_it_is_deleted(
    kubelet: Kubelet, client: Client
) -> None:
    await client.create(ray_cluster())
    await client.create(on_standing_cluster())
    submission_id = await running(kubelet)
    await client.delete(await client.resource("ray.io/v1", "RayJob"), "flights", "ml-team")

    async def is_gone() -> bool:
        return await kubelet.get("RayJob", "flights") is None

    await until(is_gone)
    assert kubelet.job_server.jobs[submission_id]["status"] == "STOPPED"
    assert await kubelet.get("RayCluster", "ml-team") is not None


async def test_a_job_that_takes_too_long_has_failed(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_job(activeDeadlineSeconds=2))
    status = await kubelet.until_state("RayJob", "flights", jobDeploymentStatus="Failed")
    assert status["reason"] == "DeadlineExceeded"


async def test_a_suspended_job_gives_its_cluster_back_and_goes_on_later(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_job(shutdownAfterJobFinishes=True, suspend=True))
    await kubelet.until_state("RayJob", "flights", jobDeploymentStatus="Suspended")
    assert not await kubelet.pods()
    await kubelet.patch("RayJob", "flights", {"spec": {"suspend": False}})
    await running(kubelet)
    await kubelet.patch("RayJob", "flights", {"spec": {"suspend": True}})
    await kubelet.until_state("RayJob", "flights", jobDeploymentStatus="Suspended")


async def test_an_invalid_job_fails_validation(kubelet: Kubelet, client: Client) -> None:
    await client.create(ray_job(rayClusterSpec=None))
    status = await kubelet.until_state("RayJob", "flights", jobDeploymentStatus="ValidationFailed")
    assert "rayClusterSpec" in status["message"]
