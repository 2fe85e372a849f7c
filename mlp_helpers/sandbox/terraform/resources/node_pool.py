"""Node pools: google_container_node_pool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlp_helpers.sandbox.terraform.api import Json, Services
from mlp_helpers.sandbox.terraform.bodies import Shape, changed, under
from mlp_helpers.sandbox.terraform.resources import nodes
from mlp_helpers.sandbox.terraform.resources.container import ContainerResource, Request
from mlp_helpers.sandbox.terraform.rules import Rules, between, conflicts, matches, names_the_same, one_of
from mlp_helpers.sandbox.terraform.values import Values, is_zero

# Fields of UpdateNodePoolRequest, by the field of the node configuration that they change.
_IN_PLACE = {
    "machineType": "machineType", "diskSizeGb": "diskSizeGb", "diskType": "diskType", "imageType": "imageType",
    "gvnic": "gvnic",
    "fastSocket": "fastSocket", "gcfsConfig": "gcfsConfig", "workloadMetadataConfig": "workloadMetadataConfig",
    "kubeletConfig": "kubeletConfig", "linuxNodeConfig": "linuxNodeConfig", "confidentialNodes": "confidentialNodes",
    "containerdConfig": "containerdConfig", "bootDisk": "bootDisk", "loggingConfig": "loggingConfig",
    "windowsNodeConfig": "windowsNodeConfig",
}  # fmt: skip
_WRAPPED = {"labels": "labels", "taints": "taints", "tags": "tags", "resourceLabels": "labels"}


class NodePool(ContainerResource):
    """google_container_node_pool."""

    collection = "projects/{project}/locations/{location}/clusters/{cluster}/nodePools"
    import_formats = (
        "projects/{project}/locations/{location}/clusters/{cluster}/nodePools/{name}",
        "{project}/{location}/{cluster}/{name}",
        "{location}/{cluster}/{name}",
    )
    default_timeout_seconds = 1800
    shape = Shape(
        names=nodes.POOL_NAMES | {"initial_node_count": "initialNodeCount"},
        local=frozenset({"project", "location", "cluster", "node_count", "operation", *nodes.POOL_LOCAL}),
        to_api=under("node_config", nodes.NODE_CONFIG_TO_API),
        from_api=under("node_config", nodes.NODE_CONFIG_FROM_API),
    )
    rules = Rules(
        immutable=frozenset(
            {
                "name",
                "name_prefix",
                "cluster",
                "location",
                "project",
                "initial_node_count",
                "max_pods_per_node",
                "queued_provisioning",
                "placement_policy",
                "network_config.pod_range",
                "network_config.pod_ipv4_cidr_block",
                "network_config.create_pod_range",
                "network_config.additional_pod_network_configs",
                "network_config.additional_node_network_configs",
                *(f"node_config.{name}" for name in nodes.NODE_CONFIG_IMMUTABLE),
            }
        ),
        defaults=nodes.POOL_DEFAULTS,
        from_provider=("project",),
        served=frozenset(nodes.POOL_SERVED),
        equal={"cluster": names_the_same, "network_config.subnetwork": names_the_same},
        checks=(
            matches(
                "name",
                r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?",
                "must have at most 40 lower-case letters, digits and hyphens, a letter first, no hyphen last",
            ),
            one_of("node_config.taint.effect", "NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE"),
            one_of("node_config.workload_metadata_config.mode", "MODE_UNSPECIFIED", "GCE_METADATA", "GKE_METADATA"),
            one_of("autoscaling.location_policy", "BALANCED", "ANY"),
            one_of(
                "node_config.reservation_affinity.consume_reservation_type",
                "UNSPECIFIED",
                "NO_RESERVATION",
                "ANY_RESERVATION",
                "SPECIFIC_RESERVATION",
            ),
            one_of(
                "node_config.guest_accelerator.gpu_driver_installation_config.gpu_driver_version",
                "GPU_DRIVER_VERSION_UNSPECIFIED",
                "INSTALLATION_DISABLED",
                "DEFAULT",
                "LATEST",
            ),
            one_of("upgrade_settings.strategy", "SURGE", "BLUE_GREEN", "SHORT_LIVED"),
            between("max_pods_per_node", 8, 256),
            between("node_config.disk_size_gb", 10, 65536),
            conflicts("autoscaling.min_node_count", "autoscaling.total_min_node_count"),
            conflicts("autoscaling.max_node_count", "autoscaling.total_max_node_count"),
            conflicts("name", "name_prefix"),
        ),
    )

    def fill(self, template: str, values: Values) -> str:
        return super().fill(template, {**values, **self._place(values)})

    def identity(self, values: Values) -> Values:
        return {"id": self.relative_name(values), **self._place(values)}

    @staticmethod
    def _place(values: Values) -> Values:
        """Project and location of the cluster; its id, which holds both, may be given instead of its name."""
        place = {name: values.get(name) for name in ("project", "location")}
        cluster = str(values.get("cluster") or "")
        if cluster.startswith("projects/"):
            _, project, _, location, *_ = cluster.split("/")
            return {"project": place["project"] or project, "location": place["location"] or location}
        return place

    def relative_name(self, values: Values) -> str:
        short = str(values["cluster"]).rsplit("/", 1)[-1]
        return f"{self.fill(self.collection, {**values, 'cluster': short})}/{values['name']}"

    def create(self, services: Services, values: Values) -> Values:
        if not values.get("name"):
            import secrets

            values["name"] = f"{values.get('name_prefix') or 'terraform-'}{secrets.token_hex(8)}"
        values |= self._place(values)
        pool = self.body(values)
        pool["initialNodeCount"] = _first(values.get("initial_node_count"), values.get("node_count"), _at_first(pool))
        pool |= {"name": values["name"]}
        with services.lock(self.cluster_url(values)):
            self.start(services, values, f"{self.cluster_url(values)}/nodePools", {"nodePool": pool})
        return self.identity(values)

    def body(self, values: Values) -> Json:
        body = super().body(values)
        if "autoscaling" in body:
            body["autoscaling"]["enabled"] = True
        return body

    def state(self, body: Json, seed: Values) -> Values:
        if not (body.get("autoscaling") or {}).get("enabled"):
            body = {**body, "autoscaling": None}
        state = super().state(body, seed)
        groups = [
            url.replace("/instanceGroupManagers/", "/instanceGroups/") for url in body.get("instanceGroupUrls") or []
        ]
        size = body.get("currentNodeCount", body.get("initialNodeCount", 0))
        state |= {
            "instance_group_urls": body.get("instanceGroupUrls") or [],
            "managed_instance_group_urls": groups,
            "node_count": size,
            "project": seed["project"],
            "location": seed["location"],
        }
        if seed.get("initial_node_count") is not None:
            state["initial_node_count"] = seed["initial_node_count"]
        return state

    def update(self, services: Services, prior: Values, values: Values) -> None:
        """One call for each kind of change, as the API wants it."""
        self.send(services, values, self._requests(prior, values))

    def _requests(self, prior: Values, values: Values) -> Iterator[Request]:
        url, cluster = self.url(values), self.cluster_url(values)
        before, after = self.body(prior), self.body(values)
        fields = changed(before, after)
        config = changed(before.get("config", {}), after.get("config", {})) if "config" in fields else {}
        for name, value in config.items():
            if name in _WRAPPED:
                yield "PUT", url, {name: {_WRAPPED[name]: value or ([] if name in ("taints", "tags") else {})}}
            elif name in _IN_PLACE:
                yield "PUT", url, {_IN_PLACE[name]: value}
        if "version" in fields:
            yield "PUT", url, {"nodeVersion": fields["version"]}
        for name in ("upgradeSettings", "locations", "nodeDrainConfig"):
            if name in fields:
                yield "PUT", url, {name: fields[name]}
        if "networkConfig" in fields:
            yield "PUT", url, {"nodeNetworkConfig": fields["networkConfig"]}
        if "autoscaling" in fields:
            desired = fields["autoscaling"] or {"enabled": False}
            update = {"desiredNodePoolId": values["name"], "desiredNodePoolAutoscaling": desired}
            yield "PUT", cluster, {"update": update}
        if "management" in fields:
            yield "POST", f"{url}:setManagement", {"management": fields["management"] or {}}
        if not is_zero(values.get("node_count")) and values["node_count"] != prior.get("node_count"):
            yield "POST", f"{url}:setSize", {"nodeCount": values["node_count"]}


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _at_first(pool: Json) -> int:
    scaling = pool.get("autoscaling", {})
    return int(scaling.get("minNodeCount") or scaling.get("totalMinNodeCount") or 0)
