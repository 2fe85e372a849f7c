"""The emulated clusters: for each one an API server, the controllers beside it, and the node that runs its pods."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mlp_helpers.sandbox.controllers import config_sync, kuberay
from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.controllers.config_sync import install
from mlp_helpers.sandbox.controllers.control_plane import register_control_plane
from mlp_helpers.sandbox.controllers.loop import Manager
from mlp_helpers.sandbox.google.clusters import ClusterEndpoint, ClusterSpec, NodePoolSpec
from mlp_helpers.sandbox.identities import Identities, Identity
from mlp_helpers.sandbox.kubernetes.access import User
from mlp_helpers.sandbox.kubernetes.server import ApiServer
from mlp_helpers.sandbox.machines import allocatable
from mlp_helpers.sandbox.node.kubelet import Kubelet
from mlp_helpers.sandbox.node.ports import PortAllocator
from mlp_helpers.sandbox.node.runtimes import Builtin, Runtimes
from mlp_helpers.sandbox.node.specs import NodeSpec
from mlp_helpers.sandbox.state import State
from mlp_helpers.sandbox.tasks import end_tasks

ADMINS = "system:masters"
BUILTINS: dict[str, Builtin] = {**config_sync.BUILTINS, **kuberay.BUILTINS}

PodEnvironment = Callable[[str, str, str], Mapping[str, str]]

log = logging.getLogger("mlp.sandbox.clusters")


class EmulatedCluster:
    """One cluster, running.

    Args:
        folder: Where its objects, keys and pods live.
        port: Port of its API server.
        authenticate: Whom a Google token stands for, as a Kubernetes user.
        pod_environment: Variables that give a pod its Google identity, by project, namespace and service account.
        project: The project that the cluster belongs to.
        ports: Where its pods' ports come from; shared by all clusters of the sandbox.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        authenticate: Callable[[str], User | None],
        pod_environment: PodEnvironment,
        project: str,
        ports: PortAllocator,
    ) -> None:
        self.folder, self.project = folder, project
        self._pod_environment, self._ports = pod_environment, ports
        self.api = ApiServer(folder, port=port, authenticate=authenticate)
        self._nodes: list[NodeSpec] = []
        self._tasks: asyncio.Task[None] | None = None

    async def start(self, spec: ClusterSpec) -> None:
        """Start the API server, then the controllers, then the node: each is a client of the one before."""
        await self.api.start()
        self._controllers = Client(
            self._kubeconfig("system:kube-controller-manager"), user_agent="kube-controller-manager"
        )
        manager = Manager(self._controllers)
        register_control_plane(manager)
        self._tasks = asyncio.create_task(manager.run(), name=f"controllers of {self.folder.name}")
        self.kubelet = Kubelet(
            self.folder / "node",
            self._kubeconfig("system:node"),
            runtimes=Runtimes(BUILTINS),
            environment_for=self._environment_of,
            ports=self._ports,
        )
        await self.kubelet.start()
        await self.set_nodes(spec)

    async def set_nodes(self, spec: ClusterSpec) -> None:
        """Make the cluster have the machines of its node pools."""
        self._nodes = [node for pool in spec.node_pools for node in nodes_of(pool, spec.name.rsplit("/", 1)[-1])]
        await self.kubelet.set_nodes(self._nodes)

    async def stop(self) -> None:
        """End the pods, then the controllers, then the API server."""
        await self.kubelet.stop()
        if self._tasks is not None:
            await end_tasks([self._tasks])
        await self._controllers.close()
        await self.api.stop()

    def admin_client(self) -> Client:
        """A client that may do everything; the caller closes it."""
        return Client(self._kubeconfig("gke-fleet"), user_agent="gke-fleet")

    def endpoint(self) -> ClusterEndpoint:
        """Where its API server is."""
        return ClusterEndpoint(self.api.url.removeprefix("https://"), self.api.ca_certificate.read_text())

    def _kubeconfig(self, user: str) -> dict[str, object]:
        return self.api.kubeconfig(user=user, token=self.api.issue_token(user, [ADMINS]))

    def _environment_of(self, pod: Mapping[str, Any]) -> Mapping[str, str]:
        account = pod["spec"].get("serviceAccountName", "default")
        return self._pod_environment(self.project, pod["metadata"]["namespace"], account)


def nodes_of(pool: NodePoolSpec, cluster: str) -> list[NodeSpec]:
    """The machines of a node pool, named as GKE names them."""
    zones = pool.zones or ("",)
    return [
        NodeSpec(
            name=f"gke-{cluster}-{pool.name}-{zone[-1:] or 'a'}{index}",
            labels={
                "cloud.google.com/gke-nodepool": pool.name,
                "node.kubernetes.io/instance-type": pool.machine_type,
                "topology.kubernetes.io/zone": zone,
                "topology.kubernetes.io/region": zone.rpartition("-")[0],
                **pool.labels,
            },
            taints=tuple(pool.taints),
            allocatable=allocatable(pool.machine_type),
        )
        for zone in zones
        for index in range(pool.node_count)
    ]


