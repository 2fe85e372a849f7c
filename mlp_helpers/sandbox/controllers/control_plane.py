"""All controllers of the control plane under one manager."""

from __future__ import annotations

from mlp_helpers.sandbox.controllers.deployments import DeploymentController
from mlp_helpers.sandbox.controllers.endpoints import EndpointsController
from mlp_helpers.sandbox.controllers.jobs import JobController
from mlp_helpers.sandbox.controllers.loop import Manager
from mlp_helpers.sandbox.controllers.namespaces import NamespaceController
from mlp_helpers.sandbox.controllers.ownership import GarbageCollector
from mlp_helpers.sandbox.controllers.quota_status import QuotaStatusController
from mlp_helpers.sandbox.controllers.replica_sets import ReplicaSetController
from mlp_helpers.sandbox.controllers.scheduler import Scheduler


def register_control_plane(manager: Manager) -> None:
    """Register what every cluster runs beside its API server; `manager.run()` then runs it."""
    for controller in (
        NamespaceController,
        GarbageCollector,
        DeploymentController,
        ReplicaSetController,
        JobController,
        Scheduler,
        EndpointsController,
        QuotaStatusController,
    ):
        controller(manager)
