"""The RayJob controller: a cluster for the job (or one that is there), one submission, and what became of it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import yaml

from mlp_helpers.sandbox.controllers.client import ApiError, Client, NotFoundError, Object
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.kuberay.cluster_status import now_text
from mlp_helpers.sandbox.controllers.kuberay.job_server import JobRefusedError, JobServer, JobUnknownError
from mlp_helpers.sandbox.controllers.kuberay.names import (
    API_VERSION,
    CLUSTER_LABEL,
    DASHBOARD_PORT,
    LONGEST_JOB_NAME,
    ORIGIN_KIND_LABEL,
    ORIGIN_NAME_LABEL,
    TOKEN_KEY,
    head_address,
    owner_reference,
    suffix,
    uses_token,
)
from mlp_helpers.sandbox.controllers.kuberay.pods import token_secret_name
from mlp_helpers.sandbox.controllers.loop import Informer, Key

LOOK_SECONDS = 1.0
FINALIZER = "ray.io/rayjob-finalizer"
TERMINAL = ("SUCCEEDED", "FAILED", "STOPPED")
FINISHED = ("Complete", "Failed", "ValidationFailed")


@dataclass(frozen=True)
class Step:
    """What one look at a RayJob leads to: changes of its status, and when to look again."""

    changes: Mapping[str, Any]
    again_seconds: float | None = LOOK_SECONDS


class JobController:
    """Reconciles RayJobs.

    Args:
        client: The operator's account.
        jobs: Informer of RayJobs.
        clusters: Informer of RayClusters.
        events: Where people read what happened.
        log: The operator's log.
    """

    name = "kuberay.rayjob"

    def __init__(
        self, client: Client, jobs: Informer, clusters: Informer, events: EventRecorder, log: logging.Logger
    ) -> None:
        self._client, self._events, self._log = client, events, log
        self._jobs, self._clusters = jobs, clusters

    async def reconcile(self, key: Key) -> float | None:
        """Take one RayJob one step on."""
        namespace, name = key
        job = self._jobs.get(name, namespace)
        if job is None:
            return None
        if job["metadata"].get("deletionTimestamp"):
            await self._let_go(job)
            return None
        step = await self._step(job)
        await self._write_status(job, step.changes)
        return step.again_seconds

    async def _step(self, job: Object) -> Step:
        status, spec = job.get("status") or {}, job["spec"]
        state = status.get("jobDeploymentStatus", "")
        if state in ("Initializing", "Running", "Waiting") and spec.get("suspend"):
            return Step({"jobDeploymentStatus": "Suspending"})
        if state in ("Initializing", "Running") and _is_late(job):
            text = f"The RayJob has passed the activeDeadlineSeconds of {spec['activeDeadlineSeconds']}"
            await self._events.warning(job, "DeadlineExceeded", text)
            return Step(_ended("Failed", "DeadlineExceeded", text))
        match state:
            case "" | "New":
                return await self._begin(job)
            case "Initializing" | "Waiting":
                return await self._submit(job)
            case "Running":
                return await self._follow(job)
            case "Retrying":
                return await self._start_over(job, {})
            case "Suspending":
                return await self._suspend(job)
            case "Suspended":
                return Step({}, None) if spec.get("suspend") else Step({"jobDeploymentStatus": ""})
            case _:
                return await self._clean_up(job)

    async def _begin(self, job: Object) -> Step:
        fault = job_fault(job)
        if fault:
            await self._events.warning(job, "InvalidRayJobSpec", fault)
            return Step({"jobDeploymentStatus": "ValidationFailed", "reason": "ValidationFailed", "message": fault})
        if job["spec"].get("suspend"):
            return Step({"jobDeploymentStatus": "Suspended"}, None)
        if job["spec"].get("clusterSelector"):
            await self._set_finalizer(job, is_present=True)
        name = job["metadata"]["name"]
        selected = (job["spec"].get("clusterSelector") or {}).get(CLUSTER_LABEL)
        return Step(
            {
                "jobDeploymentStatus": "Initializing",
                "jobId": job["spec"].get("jobId") or f"{name}-{suffix()}",
                "rayClusterName": selected or f"{name}-{suffix()}",
                "startTime": now_text(),
                "endTime": None,
                "jobStatus": "",
                "reason": "",
                "message": "",
            },
            0.0,
        )

    async def _submit(self, job: Object) -> Step:
        cluster = await self._cluster(job)
        if cluster is None or (cluster.get("status") or {}).get("state") != "ready":
            changes = {"rayClusterStatus": (cluster or {}).get("status") or {}}
            return Step(changes)
        address = f"{head_address(cluster['metadata']['name'], job['metadata']['namespace'])}:{DASHBOARD_PORT}"
        ready = {"dashboardURL": address, "rayClusterStatus": cluster["status"]}
        mode = job["spec"].get("submissionMode", "K8sJobMode")
        if mode == "InteractiveMode" and not job["spec"].get("jobId"):
            return Step({**ready, "jobDeploymentStatus": "Waiting"})
        request = submission(job)
        if mode != "InteractiveMode":
            try:
                await (await self._server(cluster)).submit(request)
            except JobRefusedError as error:
                return Step({**ready, **_ended("Failed", "SubmissionFailed", str(error))})
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                self._log.info("%s: the job server does not answer yet: %s", job["metadata"]["name"], error)
                return Step(ready)
        text = f"Submitted the job {request['submission_id']} to {address}"
        if mode in ("K8sJobMode", "SidecarMode"):
            text += f"; in the sandbox the operator does so itself, over HTTP, also in {mode}"
        await self._events.normal(job, "Submitted", text)
        return Step({**ready, "jobDeploymentStatus": "Running", "jobStatus": "PENDING"})

    async def _follow(self, job: Object) -> Step:
        status = job["status"]
        cluster = await self._cluster(job)
        if cluster is None:
            return Step(_ended("Failed", "AppFailed", f"The RayCluster {status['rayClusterName']} is gone"))
        try:
            found = await (await self._server(cluster)).info(status["jobId"])
        except JobUnknownError:
            text = f"The Ray head does not know the job {status['jobId']}: it was replaced meanwhile"
            return await self._ended_or_again(job, "FAILED", text)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            self._log.info("%s: the job server does not answer: %s", job["metadata"]["name"], error)
            return Step({})
        changes = {"jobStatus": found.status, "message": found.message}
        if found.status not in TERMINAL:
            return Step(changes)
        return await self._ended_or_again(job, found.status, found.message)

    async def _ended_or_again(self, job: Object, job_status: str, message: str) -> Step:
        status = job["status"]
        if job_status == "SUCCEEDED":
            count = {"succeeded": status.get("succeeded", 0) + 1}
            return Step({"jobStatus": job_status, **_ended("Complete", "", message), **count})
        failed = status.get("failed", 0) + (job_status == "FAILED")
        changes = {"jobStatus": job_status, "failed": failed}
        if job_status == "STOPPED":
            return Step({**changes, **_ended("Complete", "", message)})
        if failed <= job["spec"].get("backoffLimit", 0):
            return Step({**changes, "jobDeploymentStatus": "Retrying", "message": message})
        return Step({**changes, **_ended("Failed", "AppFailed", message)})

    async def _start_over(self, job: Object, changes: Mapping[str, Any]) -> Step:
        """Forget the last attempt, with its cluster if that is the job's own."""
        await self._delete_cluster(job)
        fresh = {
            "jobDeploymentStatus": "",
            "jobId": "",
            "rayClusterName": "",
            "dashboardURL": "",
            "rayClusterStatus": {},
        }
        return Step({**fresh, **changes}, 0.0)

    async def _suspend(self, job: Object) -> Step:
        if job["spec"].get("clusterSelector"):
            await self._stop_quietly(job)
        step = await self._start_over(job, {"jobDeploymentStatus": "Suspended", "jobStatus": "", "startTime": None})
        return Step(step.changes, LOOK_SECONDS)

    async def _clean_up(self, job: Object) -> Step:
        spec, status = job["spec"], job["status"]
        if not spec.get("shutdownAfterJobFinishes") or status.get("jobDeploymentStatus") == "ValidationFailed":
            return Step({}, None)
        left = spec.get("ttlSecondsAfterFinished", 0) - _seconds_since(status.get("endTime"))
        if left > 0:
            return Step({}, left)
        await self._delete_cluster(job)
        return Step({}, None)

    # The cluster

    async def _cluster(self, job: Object) -> Object | None:
        """The job's cluster; made if it is the job's own and not there yet."""
        namespace, name = job["metadata"]["namespace"], job["status"]["rayClusterName"]
        cluster = self._clusters.get(name, namespace)
        if cluster is not None or job["spec"].get("clusterSelector"):
            return cluster
        if job["status"].get("jobDeploymentStatus") != "Initializing":
            return None
        made = await self._client.create(
            {
                "apiVersion": API_VERSION,
                "kind": "RayCluster",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": {
                        **(job["metadata"].get("labels") or {}),
                        ORIGIN_KIND_LABEL: "RayJob",
                        ORIGIN_NAME_LABEL: job["metadata"]["name"],
                    },
                    "ownerReferences": [owner_reference(job)],
                },
                "spec": job["spec"]["rayClusterSpec"],
            }
        )
        self._clusters.note(made)
        await self._events.normal(job, "CreatedRayCluster", f"Created RayCluster {namespace}/{name}")
        return made

    async def _delete_cluster(self, job: Object) -> None:
        namespace, name = job["metadata"]["namespace"], (job.get("status") or {}).get("rayClusterName")
        if not name or job["spec"].get("clusterSelector") or self._clusters.get(name, namespace) is None:
            return
        try:
            await self._client.delete(await self._client.resource(API_VERSION, "RayCluster"), name, namespace)
        except NotFoundError:
            return
        await self._events.normal(job, "DeletedRayCluster", f"Deleted RayCluster {namespace}/{name}")

    async def _server(self, cluster: Object) -> JobServer:
        metadata, token = cluster["metadata"], ""
        if uses_token(cluster):
            resource = await self._client.resource("v1", "Secret")
            secret = await self._client.get(resource, token_secret_name(cluster), metadata["namespace"])
            token = base64.b64decode((secret.get("data") or {}).get(TOKEN_KEY, "")).decode()
        return JobServer(self._client, metadata["namespace"], metadata["name"], token)

    # The end

    async def _let_go(self, job: Object) -> None:
        if FINALIZER in (job["metadata"].get("finalizers") or []):
            await self._stop_quietly(job)
            await self._set_finalizer(job, is_present=False)

    async def _stop_quietly(self, job: Object) -> None:
        """Stop a job on a cluster that stays; if the cluster does not answer, there is nothing to stop."""
        status = job.get("status") or {}
        if status.get("jobDeploymentStatus") not in ("Running", "Suspending"):
            return
        cluster = self._clusters.get(status.get("rayClusterName", ""), job["metadata"]["namespace"])
        if cluster is None:
            return
        try:
            await (await self._server(cluster)).stop(status["jobId"])
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            self._log.warning("%s: cannot stop the job: %s", job["metadata"]["name"], error)

    async def _set_finalizer(self, job: Object, *, is_present: bool) -> None:
        metadata = job["metadata"]
        resource = await self._client.resource(API_VERSION, "RayJob")
        live = await self._client.get(resource, metadata["name"], metadata["namespace"])
        others = [one for one in live["metadata"].get("finalizers") or [] if one != FINALIZER]
        live["metadata"]["finalizers"] = others + ([FINALIZER] if is_present else [])
        await self._client.replace(live)

    async def _write_status(self, job: Object, changes: Mapping[str, Any]) -> None:
        before = job.get("status") or {}
        after = {**before, **changes, "observedGeneration": job["metadata"].get("generation", 1)}
        after = {key: value for key, value in after.items() if value not in ("", {}, None)}
        if after == before:
            return
        metadata = job["metadata"]
        resource = await self._client.resource(API_VERSION, "RayJob")
        live = await self._client.get(resource, metadata["name"], metadata["namespace"])
        self._jobs.note(await self._client.replace_status({**live, "status": after}))


