"""What no schema says about google_container_cluster."""

from __future__ import annotations

from mlp_helpers.sandbox.terraform.bodies import under
from mlp_helpers.sandbox.terraform.resources import nodes
from mlp_helpers.sandbox.terraform.rules import (
    Rules,
    between,
    conflicts,
    is_cidr,
    matches,
    names_the_same,
    needs_together,
    one_of,
)
from mlp_helpers.sandbox.terraform.values import Value, Values, is_zero

IMMUTABLE = frozenset(
    {
        "name", "location", "project", "network", "subnetwork", "networking_mode", "datapath_provider",
        "description", "enable_autopilot",
        "default_max_pods_per_node", "cluster_ipv4_cidr", "confidential_nodes",
        "enable_kubernetes_alpha", "enable_tpu",
        "enable_multi_networking", "tpu_ipv4_cidr_block",
        "ip_allocation_policy.cluster_ipv4_cidr_block", "ip_allocation_policy.services_ipv4_cidr_block",
        "ip_allocation_policy.cluster_secondary_range_name", "ip_allocation_policy.services_secondary_range_name",
        "ip_allocation_policy.stack_type", "private_cluster_config.enable_private_nodes",
        "private_cluster_config.master_ipv4_cidr_block",
        "private_cluster_config.private_endpoint_subnetwork", "master_auth.client_certificate_config",
        "node_pool", *(f"node_config.{name}" for name in nodes.NODE_CONFIG_IMMUTABLE),
    }
) - {"private_cluster_config.enable_private_nodes"}  # in place since provider 5.x  # fmt: skip

# Blocks that GKE fills when they are left out, and that taking away does not change.
SERVED = frozenset(
    {
        "addons_config", "binary_authorization", "cluster_autoscaling", "confidential_nodes",
        "control_plane_endpoints_config",
        "cost_management_config", "database_encryption", "default_snat_status", "anonymous_authentication_config",
        "enterprise_config",
        "gateway_api_config", "identity_service_config", "ip_allocation_policy", "logging_config", "master_auth",
        "master_authorized_networks_config", "mesh_certificates", "monitoring_config", "network_policy",
        "node_config", "node_pool",
        "node_pool_auto_config", "node_pool_defaults", "notification_config", "pod_autoscaling",
        "private_cluster_config", "rbac_binding_config",
        "release_channel", "secret_manager_config", "security_posture_config", "service_external_ips_config",
        "vertical_pod_autoscaling",
        "workload_identity_config", "dns_config", "autopilot_cluster_policy_config", "node_creation_config",
        "gke_auto_upgrade_config",
        "monitoring_config.managed_prometheus", "monitoring_config.managed_prometheus.auto_monitoring_config",
        "monitoring_config.advanced_datapath_observability_config", "cluster_autoscaling.auto_provisioning_defaults",
        "cluster_autoscaling.auto_provisioning_defaults.management",
        "cluster_autoscaling.auto_provisioning_defaults.upgrade_settings",
        "cluster_autoscaling.auto_provisioning_defaults.shielded_instance_config",
        "node_pool_defaults.node_config_defaults",
        "node_pool_defaults.node_config_defaults.gcfs_config",
        "node_pool_defaults.node_config_defaults.containerd_config",
        "node_pool_auto_config.node_kubelet_config", "node_pool_auto_config.linux_node_config",
        "private_cluster_config.master_global_access_config",
        "ip_allocation_policy.pod_cidr_overprovision_config", "ip_allocation_policy.network_tier_config",
        "ip_allocation_policy.auto_ipam_config", "ip_allocation_policy.additional_pod_ranges_config",
        "control_plane_endpoints_config.dns_endpoint_config", "control_plane_endpoints_config.ip_endpoints_config",
        *(f"addons_config.{name}" for name in (
            "cloudrun_config", "config_connector_config", "dns_cache_config", "gce_persistent_disk_csi_driver_config",
            "gcp_filestore_csi_driver_config", "gcs_fuse_csi_driver_config", "gke_backup_agent_config",
            "horizontal_pod_autoscaling",
            "http_load_balancing", "network_policy_config", "parallelstore_csi_driver_config", "stateful_ha_config",
            "ray_operator_config",
            "lustre_csi_driver_config", "high_scale_checkpointing_config", "pod_snapshot_config",
            "agent_sandbox_config",
            "slurm_operator_config", "slice_controller_config", "node_readiness_config",
            "ray_operator_config.ray_cluster_logging_config", "ray_operator_config.ray_cluster_monitoring_config",
        )),
        *(f"node_config.{name}" for name in nodes.NODE_CONFIG_SERVED),
    }
)  # fmt: skip

DEFAULTS = {
    "deletion_protection": True,
    "enable_kubernetes_alpha": False,
    "enable_legacy_abac": False,
    "enable_shielded_nodes": True,
    "network": "default",
    "cluster_autoscaling.autoscaling_profile": "BALANCED",
    "cluster_autoscaling.auto_provisioning_defaults.disk_size": 100,
    "cluster_autoscaling.auto_provisioning_defaults.disk_type": "pd-standard",
    "cluster_autoscaling.auto_provisioning_defaults.image_type": "COS_CONTAINERD",
    "ip_allocation_policy.stack_type": "IPV4",
    "network_policy.provider": "PROVIDER_UNSPECIFIED",
    **under("node_config", nodes.NODE_CONFIG_DEFAULTS),
}

