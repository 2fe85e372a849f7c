"""Changes of clusters and node pools: which field of a request changes which field of the resource. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlp_helpers.sandbox.google.container import versions
from mlp_helpers.sandbox.google.container.defaults import merged
from mlp_helpers.sandbox.google.container.errors import invalid
from mlp_helpers.sandbox.google.container.rpcs import field_names
from mlp_helpers.sandbox.google.container.validation import check_autoscaling, check_upgrade, check_zones

Json = dict[str, Any]

_SPECIAL_PATHS: Mapping[str, tuple[str, ...]] = {
    "desiredClusterAutoscaling": ("autoscaling",),
    "desiredEnablePrivateEndpoint": ("privateClusterConfig", "enablePrivateEndpoint"),
    "desiredGcfsConfig": ("nodePoolDefaults", "nodeConfigDefaults", "gcfsConfig"),
    "desiredContainerdConfig": ("nodePoolDefaults", "nodeConfigDefaults", "containerdConfig"),
    "desiredNodePoolLoggingConfig": ("nodePoolDefaults", "nodeConfigDefaults", "loggingConfig"),
    "desiredNodeKubeletConfig": ("nodePoolDefaults", "nodeConfigDefaults", "nodeKubeletConfig"),
    "desiredNodePoolAutoConfigNetworkTags": ("nodePoolAutoConfig", "networkTags"),
    "desiredNodePoolAutoConfigKubeletConfig": ("nodePoolAutoConfig", "nodeKubeletConfig"),
    "desiredNodePoolAutoConfigLinuxNodeConfig": ("nodePoolAutoConfig", "linuxNodeConfig"),
    "desiredNodePoolAutoConfigResourceManagerTags": ("nodePoolAutoConfig", "resourceManagerTags"),
    "desiredStackType": ("ipAllocationPolicy", "stackType"),
    "desiredAutoIpamConfig": ("ipAllocationPolicy", "autoIpamConfig"),
}
"""Fields of ClusterUpdate whose target has another name, or is deeper in the cluster."""

_WRAPPED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "desiredIntraNodeVisibilityConfig": (("networkConfig", "enableIntraNodeVisibility"), "enabled"),
    "desiredL4ilbSubsettingConfig": (("networkConfig", "enableL4ilbSubsetting"), "enabled"),
}
"""Fields of ClusterUpdate that wrap what is a plain value in the cluster."""

_MERGED = {"addonsConfig", "privateClusterConfig", "controlPlaneEndpointsConfig", "databaseEncryption"}
"""Fields that an update adds to; the others it replaces."""

_NOT_SETTINGS = {"etag", "desiredNodePoolId", "desiredNodePoolAutoscaling", "desiredNodeVersion", "desiredImageType"}


def changed_cluster(cluster: Json, update: Mapping[str, Any]) -> Json:
    """The cluster after an `UpdateCluster`; node pools may change with it."""
    if not update.keys() - {"etag"}:
        raise invalid("Must specify a field to update.")
    changed = cluster
    for field, value in update.items():
        if field in ("desiredMasterVersion",):
            changed = upgraded(changed, str(value))
        elif field == "desiredLocations":
            check_zones(value, cluster["location"])
            changed = {**changed, "locations": list(value)}
        elif field == "desiredReleaseChannel":
            changed = {**changed, "releaseChannel": {"channel": value.get("channel", versions.DEFAULT_CHANNEL)}}
        elif field not in _NOT_SETTINGS:
            changed = _with_setting(changed, field, value)
    return _with_pool_settings(changed, update)


def upgraded(cluster: Json, wanted: str) -> Json:
    """The cluster with a newer control plane."""
    version = versions.resolve(wanted, channel=cluster["releaseChannel"]["channel"])
    versions.check_upgrade(cluster["currentMasterVersion"], version, field="Master version")
    return {**cluster, "currentMasterVersion": version}


def _with_setting(cluster: Json, field: str, value: Any) -> Json:
    if field in _WRAPPED:
        path, wrapper = _WRAPPED[field]
        return _set(cluster, path, value.get(wrapper, False))
    return _set(cluster, _path_of(field), value)


def _path_of(field: str) -> tuple[str, ...]:
    if field in _SPECIAL_PATHS:
        return _SPECIAL_PATHS[field]
    name = field.removeprefix("desired")
    name = name[:1].lower() + name[1:]
    if name in field_names("Cluster"):
        return (name,)
    if name in field_names("NetworkConfig"):
        return ("networkConfig", name)
    raise invalid(f"not emulated in the sandbox: UpdateCluster with {field}")


def _set(resource: Json, path: tuple[str, ...], value: Any) -> Json:
    head, *rest = path
    inner = resource.get(head)
    if rest:
        return {**resource, head: _set(inner or {}, tuple(rest), value)}
    if head in _MERGED and isinstance(inner, dict):
        return {**resource, head: merged(inner, value)}
    return {**resource, head: value}


def _with_pool_settings(cluster: Json, update: Mapping[str, Any]) -> Json:
    """The part of an update that is about node pools: one named by `desiredNodePoolId`, or all."""
    change: Json = {}
    if "desiredNodePoolAutoscaling" in update:
        check_autoscaling(update["desiredNodePoolAutoscaling"])
        change["autoscaling"] = update["desiredNodePoolAutoscaling"]
    if "desiredNodeVersion" in update:
        change["nodeVersion"] = update["desiredNodeVersion"]
    if "desiredImageType" in update:
        change["imageType"] = update["desiredImageType"]
    wanted = update.get("desiredNodePoolId")
    if not change:
        return cluster
    pools = cluster.get("nodePools") or []
    if wanted and not any(pool["name"] == wanted for pool in pools):
        raise invalid(f"Node pool {wanted!r} does not exist.")
    return {
        **cluster,
        "nodePools": [
            changed_pool(pool, change, cluster) if wanted in (None, "", pool["name"]) else pool for pool in pools
        ],
    }


_POOL_FIELDS: Mapping[str, str] = {
    "upgradeSettings": "upgradeSettings",
    "queuedProvisioning": "queuedProvisioning",
    "nodeDrainConfig": "nodeDrainConfig",
    "nodeNetworkConfig": "networkConfig",
    "maintenancePolicy": "maintenancePolicy",
    "autoscaling": "autoscaling",
    "management": "management",
}
_UNWRAP: Mapping[str, Callable[[Any], Any]] = {
    "labels": lambda value: value.get("labels", {}),
    "taints": lambda value: value.get("taints", []),
    "tags": lambda value: value.get("tags", []),
    "resourceLabels": lambda value: value.get("labels", {}),
}
_POOL_IDENTITY = {"name", "projectId", "zone", "clusterId", "nodePoolId", "etag", "image", "imageProject"}


def changed_pool(pool: Json, change: Mapping[str, Any], cluster: Json) -> Json:
    """The pool after an `UpdateNodePool` (or one of the narrower methods)."""
    changed = dict(pool)
    config = dict(pool.get("config") or {})
    for field, value in change.items():
        if field == "nodeVersion":
            changed["version"] = _node_version(str(value), cluster)
        elif field == "locations":
            check_zones(value, cluster["location"])
            changed["locations"] = list(value)
        elif field in _POOL_FIELDS:
            target = _POOL_FIELDS[field]
            changed[target] = merged(pool.get(target) or {}, value) if field == "nodeNetworkConfig" else value
        elif field not in _POOL_IDENTITY:
            config[field] = _UNWRAP[field](value) if field in _UNWRAP else value
    check_upgrade(changed.get("upgradeSettings") or {})
    return {**changed, "config": _with_one_disk(config, change)}


def _node_version(wanted: str, cluster: Json) -> str:
    master = cluster["currentMasterVersion"]
    version = master if wanted in ("", "-") else versions.resolve(wanted, field="Node version")
    versions.check_node_version(version, master)
    return version


def _with_one_disk(config: Json, change: Mapping[str, Any]) -> Json:
    """The boot disk is said in two places, which never differ."""
    boot = dict(config.get("bootDisk") or {})
    if "bootDisk" in change:
        config["diskSizeGb"] = int(boot.get("sizeGb") or config.get("diskSizeGb") or 100)
        config["diskType"] = boot.get("diskType", config.get("diskType", "pd-balanced"))
    config["bootDisk"] = {**boot, "sizeGb": str(config.get("diskSizeGb", 100)), "diskType": config.get("diskType")}
    return config