def job_fault(job: Mapping[str, Any]) -> str:
    """What is wrong with a RayJob; empty if nothing is."""
    spec, name = job["spec"], job["metadata"]["name"]
    if len(name) > LONGEST_JOB_NAME:
        return f"RayJob name should be no more than {LONGEST_JOB_NAME} characters"
    own, selector = spec.get("rayClusterSpec"), spec.get("clusterSelector")
    if not own and not selector:
        return "one of rayClusterSpec or clusterSelector must be set"
    if selector and not selector.get(CLUSTER_LABEL):
        return f"clusterSelector must name a cluster: {CLUSTER_LABEL}"
    if selector and spec.get("shutdownAfterJobFinishes"):
        return "shutdownAfterJobFinishes cannot be true with a clusterSelector: the cluster is not the job's own"
    if selector and spec.get("backoffLimit"):
        return "backoffLimit cannot be set with a clusterSelector"
    if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
        return "ttlSecondsAfterFinished has no meaning without shutdownAfterJobFinishes"
    if spec.get("suspend") and not selector and not spec.get("shutdownAfterJobFinishes"):
        return "a RayJob with shutdownAfterJobFinishes set to false is not allowed to be suspended"
    if not spec.get("entrypoint") and spec.get("submissionMode") != "InteractiveMode":
        return "entrypoint must be set"
    return _runtime_fault(spec)


