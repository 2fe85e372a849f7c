"""The RayCluster controller: a head, its Service and token, and as many workers as each group wants."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlp_helpers.sandbox.controllers.client import (
    AlreadyExistsError,
    ApiError,
    Client,
    ConflictError,
    NotFoundError,
    Object,
)
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.kuberay.cluster_rules import metadata_fault, spec_fault
from mlp_helpers.sandbox.controllers.kuberay.cluster_status import (
    cluster_status,
    differs,
    has_ended,
    is_leaving,
    is_ready,
    now_text,
    of_group,
    of_type,
    wanted_replicas,
)
from mlp_helpers.sandbox.controllers.kuberay.names import API_VERSION, CLUSTER_LABEL, GROUP_LABEL, uses_token
from mlp_helpers.sandbox.controllers.kuberay.objects import head_service, token_secret
from mlp_helpers.sandbox.controllers.kuberay.pods import head_pod, worker_pod
from mlp_helpers.sandbox.controllers.loop import Informer, Key

# Whatever was missed is found again then, as the real operator does.
LOOK_AGAIN_SECONDS = 300.0


class ClusterController:
    """Reconciles RayClusters.

    Args:
        client: The operator's account.
        clusters: Informer of RayClusters.
        pods: Informer of pods.
        services: Informer of Services.
        events: Where people read what happened.
        log: The operator's log.
    """

    name = "kuberay.raycluster"

    def __init__(
        self,
        client: Client,
        clusters: Informer,
        pods: Informer,
        services: Informer,
        events: EventRecorder,
        log: logging.Logger,
    ) -> None:
        self._client, self._events, self._log = client, events, log
        self._clusters, self._pods, self._services = clusters, pods, services

    async def reconcile(self, key: Key) -> float | None:
        """Bring one RayCluster about."""
        namespace, name = key
        cluster = self._clusters.get(name, namespace)
        if cluster is None or cluster["metadata"].get("deletionTimestamp"):
            return None  # what it owns is collected
        fault, reason = metadata_fault(cluster["metadata"]), "InvalidRayClusterMetadata"
        if not fault:
            fault, reason = spec_fault(cluster["spec"]), "InvalidRayClusterSpec"
        if fault:
            await self._events.warning(cluster, reason, f"The RayCluster {namespace}/{name} is invalid: {fault}")
            return None
        if cluster["spec"].get("enableInTreeAutoscaling"):
            text = "not emulated in the sandbox: enableInTreeAutoscaling; the groups keep their replicas"
            await self._events.warning(cluster, "NotEmulated", text)
        failure = ""
        try:
            await self._ensure_objects(cluster)
            await self._ensure_pods(cluster)
        except ConflictError:
            raise
        except ApiError as error:
            failure = str(error)
        await self._write_status(cluster, failure)
        if failure:
            raise RayClusterError(failure)
        return LOOK_AGAIN_SECONDS

    async def _ensure_objects(self, cluster: Object) -> None:
        if uses_token(cluster) and not (cluster["spec"].get("authOptions") or {}).get("secretName"):
            await self._create_once(cluster, token_secret(cluster), "Secret")
        wanted = head_service(cluster)
        if self._services.get(wanted["metadata"]["name"], wanted["metadata"]["namespace"]) is None:
            made = await self._create_once(cluster, wanted, "Service")
            if made is not None:
                self._services.note(made)

    async def _create_once(self, cluster: Object, wanted: Object, kind: str) -> Object | None:
        metadata = wanted["metadata"]
        resource = await self._client.resource("v1", kind)
        try:
            await self._client.get(resource, metadata["name"], metadata["namespace"])
        except NotFoundError:
            try:
                made = await self._client.create(wanted)
            except AlreadyExistsError:
                return None
            text = f"Created {kind.lower()} {metadata['namespace']}/{metadata['name']}"
            await self._events.normal(cluster, f"Created{kind}", text)
            return made
        return None

    async def _ensure_pods(self, cluster: Object) -> None:
        if cluster["spec"].get("suspend"):
            for pod in self._pods_of(cluster):
                await self._delete(cluster, pod, "the cluster is suspended")
            return
        await self._ensure_head(cluster)
        groups = cluster["spec"].get("workerGroupSpecs") or []
        for group in groups:
            await self._ensure_group(cluster, group)
        names = {group["groupName"] for group in groups}
        for worker in of_type(self._pods_of(cluster), "worker"):
            if worker["metadata"]["labels"].get(GROUP_LABEL) not in names:
                await self._delete(cluster, worker, "its group is gone")

    async def _ensure_head(self, cluster: Object) -> None:
        heads = [pod for pod in of_type(self._pods_of(cluster), "head") if not is_leaving(pod)]
        for pod in heads:
            if has_ended(pod):
                await self._delete(cluster, pod, f"it ended as {pod['status']['phase']}")
        # Two heads would be two clusters: the next one waits until the last one is really gone.
        if not of_type(self._pods_of(cluster), "head"):
            await self._create_pod(cluster, head_pod(cluster), "Head")
        for extra in sorted(heads, key=_age)[1:]:
            await self._delete(cluster, extra, "a cluster has one head")

    async def _ensure_group(self, cluster: Object, group: Mapping[str, Any]) -> None:
        staying: list[Mapping[str, Any]] = []
        named = set((group.get("scaleStrategy") or {}).get("workersToDelete") or [])
        for pod in of_group(self._pods_of(cluster), group["groupName"]):
            if is_leaving(pod):
                continue
            if has_ended(pod):
                await self._delete(cluster, pod, f"it ended as {pod['status']['phase']}")
            elif pod["metadata"]["name"] in named:
                await self._delete(cluster, pod, "it was named in workersToDelete")
            else:
                staying.append(pod)
        wanted = wanted_replicas(group)
        for pod in sorted(staying, key=_leaves_first)[: max(0, len(staying) - wanted)]:
            await self._delete(cluster, pod, f"the group {group['groupName']} wants {wanted}")
        for _ in range(wanted - len(staying)):
            await self._create_pod(cluster, worker_pod(cluster, group), "Worker")

    async def _create_pod(self, cluster: Object, pod: Object, kind: str) -> None:
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        try:
            made = await self._client.create(pod)
        except ApiError as error:
            # The random end would make every attempt a new event and a new status, and so a new attempt.
            name = pod["metadata"]["name"]
            why = str(error).replace(name, name.rpartition("-")[0])
            await self._events.warning(
                cluster, f"FailedToCreate{kind}Pod", f"Failed to create {kind.lower()} Pod, {why}"
            )
            raise RayClusterError(why) from error
        self._pods.note(made)
        self._log.info("created %s pod %s", kind.lower(), where)
        await self._events.normal(cluster, f"Created{kind}Pod", f"Created {kind.lower()} Pod {where}")

    async def _delete(self, cluster: Object, pod: Mapping[str, Any], why: str) -> None:
        if is_leaving(pod):
            return
        metadata = pod["metadata"]
        try:
            resource = await self._client.resource("v1", "Pod")
            await self._client.delete(resource, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except (NotFoundError, ConflictError):
            return
        kind = "Head" if of_type([pod], "head") else "Worker"
        text = f"Deleted {kind.lower()} Pod {metadata['namespace']}/{metadata['name']}; {why}"
        self._log.info("%s", text)
        await self._events.normal(cluster, f"Deleted{kind}Pod", text)

    async def _write_status(self, cluster: Object, failure: str) -> None:
        metadata = cluster["metadata"]
        service = self._services.get(f"{metadata['name']}-head-svc", metadata["namespace"])
        status = cluster_status(cluster, self._pods_of(cluster), service, failure=failure)
        if differs(cluster.get("status") or {}, status):
            resource = await self._client.resource(API_VERSION, "RayCluster")
            # The newest version is asked for, so that only a true conflict is one.
            live = await self._client.get(resource, metadata["name"], metadata["namespace"])
            made = await self._client.replace_status({**live, "status": {**status, "lastUpdateTime": now_text()}})
            self._clusters.note(made)

    def _pods_of(self, cluster: Object) -> Sequence[Object]:
        metadata = cluster["metadata"]
        return [
            pod
            for pod in self._pods.list(metadata["namespace"])
            if any(owner.get("uid") == metadata["uid"] for owner in pod["metadata"].get("ownerReferences") or [])
        ]


class RayClusterError(ApiError):
    """Pods of a cluster could not be made; the loop tries again, ever more seldom."""

    def __init__(self, message: str) -> None:
        super().__init__({"message": message, "reason": "FailedCreate"})


def keys_of_labels(obj: Object) -> Iterable[Key]:
    """The RayCluster that a pod or Service is labelled with."""
    name = (obj["metadata"].get("labels") or {}).get(CLUSTER_LABEL)
    if name:
        yield obj["metadata"]["namespace"], name


def _age(pod: Mapping[str, Any]) -> tuple[str, str]:
    return pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]


def _leaves_first(pod: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Pods that do no work yet are the first to go."""
    return (is_ready(pod), *_age(pod))
