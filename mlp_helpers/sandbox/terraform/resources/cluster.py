"""Clusters: google_container_cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mlp_helpers.sandbox.terraform.api import Json, Services, accepted
from mlp_helpers.sandbox.terraform.bodies import Shape, changed, under
from mlp_helpers.sandbox.terraform.errors import ProviderError
from mlp_helpers.sandbox.terraform.resources import nodes
from mlp_helpers.sandbox.terraform.resources.cluster_rules import RULES
from mlp_helpers.sandbox.terraform.resources.container import ContainerResource, Request
from mlp_helpers.sandbox.terraform.resources.rest import argument
from mlp_helpers.sandbox.terraform.values import Value, Values

_DEFAULT_POOL = "default-pool"

# Names in the update request that are not "desired" and the field's own; empty for what changes otherwise or never.
_DESIRED = {
    "enableK8sBetaApis": "desiredK8sBetaApis",
    "network": "",
    "initialNodeCount": "",
    "nodePools": "",
    "nodeConfig": "",
    "resourceLabels": "",
    "maintenancePolicy": "",
    "networkPolicy": "",
    "legacyAbac": "",
    "initialClusterVersion": "desiredMasterVersion",
    "autoscaling": "desiredClusterAutoscaling",
}
# Parts of these change one by one, under names of their own.
_DESIRED_PARTS: dict[str, dict[str, Callable[[Any], Json]]] = {
    "networkConfig": {
        "enableIntraNodeVisibility": lambda value: {"desiredIntraNodeVisibilityConfig": {"enabled": bool(value)}},
        "enableL4ilbSubsetting": lambda value: {"desiredL4ilbSubsettingConfig": {"enabled": bool(value)}},
        "enableFqdnNetworkPolicy": lambda value: {"desiredEnableFqdnNetworkPolicy": bool(value)},
        "enableMultiNetworking": lambda value: {"desiredEnableMultiNetworking": bool(value)},
        "enableCiliumClusterwideNetworkPolicy": lambda value: {
            "desiredEnableCiliumClusterwideNetworkPolicy": bool(value)
        },
        "dnsConfig": lambda value: {"desiredDnsConfig": value},
        "gatewayApiConfig": lambda value: {"desiredGatewayApiConfig": value},
        "serviceExternalIpsConfig": lambda value: {"desiredServiceExternalIpsConfig": value},
        "defaultSnatStatus": lambda value: {"desiredDefaultSnatStatus": value},
        "inTransitEncryptionConfig": lambda value: {"desiredInTransitEncryptionConfig": value},
        "networkPerformanceConfig": lambda value: {"desiredNetworkPerformanceConfig": value},
    },
    "nodePoolDefaults": {
        "gcfsConfig": lambda value: {"desiredGcfsConfig": value},
        "containerdConfig": lambda value: {"desiredContainerdConfig": value},
        "nodeKubeletConfig": lambda value: {"desiredNodeKubeletConfig": value},
    },
    "nodePoolAutoConfig": {
        "networkTags": lambda value: {"desiredNodePoolAutoConfigNetworkTags": value},
        "nodeKubeletConfig": lambda value: {"desiredNodePoolAutoConfigKubeletConfig": value},
        "linuxNodeConfig": lambda value: {"desiredNodePoolAutoConfigLinuxNodeConfig": value},
        "resourceManagerTags": lambda value: {"desiredNodePoolAutoConfigResourceManagerTags": value},
    },
}

# Strings "TRUE" and "FALSE" of the provider, booleans of the API.
_DEFAULTS_PORT = "node_pool_defaults.node_config_defaults.insecure_kubelet_readonly_port_enabled"
_AUTO_PORT = "node_pool_auto_config.node_kubelet_config.insecure_kubelet_readonly_port_enabled"

SHAPE = Shape(
    names={
        "enable_autopilot": "autopilot.enabled",
        "allow_net_admin": "autopilot.workloadPolicyConfig.allowNetAdmin",
        "enable_shielded_nodes": "shieldedNodes.enabled",
        "enable_legacy_abac": "legacyAbac.enabled",
        "node_locations": "locations",
        "min_master_version": "initialClusterVersion",
        "master_version": "currentMasterVersion",
        "node_version": "currentNodeVersion",
        "services_ipv4_cidr": "servicesIpv4Cidr",
        "cluster_autoscaling": "autoscaling",
        "cluster_autoscaling.enabled": "enableNodeAutoprovisioning",
        "cluster_autoscaling.auto_provisioning_defaults": "autoprovisioningNodePoolDefaults",
        "cluster_autoscaling.auto_provisioning_defaults.disk_size": "diskSizeGb",
        "cluster_autoscaling.auto_provisioning_locations": "autoprovisioningLocations",
        "cluster_autoscaling.default_compute_class_enabled": "defaultComputeClassConfig.enabled",
        "logging_config.enable_components": "componentConfig.enableComponents",
        "monitoring_config.enable_components": "componentConfig.enableComponents",
        "monitoring_config.managed_prometheus": "managedPrometheusConfig",
        "monitoring_config.advanced_datapath_observability_config": "advancedDatapathObservabilityConfig",
        "addons_config.network_policy_config": "networkPolicyConfig",
        "addons_config.cloudrun_config": "cloudRunConfig",
        "datapath_provider": "networkConfig.datapathProvider",
        "dataplane_optimization_mode": "networkConfig.dataplaneOptimizationMode",
        "enable_intranode_visibility": "networkConfig.enableIntraNodeVisibility",
        "enable_l4_ilb_subsetting": "networkConfig.enableL4ilbSubsetting",
        "enable_multi_networking": "networkConfig.enableMultiNetworking",
        "enable_fqdn_network_policy": "networkConfig.enableFqdnNetworkPolicy",
        "enable_cilium_clusterwide_network_policy": "networkConfig.enableCiliumClusterwideNetworkPolicy",
        "disable_l4_lb_firewall_reconciliation": "networkConfig.disableL4LbFirewallReconciliation",
        "in_transit_encryption_config": "networkConfig.inTransitEncryptionConfig",
        "private_ipv6_google_access": "networkConfig.privateIpv6GoogleAccess",
        "default_snat_status": "networkConfig.defaultSnatStatus",
        "dns_config": "networkConfig.dnsConfig",
        "gateway_api_config": "networkConfig.gatewayApiConfig",
        "service_external_ips_config": "networkConfig.serviceExternalIpsConfig",
        "network_performance_config": "networkConfig.networkPerformanceConfig",
        "dns_config.cluster_dns": "clusterDns",
        "default_max_pods_per_node": "defaultMaxPodsConstraint.maxPodsPerNode",
        "enable_k8s_beta_apis": "enableK8sBetaApis",
        "node_pool": "nodePools",
        "network_policy.provider": "provider",
        "maintenance_policy.daily_maintenance_window": "window.dailyMaintenanceWindow",
        "maintenance_policy.recurring_window": "window.recurringWindow",
        "maintenance_policy.recurring_window.start_time": "window.startTime",
        "maintenance_policy.recurring_window.end_time": "window.endTime",
        "maintenance_policy.maintenance_exclusion": "window.maintenanceExclusions",
        "maintenance_policy.disruption_budget": "disruptionBudget",
        "ip_allocation_policy.cluster_ipv4_cidr_block": "clusterIpv4CidrBlock",
        "ip_allocation_policy.services_ipv4_cidr_block": "servicesIpv4CidrBlock",
        "ip_allocation_policy.additional_pod_ranges_config": "additionalPodRangesConfig",
        "ip_allocation_policy.additional_ip_ranges_config": "additionalIpRangesConfigs",
        "master_authorized_networks_config.gcp_public_cidrs_access_enabled": "gcpPublicCidrsAccessEnabled",
        "private_cluster_config.master_global_access_config": "masterGlobalAccessConfig",
        "control_plane_endpoints_config.dns_endpoint_config": "dnsEndpointConfig",
        "control_plane_endpoints_config.ip_endpoints_config": "ipEndpointsConfig",
        "fleet.membership_id": "",
        "node_pool_auto_config.resource_manager_tags": "resourceManagerTags.tags",
        _DEFAULTS_PORT: "nodeKubeletConfig.insecureKubeletReadonlyPortEnabled",
        **under("node_pool", nodes.POOL_NAMES),
        **under("node_config", nodes.NODE_CONFIG_NAMES),
    },
    local=frozenset(
        {
            "project",
            "location",
            "deletion_protection",
            "remove_default_node_pool",
            "ignore_node_count_changes",
            "skip_node_pool_refresh",
            "operation",
            "networking_mode",
            "min_master_version",
            "node_version",
            "private_ipv6_google_access",
            "tpu_ipv4_cidr_block",
            "fleet.membership_id",
            "fleet.membership_location",
            "desired_emulated_version",
            "emulated_version",
            *(f"node_pool.{name}" for name in nodes.POOL_LOCAL),
            *(f"node_config.{name}" for name in nodes.NODE_CONFIG_LOCAL),
        }
    ),
    objects=frozenset({"addons_config.ray_operator_config"}),
    to_api={
        "maintenance_policy.maintenance_exclusion": lambda exclusions: {
            item.pop("exclusionName"): _exclusion(item) for item in exclusions
        },
        _DEFAULTS_PORT: lambda value: value == "TRUE",
        _AUTO_PORT: lambda value: value == "TRUE",
        **under("node_pool.node_config", nodes.NODE_CONFIG_TO_API),
        **under("node_config", nodes.NODE_CONFIG_TO_API),
    },
    from_api={
        "maintenance_policy.maintenance_exclusion": lambda exclusions: [
            _read_exclusion(name, item) for name, item in exclusions.items()
        ],
        _DEFAULTS_PORT: lambda value: "TRUE" if value else "FALSE",
        _AUTO_PORT: lambda value: "TRUE" if value else "FALSE",
        **under("node_pool.node_config", nodes.NODE_CONFIG_FROM_API),
        **under("node_config", nodes.NODE_CONFIG_FROM_API),
    },
)


def _exclusion(item: Json) -> Json:
    if "exclusionOptions" in item:
        item["maintenanceExclusionOptions"] = item.pop("exclusionOptions")
    return item


def _read_exclusion(name: str, item: Json) -> Json:
    options = item.get("maintenanceExclusionOptions")  # NO_UPGRADES is the enum's zero, which the API leaves out
    read = {"exclusionName": name, "startTime": item.get("startTime"), "endTime": item.get("endTime")}
    return read if options is None else read | {"exclusionOptions": {"scope": "NO_UPGRADES", **options}}


class Cluster(ContainerResource):
    """google_container_cluster."""

    collection = "projects/{project}/locations/{location}/clusters"
    import_formats = (
        "projects/{project}/locations/{location}/clusters/{name}",
        "{project}/{location}/{name}",
        "{location}/{name}",
    )
    shape = SHAPE
    rules = RULES
    default_timeout_seconds = 5400

    def fill(self, template: str, values: Values) -> str:
        return super().fill(
            template, values if values.get("location") else {**values, "location": values.get("region")}
        )

    def imported(self, identifier: str, provider: Any) -> Values:
        return super().imported(identifier, provider) | {"deletion_protection": True}

    def body(self, values: Values) -> Json:
        body = super().body(values)
        for name, collection in (("network", "networks"), ("subnetwork", "subnetworks")):
            if body.get(name):
                body[name] = relative(body[name], collection)
        if values.get("min_master_version"):
            body["initialClusterVersion"] = values["min_master_version"]
        if values.get("networking_mode") == "VPC_NATIVE" or values.get("ip_allocation_policy"):
            body.setdefault("ipAllocationPolicy", {})["useIpAliases"] = True
        if "cidrBlocks" in body.get("masterAuthorizedNetworksConfig", {}) or values.get(
            "master_authorized_networks_config"
        ):
            body.setdefault("masterAuthorizedNetworksConfig", {})["enabled"] = True
        if not body.get("autopilot", {}).get("enabled"):
            body.pop("autopilot", None)
        return body

    def create(self, services: Services, values: Values) -> Values:
        body = self.body(values)
        for pool in body.get("nodePools", []):
            pool.setdefault("initialNodeCount", 1)
        if body.get("nodePools"):
            body.pop("initialNodeCount", None)
            body.pop("nodeConfig", None)
        collection = f"{self.service}/{self.fill(self.collection, values)}"
        with services.lock(self.cluster_url(values)):
            self.start(services, values, collection, {"cluster": body})
            if values.get("remove_default_node_pool"):
                with accepted():
                    removal = services.google.call("DELETE", f"{self.url(values)}/nodePools/{_DEFAULT_POOL}")
                    self.wait(services, removal, values, "create")
        return self.identity(values)

    def state(self, body: Json, seed: Values) -> Values:
        network = body.get("networkConfig") or {}
        body = {
            **body,
            "network": network.get("network") or body.get("network"),
            "subnetwork": network.get("subnetwork") or body.get("subnetwork"),
        }
        locations = [zone for zone in body.get("locations") or [] if zone != body.get("location")]
        authorized = body.get("masterAuthorizedNetworksConfig") or {}
        if not authorized.get("enabled"):
            body.pop("masterAuthorizedNetworksConfig", None)
        state = super().state({**body, "locations": locations}, seed)
        if authorized.get("enabled") and not state["master_authorized_networks_config"]:
            empty: Values = {
                "gcp_public_cidrs_access_enabled": None,
                "private_endpoint_enforcement_enabled": None,
                "cidr_blocks": [],
            }
            state["master_authorized_networks_config"] = [empty]
        uses_aliases = (body.get("ipAllocationPolicy") or {}).get("useIpAliases")
        state |= {
            "location": body.get("location") or seed["location"],
            "project": seed["project"],
            "networking_mode": "VPC_NATIVE" if uses_aliases else "ROUTES",
            "node_version": body.get("currentNodeVersion"),
            "min_master_version": seed.get("min_master_version"),
            "initial_node_count": body.get("initialNodeCount") or seed.get("initial_node_count"),
            "operation": seed.get("operation"),
        }
        _read_fleet(state)
        return state

    def update(self, services: Services, prior: Values, values: Values) -> None:
        """One call for each kind of change, as the API wants it."""
        url = self.url(values)
        self.send(
            services, values, ((method, url + path, body) for method, path, body in self._requests(prior, values))
        )

    def _requests(self, prior: Values, values: Values) -> Iterator[Request]:
        before, after = self.body(prior), self.body(values)
        fields = changed(before, after)
        for name, value in fields.items():
            if name in _DESIRED_PARTS:
                for part, new in changed(_parts(before, name), _parts(after, name)).items():
                    if part in _DESIRED_PARTS[name]:
                        yield "PUT", "", {"update": _DESIRED_PARTS[name][part](new)}
                continue
            desired = _DESIRED.get(name, f"desired{name[0].upper()}{name[1:]}")
            if desired:
                yield "PUT", "", {"update": {desired: value}}
        if "resourceLabels" in fields:
            labels = {
                "resourceLabels": fields["resourceLabels"] or {},
                "labelFingerprint": prior.get("label_fingerprint") or "",
            }
            yield "POST", ":setResourceLabels", labels
        if "maintenancePolicy" in fields:
            yield "POST", ":setMaintenancePolicy", {"maintenancePolicy": fields["maintenancePolicy"] or {}}
        if "networkPolicy" in fields:
            yield "POST", ":setNetworkPolicy", {"networkPolicy": fields["networkPolicy"] or {}}
        if "legacyAbac" in fields:
            yield "POST", ":setLegacyAbac", {"enabled": bool((fields["legacyAbac"] or {}).get("enabled"))}

    def delete(self, services: Services, state: Values) -> None:
        if state.get("deletion_protection") is not False:
            raise ProviderError(
                "Cannot destroy cluster because deletion_protection is set to true.",
                "Set it to false, apply that (the provider looks at the state), then destroy.",
            )
        super().delete(services, state)


def _parts(body: Json, name: str) -> Json:
    parts: Json = body.get(name) or {}
    return parts.get("nodeConfigDefaults", {}) if name == "nodePoolDefaults" else parts


def relative(reference: str, collection: str) -> str:
    """A relative resource name out of a self link; a bare name stays."""
    return (
        reference[reference.index("projects/") :]
        if "projects/" in reference
        else reference.removeprefix(f"{collection}/")
    )


def _read_fleet(state: Values) -> None:
    """The parts of the membership's name that the provider shows beside it."""
    fleet = argument(state, "fleet")
    membership: Value = fleet.get("membership")
    if isinstance(membership, str) and membership.count("/") >= 5:
        parts = membership.removeprefix("//gkehub.googleapis.com/").split("/")
        fleet |= {"membership_location": parts[3], "membership_id": parts[5]}
