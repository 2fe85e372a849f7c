"""GKE's operations: who may begin one, what it does to the cluster, how it is shown."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from mlp_helpers.sandbox.google.clusters import ClusterHost
from mlp_helpers.sandbox.google.compute.locations import REGIONS
from mlp_helpers.sandbox.google.container import errors
from mlp_helpers.sandbox.google.container.defaults import SELF_LINK, with_address
from mlp_helpers.sandbox.google.container.store import ContainerStore, spec_of
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.errors import GoogleError
from mlp_helpers.sandbox.google.operations import Finish, Operation, Operations, moment

Json = dict[str, Any]

_DOING = {
    "CREATE_CLUSTER": "creating",
    "DELETE_CLUSTER": "deleting",
    "UPGRADE_MASTER": "upgrading",
    "CREATE_NODE_POOL": "creating a node pool in",
    "DELETE_NODE_POOL": "deleting a node pool of",
}
_RPC_NUMBERS = {
    "INTERNAL": 13,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
}

Announce = Callable[[str, Json], None]
"""Told of a cluster that has come (name, cluster) or, with an empty object, gone."""


class ClusterOperations:
    """Runs GKE's operations on a cluster host."""

    def __init__(self, documents: Documents, store: ContainerStore, host: ClusterHost, *, seconds: float) -> None:
        self._documents, self._store, self._host = documents, store, host
        self.announce: Announce = lambda name, cluster: None
        self.engine = Operations(
            documents,
            service="container",
            seconds=seconds,
            new_name=_new_name,
            work=self._work,
            fail=self._fail,
        )

    def begin(self, kind: str, target: str, **arguments: Any) -> Json:
        """Begin an operation on a cluster or node pool."""
        scope = target.partition("/clusters/")[0]
        return shown(self.engine.begin(kind, scope=scope, target=target, arguments=arguments))

    def running(self, cluster: str) -> list[Operation]:
        """The operations that go on in a cluster."""
        inside = (cluster, f"{cluster}/")
        return [
            operation
            for operation in self.engine.all()
            if not operation.is_done and (operation.target == inside[0] or operation.target.startswith(inside[1]))
        ]

    def check_free(self, target: str) -> None:
        """Refuse a change while another one runs; different node pools may change at the same time."""
        cluster, _, pool = target.partition("/nodePools/")
        for operation in self.running(cluster):
            other_cluster, _, other_pool = operation.target.partition("/nodePools/")
            if not (pool and other_pool and pool != other_pool):
                doing = _DOING.get(operation.kind, "updating")
                raise errors.operation_running(operation.name, doing, other_cluster.rpartition("/")[2])
        found = self._store.find(cluster)
        if found and found["status"] not in ("RUNNING", "ERROR", "RECONCILING"):
            raise errors.wrong_status(cluster.rpartition("/")[2], found["status"])

    async def _work(self, operation: Operation) -> Finish:
        cluster = operation.target.partition("/nodePools/")[0]
        if operation.kind == "DELETE_CLUSTER":
            await self._host.remove(cluster)
            return lambda: self._forget(cluster)
        endpoint = await self._host.ensure(spec_of(cluster, self._store.get(cluster)))
        if operation.kind == "CREATE_CLUSTER":
            return lambda: self._arrived(cluster, endpoint.address, endpoint.ca_certificate)
        if operation.kind == "DELETE_NODE_POOL":
            return lambda: self._after_pool(operation, cluster, remove=True)
        return lambda: self._after_pool(operation, cluster, remove=False)

    def _arrived(self, name: str, address: str, certificate: str) -> None:
        cluster = with_address(self._store.get(name), address, certificate)
        pools = [{**pool, "status": "RUNNING"} for pool in cluster.get("nodePools") or ()]
        self.announce(name, self._store.write(name, {**cluster, "status": "RUNNING", "nodePools": pools}))

    def _forget(self, name: str) -> None:
        self._store.delete(name)
        self.announce(name, {})

    def _after_pool(self, operation: Operation, cluster: str, *, remove: bool) -> None:
        if remove:
            self._store.remove_pool(operation.target)
        elif "/nodePools/" in operation.target:
            self._store.change_pool(operation.target, status="RUNNING")
        else:
            self._store.change(cluster, status="RUNNING")

    def _fail(self, operation: Operation, error: GoogleError) -> None:
        cluster = operation.target.partition("/nodePools/")[0]
        if self._store.find(cluster) is None:
            return
        problem = {"status": "ERROR", "statusMessage": error.message}
        if "/nodePools/" in operation.target:
            self._store.change_pool(operation.target, **problem)
        else:
            self._store.change(cluster, **problem)


def _new_name() -> str:
    return f"operation-{time.time_ns() // 1_000_000}-{secrets.token_hex(4)}-{secrets.token_hex(2)}"


def shown(operation: Operation) -> Json:
    """An operation as GKE shows it."""
    location = operation.scope.rpartition("/")[2]
    link = operation.scope if location in REGIONS else operation.scope.replace("/locations/", "/zones/")
    view: Json = {
        "name": operation.name,
        "location": location,
        "zone": location,
        "operationType": operation.kind,
        "status": "DONE" if operation.is_done else "RUNNING",
        "selfLink": f"{SELF_LINK}{link}/operations/{operation.name}",
        "targetLink": SELF_LINK + operation.target.replace(operation.scope, link),
        "startTime": moment(operation.started),
    }
    if operation.ended is not None:
        view["endTime"] = moment(operation.ended)
    if operation.error:
        code = _RPC_NUMBERS.get(operation.error["status"], 13)
        view |= {
            "statusMessage": operation.error["message"],
            "error": {"code": code, "message": operation.error["message"]},
        }
    return view
