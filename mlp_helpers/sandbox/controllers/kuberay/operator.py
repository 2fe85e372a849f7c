"""The operator: the controllers of KubeRay in one process, under the account of its pod."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from mlp_helpers.sandbox.controllers.client import Client, Object
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.kuberay.clusters import ClusterController, keys_of_labels
from mlp_helpers.sandbox.controllers.kuberay.jobs import JobController
from mlp_helpers.sandbox.controllers.kuberay.names import API_VERSION, ORIGIN_NAME_LABEL
from mlp_helpers.sandbox.controllers.loop import Key, Manager, own_key


async def run(kubeconfig: Mapping[str, object], environment: Mapping[str, str], log: logging.Logger) -> None:
    """Look after the RayClusters and RayJobs of a cluster until cancelled.

    Args:
        kubeconfig: The account of the operator's pod.
        environment: Not used; the operator has no settings that the sandbox knows.
        log: The pod's log.
    """
    del environment
    client = Client(kubeconfig, user_agent="kuberay-operator/sandbox")
    manager = Manager(client)
    clusters = manager.informer(API_VERSION, "RayCluster")
    jobs = manager.informer(API_VERSION, "RayJob")
    pods, services = manager.informer("v1", "Pod"), manager.informer("v1", "Service")
    events = EventRecorder(client, "raycluster-controller")
    manager.register(
        ClusterController(client, clusters, pods, services, events, log),
        {clusters: own_key, pods: keys_of_labels, services: keys_of_labels},
    )
    manager.register(
        JobController(client, jobs, clusters, EventRecorder(client, "rayjob-controller"), log),
        {jobs: own_key, clusters: _job_of},
    )
    log.info("watching RayClusters and RayJobs")
    try:
        await manager.run()
    finally:
        await client.close()


def _job_of(cluster: Object) -> Iterable[Key]:
    """The RayJob that made a cluster."""
    name = (cluster["metadata"].get("labels") or {}).get(ORIGIN_NAME_LABEL)
    if name:
        yield cluster["metadata"]["namespace"], name