def _runtime_fault(spec: Mapping[str, Any]) -> str:
    try:
        runtime = yaml.safe_load(spec.get("runtimeEnvYAML") or "{}")
    except yaml.YAMLError as error:
        return f"runtimeEnvYAML is not YAML: {error}"
    return "" if isinstance(runtime, dict) else "runtimeEnvYAML must be a mapping"


def submission(job: Mapping[str, Any]) -> dict[str, Any]:
    """The request to Ray's job server for a RayJob."""
    spec = job["spec"]
    request: dict[str, Any] = {
        "entrypoint": spec.get("entrypoint", ""),
        "submission_id": spec.get("jobId") or job["status"]["jobId"],
        "metadata": dict(spec.get("metadata") or {}),
    }
    if spec.get("runtimeEnvYAML"):
        request["runtime_env"] = yaml.safe_load(spec["runtimeEnvYAML"])
    for field, name in (("entrypointNumCpus", "entrypoint_num_cpus"), ("entrypointNumGpus", "entrypoint_num_gpus")):
        if spec.get(field):
            request[name] = spec[field]
    if spec.get("entrypointResources"):
        request["entrypoint_resources"] = json.loads(spec["entrypointResources"])
    return request


def _ended(state: str, reason: str, message: str) -> dict[str, Any]:
    return {"jobDeploymentStatus": state, "reason": reason, "message": message, "endTime": now_text()}


def _is_late(job: Mapping[str, Any]) -> bool:
    limit = job["spec"].get("activeDeadlineSeconds")
    return bool(limit) and _seconds_since((job.get("status") or {}).get("startTime")) > limit


def _seconds_since(time: str | None) -> float:
    if not time:
        return 0.0
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