# Arguments that make no sense on an Autopilot cluster.
_NOT_ON_AUTOPILOT = (
    "node_pool", "remove_default_node_pool", "default_max_pods_per_node", "network_policy", "enable_shielded_nodes",
    "enable_intranode_visibility",
    "cluster_autoscaling.enabled", "cluster_autoscaling.resource_limits", "addons_config.network_policy_config",
    "addons_config.dns_cache_config", "addons_config.stateful_ha_config",
)  # fmt: skip


def _replaces(prior: Values, planned: Values) -> tuple[str, ...]:
    """What cannot be switched off, and a first number of nodes that is known to differ (an import does not know it)."""
    switches = ("enable_fqdn_network_policy", "enable_l4_ilb_subsetting")
    names = tuple(name for name in switches if prior.get(name) is True and is_zero(planned.get(name)))
    first = prior.get("initial_node_count")
    return names if is_zero(first) or first == planned.get("initial_node_count") else (*names, "initial_node_count")


def _is_of_size(old: Value, new: Value) -> bool:
    """Whether a range has the size that was asked for: "/14" leaves the choice to GKE."""
    return isinstance(new, str) and new.startswith("/") and str(old).endswith(new)


RULES = Rules(
    immutable=IMMUTABLE,
    defaults=DEFAULTS,
    from_provider=("project",),
    served=SERVED,
    renewed=frozenset({"label_fingerprint"}),
    equal={
        "ip_allocation_policy.cluster_ipv4_cidr_block": _is_of_size,
        "ip_allocation_policy.services_ipv4_cidr_block": _is_of_size,
        "network": names_the_same,
        "subnetwork": names_the_same,
        "private_cluster_config.private_endpoint_subnetwork": names_the_same,
    },
    replaces=_replaces,
    checks=(
        matches(
            "name",
            r"[a-z](?!.*--)[-a-z0-9]{0,38}[a-z0-9]|[a-z]",
            "must have at most 40 lower-case letters, digits and single hyphens, a letter first, no hyphen last",
        ),
        one_of("networking_mode", "VPC_NATIVE", "ROUTES"),
        one_of("datapath_provider", "DATAPATH_PROVIDER_UNSPECIFIED", "LEGACY_DATAPATH", "ADVANCED_DATAPATH"),
        one_of("release_channel.channel", "UNSPECIFIED", "RAPID", "REGULAR", "STABLE", "EXTENDED"),
        one_of("gateway_api_config.channel", "CHANNEL_DISABLED", "CHANNEL_EXPERIMENTAL", "CHANNEL_STANDARD"),
        one_of("security_posture_config.mode", "DISABLED", "BASIC", "ENTERPRISE", "MODE_UNSPECIFIED"),
        one_of(
            "security_posture_config.vulnerability_mode",
            "VULNERABILITY_DISABLED",
            "VULNERABILITY_BASIC",
            "VULNERABILITY_ENTERPRISE",
            "VULNERABILITY_MODE_UNSPECIFIED",
        ),
        one_of("anonymous_authentication_config.mode", "ENABLED", "LIMITED"),
        one_of("cluster_autoscaling.autoscaling_profile", "BALANCED", "OPTIMIZE_UTILIZATION"),
        one_of("database_encryption.state", "ENCRYPTED", "DECRYPTED"),
        one_of("dns_config.cluster_dns", "PROVIDER_UNSPECIFIED", "PLATFORM_DEFAULT", "CLOUD_DNS", "KUBE_DNS"),
        one_of("dns_config.cluster_dns_scope", "DNS_SCOPE_UNSPECIFIED", "CLUSTER_SCOPE", "VPC_SCOPE"),
        one_of("monitoring_config.managed_prometheus.auto_monitoring_config.scope", "ALL", "NONE"),
        one_of("binary_authorization.evaluation_mode", "DISABLED", "PROJECT_SINGLETON_POLICY_ENFORCE"),
        one_of(
            "logging_config.enable_components",
            "SYSTEM_COMPONENTS",
            "APISERVER",
            "CONTROLLER_MANAGER",
            "KCP_CONNECTION",
            "KCP_SSHD",
            "KCP_HPA",
            "SCHEDULER",
            "WORKLOADS",
        ),
        one_of(
            "monitoring_config.enable_components",
            "SYSTEM_COMPONENTS",
            "APISERVER",
            "SCHEDULER",
            "CONTROLLER_MANAGER",
            "STORAGE",
            "HPA",
            "POD",
            "DAEMONSET",
            "DEPLOYMENT",
            "STATEFULSET",
            "WORKLOADS",
            "KUBELET",
            "CADVISOR",
            "DCGM",
            "JOBSET",
        ),
        between("default_max_pods_per_node", 8, 256),
        is_cidr("private_cluster_config.master_ipv4_cidr_block"),
        is_cidr("master_authorized_networks_config.cidr_blocks.cidr_block"),
        conflicts("cluster_ipv4_cidr", "ip_allocation_policy"),
        conflicts("ip_allocation_policy.cluster_ipv4_cidr_block", "ip_allocation_policy.cluster_secondary_range_name"),
        conflicts(
            "ip_allocation_policy.services_ipv4_cidr_block", "ip_allocation_policy.services_secondary_range_name"
        ),
        needs_together(
            "maintenance_policy.recurring_window.start_time", "maintenance_policy.recurring_window.recurrence"
        ),
        *(conflicts("enable_autopilot", path) for path in _NOT_ON_AUTOPILOT),
    ),
)