class Clusters:
    """Runs the clusters that GKE was asked for (`google.clusters.ClusterHost`)."""

    def __init__(self, state: State, identities: Identities) -> None:
        self._state, self._identities = state, identities
        self._running: dict[str, EmulatedCluster] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.pod_environment: PodEnvironment = lambda project, namespace, account: {}
        self._ports = PortAllocator()
        self._database = sqlite3.connect(state.database, isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS clusters (name TEXT PRIMARY KEY, spec TEXT)")

    async def start(self) -> None:
        """Bring back the clusters that ran when the sandbox last ended."""
        rows = self._database.execute("SELECT spec FROM clusters").fetchall()
        await asyncio.gather(*(self.ensure(_spec_from(row[0])) for row in rows))

    async def stop(self) -> None:
        """Stop every cluster; all of them come back at the next start."""
        await asyncio.gather(*(each.stop() for each in self._running.values()))
        self._running.clear()
        self._database.close()

    async def ensure(self, cluster: ClusterSpec) -> ClusterEndpoint:
        """Make a cluster run as specified; a cluster that does already is left alone."""
        async with self._lock(cluster.name):
            running = self._running.get(cluster.name)
            if running is None:
                running = self._make(cluster.name)
                await running.start(cluster)
                self._running[cluster.name] = running
                log.info("%s runs at %s", cluster.name, running.api.url)
            else:
                await running.set_nodes(cluster)
            self._database.execute("INSERT OR REPLACE INTO clusters VALUES (?, ?)", (cluster.name, _spec_text(cluster)))
            return running.endpoint()

    async def remove(self, name: str) -> None:
        """Stop a cluster and forget it; one that is gone already is fine."""
        async with self._lock(name):
            running = self._running.pop(name, None)
            if running is not None:
                await running.stop()
            self._database.execute("DELETE FROM clusters WHERE name = ?", (name,))
            self._state.release_port(name)
            shutil.rmtree(self._folder(name), ignore_errors=True)

    async def configure_sync(self, name: str, config_management: Mapping[str, Any] | None) -> None:
        """Install Config Sync as the fleet's feature says, or uninstall it (None); a cluster that is gone has none."""
        running = self._running.get(name)
        if running is None:
            return
        client = running.admin_client()
        try:
            await install.configure(client, config_management, cluster=name.rsplit("/", 1)[-1])
        finally:
            await client.close()

    async def sync_state(self, name: str) -> Mapping[str, Any]:
        """The `configmanagement` state of a cluster, as the fleet shows it."""
        running = self._running.get(name)
        if running is None:
            return {}
        client = running.admin_client()
        try:
            return await install.membership_state(client)
        finally:
            await client.close()

    def kubeconfig(self, name: str, *, identity: Identity, token: str) -> str:
        """A kubeconfig (YAML) with which an identity reaches a cluster."""
        return yaml.safe_dump(self._running[name].api.kubeconfig(user=identity.email, token=token))

    def _make(self, name: str) -> EmulatedCluster:
        return EmulatedCluster(
            self._folder(name),
            self._state.port(name),
            authenticate=self._user,
            pod_environment=self.pod_environment,
            project=name.split("/")[1],
            ports=self._ports,
        )

    def _user(self, token: str) -> User | None:
        identity = self._identities.authenticate(token)
        if identity is None:
            return None
        groups = (*identity.groups, *((ADMINS,) if identity.is_admin else ()))
        return User(identity.email, groups)

    def _folder(self, name: str) -> Path:
        _, project, _, location, _, cluster = name.split("/")
        return self._state.home / "clusters" / f"{project}_{location}_{cluster}"

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def _spec_text(spec: ClusterSpec) -> str:
    pools = [
        {
            "name": pool.name,
            "node_count": pool.node_count,
            "machine_type": pool.machine_type,
            "zones": list(pool.zones),
            "labels": dict(pool.labels),
            "taints": [dict(taint) for taint in pool.taints],
        }
        for pool in spec.node_pools
    ]
    return json.dumps({"name": spec.name, "kubernetes_version": spec.kubernetes_version, "node_pools": pools})


def _spec_from(text: str) -> ClusterSpec:
    found = json.loads(text)
    pools = tuple(
        NodePoolSpec(**{**pool, "zones": tuple(pool["zones"]), "taints": tuple(pool["taints"])})
        for pool in found["node_pools"]
    )
    return ClusterSpec(found["name"], found["kubernetes_version"], pools)
