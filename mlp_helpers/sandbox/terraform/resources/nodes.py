"""What clusters and node pools share: bodies of pools and node configurations, and what cannot change in place."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.terraform.bodies import under

_READ_ONLY_PORT = "insecure_kubelet_readonly_port_enabled"

NODE_CONFIG_NAMES: dict[str, str] = {
    "guest_accelerator": "accelerators",
    "guest_accelerator.count": "acceleratorCount",
    "guest_accelerator.type": "acceleratorType",
    "taint": "taints",
    "boot_disk_kms_key": "bootDiskKmsKey",
    "sandbox_config.type": "type",
    "local_nvme_ssd_block_config": "localNvmeSsdBlockConfig",
    "ephemeral_storage_local_ssd_config": "ephemeralStorageLocalSsdConfig",
    "linux_node_config.hugepages_config": "hugepages",
    "linux_node_config.hugepages_config.hugepage_size_1g": "hugepageSize1g",
    "linux_node_config.hugepages_config.hugepage_size_2m": "hugepageSize2m",
    "fast_socket": "fastSocket",
    "gvnic": "gvnic",
}


def _flag(value: Any) -> Any:
    """Strings "TRUE" and "FALSE" of the provider are booleans of the API."""
    return {"TRUE": True, "FALSE": False}.get(value, value)


def _text(value: Any) -> Any:
    return {True: "TRUE", False: "FALSE"}.get(value, value)


def _own_labels(labels: Any) -> Any:
    """Labels without those that GKE adds by itself."""
    return {key: value for key, value in labels.items() if not key.startswith("goog-gke-")}


NODE_CONFIG_LOCAL = ("effective_taints", "resource_manager_tags", "taint_config")
NODE_CONFIG_TO_API = {f"kubelet_config.{_READ_ONLY_PORT}": _flag, "metadata": dict}
NODE_CONFIG_FROM_API = {f"kubelet_config.{_READ_ONLY_PORT}": _text, "resource_labels": _own_labels}

# The pool's size and autoscaling have calls of their own; the rest of the names follows from the schema.
POOL_NAMES: dict[str, str] = {
    "node_config": "config",
    "node_count": "initialNodeCount",
    "max_pods_per_node": "maxPodsConstraint.maxPodsPerNode",
    "node_locations": "locations",
    "version": "version",
    "network_config.pod_range": "podRange",
    "network_config.pod_ipv4_cidr_block": "podIpv4CidrBlock",
    "network_config.additional_node_network_configs": "additionalNodeNetworkConfigs",
    "placement_policy.type": "type",
    "placement_policy.tpu_topology": "tpuTopology",
    "autoscaling.total_min_node_count": "totalMinNodeCount",
    "autoscaling.total_max_node_count": "totalMaxNodeCount",
    **under("node_config", NODE_CONFIG_NAMES),
}
POOL_LOCAL = (
    "name_prefix",
    "ignore_node_count_changes",
    "managed_instance_group_urls",
    "instance_group_urls",
    "maintenance_policy",
    *(f"node_config.{name}" for name in NODE_CONFIG_LOCAL),
)

# Everything in a node configuration that needs new machines under a new pool.
NODE_CONFIG_IMMUTABLE = (
    "spot", "preemptible", "flex_start", "max_run_duration", "service_account", "oauth_scopes", "guest_accelerator",
    "reservation_affinity",
    "shielded_instance_config", "metadata", "min_cpu_platform", "local_ssd_count", "local_ssd_encryption_mode",
    "secondary_boot_disks",
    "local_nvme_ssd_block_config", "ephemeral_storage_local_ssd_config", "boot_disk_kms_key", "node_group",
    "advanced_machine_features",
    "sandbox_config", "sole_tenant_config", "enable_confidential_storage",
)  # fmt: skip

# Arguments that GKE fills when they are left out.
NODE_CONFIG_SERVED = (
    "shielded_instance_config", "workload_metadata_config", "kubelet_config", "linux_node_config",
    "advanced_machine_features", "boot_disk",
    "gcfs_config", "gvnic", "confidential_nodes", "windows_node_config", "taint", "containerd_config",
    "guest_accelerator",
    "local_nvme_ssd_block_config", "ephemeral_storage_local_ssd_config", "node_image_config", "taint_config",
    "reservation_affinity",
)  # fmt: skip
NODE_CONFIG_DEFAULTS = {
    "shielded_instance_config.enable_secure_boot": False,
    "shielded_instance_config.enable_integrity_monitoring": True,
}
POOL_SERVED = (
    "node_config", "upgrade_settings", "network_config", "management", "maintenance_policy", "node_drain_config",
    "upgrade_settings.blue_green_settings",
    *(f"node_config.{name}" for name in NODE_CONFIG_SERVED),
)  # fmt: skip
POOL_DEFAULTS = {
    "upgrade_settings.strategy": "SURGE",
    "management.auto_repair": False,
    "management.auto_upgrade": False,
    **under("node_config", NODE_CONFIG_DEFAULTS),
}
