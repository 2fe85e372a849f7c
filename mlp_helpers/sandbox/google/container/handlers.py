"""The handlers of GKE's methods: JSON request in, JSON reply out; both protocols call them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mlp_helpers.sandbox.google.admission import Admission
from mlp_helpers.sandbox.google.compute.store import ComputeStore
from mlp_helpers.sandbox.google.container import errors, validation, versions
from mlp_helpers.sandbox.google.container.defaults import new_cluster, new_pool, short_hash, with_groups
from mlp_helpers.sandbox.google.container.operations import ClusterOperations, shown
from mlp_helpers.sandbox.google.container.rpcs import Rpc, discover, normalized
from mlp_helpers.sandbox.google.container.store import ContainerStore
from mlp_helpers.sandbox.google.container.updates import changed_cluster, changed_pool, upgraded
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.errors import permission_denied
from mlp_helpers.sandbox.identities import Identity

Json = dict[str, Any]
Handler = Callable[[Json], Json]

PERMISSIONS: Mapping[str, str] = {
    "CreateCluster": "container.clusters.create",
    "GetCluster": "container.clusters.get",
    "ListClusters": "container.clusters.list",
    "DeleteCluster": "container.clusters.delete",
    "GetNodePool": "container.clusters.get",
    "ListNodePools": "container.clusters.get",
    "GetOperation": "container.operations.get",
    "ListOperations": "container.operations.list",
    "CancelOperation": "container.operations.get",
    "GetServerConfig": "container.clusters.list",
}
"""Permission of each method; all others change a cluster."""

_CHANGE = "container.clusters.update"


class ContainerHandlers:
    """GKE's methods. `call` is the one place where a call is admitted, whatever the protocol."""

    def __init__(
        self,
        admission: Admission,
        documents: Documents,
        store: ContainerStore,
        operations: ClusterOperations,
        compute: ComputeStore,
    ) -> None:
        self._admission, self._documents = admission, documents
        self._store, self._operations, self._compute = store, operations, compute
        self.rpcs = discover()
        self._handlers: dict[str, Handler] = {
            "CreateCluster": self._create_cluster,
            "GetCluster": self._get_cluster,
            "ListClusters": self._list_clusters,
            "UpdateCluster": self._update_cluster,
            "DeleteCluster": self._delete_cluster,
            "UpdateMaster": self._update_master,
            "SetAddonsConfig": self._setter("addonsConfig", "desiredAddonsConfig"),
            "SetLocations": self._setter("locations", "desiredLocations"),
            "SetLoggingService": self._setter("loggingService", "desiredLoggingService"),
            "SetMonitoringService": self._setter("monitoringService", "desiredMonitoringService"),
            "SetLabels": self._set_labels,
            "SetMaintenancePolicy": self._set_maintenance_policy,
            "SetNetworkPolicy": self._set_network_policy,
            "SetLegacyAbac": self._set_legacy_abac,
            "CreateNodePool": self._create_pool,
            "GetNodePool": self._get_pool,
            "ListNodePools": self._list_pools,
            "UpdateNodePool": self._update_pool,
            "SetNodePoolSize": self._set_pool_size,
            "SetNodePoolAutoscaling": self._set_pool_autoscaling,
            "SetNodePoolManagement": self._set_pool_management,
            "DeleteNodePool": self._delete_pool,
            "GetOperation": self._get_operation,
            "ListOperations": self._list_operations,
            "CancelOperation": self._cancel_operation,
            "GetServerConfig": self._get_server_config,
        }

    async def call(self, rpc: Rpc, request: Json, identity: Identity) -> Json:
        """Admit and answer a call.

        Args:
            rpc: Method.
            request: The request's fields, in any JSON form that protobuf reads.
            identity: Who calls.
        """
        request = self._with_names(normalized(request, rpc.request_type))
        place = str(request.get("name") or request.get("parent") or "")
        project = self._admission.project(place.split("/")[1] if place else "", errors.SERVICE)
        permission = PERMISSIONS.get(rpc.name, _CHANGE)
        if not self._admission.permits(identity, permission, project.id):
            raise permission_denied(permission, place, errors.SERVICE)
        handler = self._handlers.get(rpc.name)
        if handler is None:
            raise errors.unimplemented(rpc.name, reads=rpc.reads)
        with self._documents.transaction():
            return handler(request)

    def _with_names(self, request: Json) -> Json:
        """The request with `name` or `parent`, also where a caller uses the older fields, and the project's id."""
        named = dict(request)
        if not named.get("name") and not named.get("parent") and named.get("projectId"):
            name = f"projects/{named['projectId']}/locations/{named.get('zone', '-')}"
            for field, collection in (
                ("clusterId", "clusters"),
                ("nodePoolId", "nodePools"),
                ("operationId", "operations"),
            ):
                if named.get(field):
                    name += f"/{collection}/{named[field]}"
            named |= {"name": name, "parent": name}
        for field in ("name", "parent"):
            parts = str(named.get(field) or "").replace("/zones/", "/locations/").split("/")
            if len(parts) > 1 and parts[0] == "projects":
                known = self._admission.projects.find(parts[1])
                parts[1] = known.id if known else parts[1]
                named[field] = "/".join(parts)
        return named

    # Clusters

    def _create_cluster(self, request: Json) -> Json:
        asked = request.get("cluster") or {}
        _, project_id, _, location, *_ = request["parent"].split("/")
        validation.check_new_cluster(asked, project=project_id, location=location)
        name = f"projects/{project_id}/locations/{location}/clusters/{asked['name']}"
        if self._store.find(name):
            raise errors.already_exists(name)
        place = validation.find_place(asked, project=project_id, location=location, compute=self._compute)
        cluster = new_cluster(
            asked,
            project=project_id,
            number=self._admission.projects.get(project_id).number,
            location=location,
            place=place,
            created=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        )
        self._store.write(name, cluster)
        return self._operations.begin("CREATE_CLUSTER", name)

    def _get_cluster(self, request: Json) -> Json:
        return self._store.get(request["name"])

    def _list_clusters(self, request: Json) -> Json:
        _, project, _, location = request["parent"].split("/")
        clusters = self._store.within(project, location)
        return {"clusters": clusters} if clusters else {}

    def _update_cluster(self, request: Json) -> Json:
        name, update = request["name"], request.get("update") or {}
        kind = "UPGRADE_MASTER" if "desiredMasterVersion" in update else "UPDATE_CLUSTER"
        return self._change_cluster(
            name, lambda cluster: changed_cluster(cluster, update), kind, etag=update.get("etag")
        )

    def _update_master(self, request: Json) -> Json:
        wanted = str(request.get("masterVersion", ""))
        return self._change_cluster(request["name"], lambda cluster: upgraded(cluster, wanted), "UPGRADE_MASTER")

    def _setter(self, field: str, desired: str) -> Handler:
        """A narrow method that is an update of one setting."""

        def handler(request: Json) -> Json:
            update = {desired: request.get(field, [] if field == "locations" else {})}
            return self._change_cluster(request["name"], lambda cluster: changed_cluster(cluster, update))

        return handler

    def _set_labels(self, request: Json) -> Json:
        def change(cluster: Json) -> Json:
            fingerprint = request.get("labelFingerprint")
            if fingerprint and fingerprint != cluster["labelFingerprint"]:
                raise errors.fingerprint_stale()
            return {**cluster, "resourceLabels": request.get("resourceLabels") or {}}

        return self._change_cluster(request["name"], change)

    def _set_maintenance_policy(self, request: Json) -> Json:
        policy = dict(request.get("maintenancePolicy") or {})
        policy["resourceVersion"] = short_hash(str(policy))
        return self._change_cluster(request["name"], lambda cluster: {**cluster, "maintenancePolicy": policy})

    def _set_network_policy(self, request: Json) -> Json:
        policy = request.get("networkPolicy") or {}
        return self._change_cluster(request["name"], lambda cluster: {**cluster, "networkPolicy": policy})

    def _set_legacy_abac(self, request: Json) -> Json:
        legacy = {"enabled": bool(request.get("enabled"))}
        return self._change_cluster(request["name"], lambda cluster: {**cluster, "legacyAbac": legacy})

    def _change_cluster(
        self, name: str, change: Callable[[Json], Json], kind: str = "UPDATE_CLUSTER", *, etag: str | None = None
    ) -> Json:
        cluster = self._store.get(name)
        if etag and etag != cluster["etag"]:
            raise errors.etag_stale(name)
        self._operations.check_free(name)
        changed = change(cluster)
        pools = [with_groups(pool, changed, name.split("/")[1]) for pool in changed.get("nodePools") or ()]
        self._store.write(name, {**changed, "nodePools": pools, "status": "RECONCILING"})
        return self._operations.begin(kind, name)

    def _delete_cluster(self, request: Json) -> Json:
        name = request["name"]
        self._store.get(name)
        self._operations.check_free(name)
        self._store.change(name, status="STOPPING")
        return self._operations.begin("DELETE_CLUSTER", name)

    # Node pools

    def _create_pool(self, request: Json) -> Json:
        parent, asked = request["parent"], request.get("nodePool") or {}
        cluster = self._store.get(parent)
        if cluster.get("autopilot", {}).get("enabled"):
            raise errors.invalid("Autopilot clusters manage their node pools themselves.")
        validation.check_new_pool(asked, cluster["location"])
        name = f"{parent}/nodePools/{asked['name']}"
        if any(pool["name"] == asked["name"] for pool in cluster.get("nodePools") or ()):
            raise errors.already_exists(name)
        self._operations.check_free(name)
        pool = new_pool(asked, cluster, project=parent.split("/")[1])
        self._store.write(parent, {**cluster, "nodePools": [*(cluster.get("nodePools") or ()), pool]})
        return self._operations.begin("CREATE_NODE_POOL", name)

    def _get_pool(self, request: Json) -> Json:
        return self._store.pool(request["name"])

    def _list_pools(self, request: Json) -> Json:
        pools = self._store.get(request["parent"]).get("nodePools")
        return {"nodePools": pools} if pools else {}

    def _update_pool(self, request: Json) -> Json:
        name = request["name"]
        change = {field: value for field, value in request.items() if field not in ("name", "parent")}
        kind = "UPGRADE_NODES" if change.get("nodeVersion") else "UPDATE_CLUSTER"
        return self._change_pool(name, change, kind)

    def _set_pool_size(self, request: Json) -> Json:
        count = int(request.get("nodeCount", 0))
        validation.check_size(count)
        name = request["name"]
        self._store.pool(name)
        self._operations.check_free(name)
        self._store.change_pool(name, initialNodeCount=count, status="RECONCILING")
        return self._operations.begin("SET_NODE_POOL_SIZE", name)

    def _set_pool_autoscaling(self, request: Json) -> Json:
        autoscaling = request.get("autoscaling") or {}
        validation.check_autoscaling(autoscaling)
        return self._change_pool(request["name"], {"autoscaling": autoscaling}, "UPDATE_CLUSTER")

    def _set_pool_management(self, request: Json) -> Json:
        management = request.get("management") or {}
        return self._change_pool(request["name"], {"management": management}, "SET_NODE_POOL_MANAGEMENT")

    def _change_pool(self, name: str, change: Json, kind: str) -> Json:
        pool, cluster = self._store.pool(name), self._store.get(name.partition("/nodePools/")[0])
        if change.get("etag") and change["etag"] != pool["etag"]:
            raise errors.etag_stale(name)
        self._operations.check_free(name)
        changed = with_groups(changed_pool(pool, change, cluster), cluster, name.split("/")[1])
        self._store.change_pool(name, **{**changed, "status": "RECONCILING"})
        return self._operations.begin(kind, name)

    def _delete_pool(self, request: Json) -> Json:
        name = request["name"]
        self._store.pool(name)
        self._operations.check_free(name)
        self._store.change_pool(name, status="STOPPING")
        return self._operations.begin("DELETE_NODE_POOL", name)

    # Operations and versions

    def _get_operation(self, request: Json) -> Json:
        scope, _, short = request["name"].partition("/operations/")
        operation = self._operations.engine.get(short)
        if operation is None or operation.scope != scope:
            raise errors.not_found(request["name"])
        return shown(operation)

    def _list_operations(self, request: Json) -> Json:
        parent = request["parent"]
        prefix = parent[:-1] if parent.endswith("/locations/-") else parent
        found = [shown(one) for one in self._operations.engine.all() if one.scope.startswith(prefix)]
        return {"operations": found} if found else {}

    def _cancel_operation(self, request: Json) -> Json:
        """GKE cancels only upgrades of nodes; nothing here runs long enough to be one."""
        operation = self._get_operation(request)
        raise errors.invalid(f"Operation {operation['name']} of type {operation['operationType']} cannot be cancelled.")

    def _get_server_config(self, request: Json) -> Json:
        validation.check_location(request["name"].split("/")[3])
        return versions.server_config()
