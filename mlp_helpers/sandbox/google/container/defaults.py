"""What GKE fills in: the difference between what was asked and what is read back. Pure functions."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.google.compute.locations import region_of, zones_of
from mlp_helpers.sandbox.google.container import versions
from mlp_helpers.sandbox.google.container.validation import Place

Json = dict[str, Any]

SELF_LINK = "https://container.googleapis.com/v1/"
COMPUTE_LINK = "https://www.googleapis.com/compute/v1/"
_ZONES_OF_A_REGIONAL_CLUSTER = 3
_NODE_SCOPES = (
    "https://www.googleapis.com/auth/devstorage.read_only",
    "https://www.googleapis.com/auth/logging.write",
    "https://www.googleapis.com/auth/monitoring",
    "https://www.googleapis.com/auth/servicecontrol",
    "https://www.googleapis.com/auth/service.management.readonly",
    "https://www.googleapis.com/auth/trace.append",
)


def short_hash(text: str, length: int = 8) -> str:
    """A short name that is always the same for the same thing."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def etag(resource: Mapping[str, Any]) -> str:
    """An etag that changes with the content."""
    content = {key: value for key, value in resource.items() if key != "etag"}
    return base64.b64encode(hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()[:12]).decode()


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """Defaults with what was asked over them, object by object."""
    result = dict(defaults)
    for key, value in given.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def new_cluster(asked: Json, *, project: str, number: str, location: str, place: Place, created: str) -> Json:
    """A cluster as it is read back while it is being provisioned."""
    name = f"projects/{project}/locations/{location}/clusters/{asked['name']}"
    autopilot = bool(asked.get("autopilot", {}).get("enabled"))
    channel = asked.get("releaseChannel", {}).get("channel", versions.DEFAULT_CHANNEL)
    version = versions.resolve(asked.get("initialClusterVersion", ""), channel=channel)
    kind = "zones" if location != region_of(location) else "locations"
    cluster = merged(_settings(autopilot=autopilot), asked)
    cluster |= {
        "id": short_hash(f"{name}{created}", 64),
        "selfLink": f"{SELF_LINK}projects/{project}/{kind}/{location}/clusters/{asked['name']}",
        "location": location,
        "zone": location,
        "locations": list(asked.get("locations") or default_zones(location)),
        "createTime": created,
        "status": "PROVISIONING",
        "initialClusterVersion": version,
        "currentMasterVersion": version,
        "currentNodeVersion": version,
        "releaseChannel": {"channel": channel},
    }
    _place_in_network(cluster, place)
    _set_endpoints(cluster, number)
    pools = [new_pool(pool, cluster, project=project) for pool in _pools_asked(asked, autopilot=autopilot)]
    cluster["nodePools"] = pools
    for field in ("initialNodeCount", "nodeConfig"):
        cluster.pop(field, None)
    return cluster


def _pools_asked(asked: Json, *, autopilot: bool) -> list[Json]:
    if asked.get("nodePools") or autopilot:
        return list(asked.get("nodePools") or ())
    default: Json = {"name": "default-pool", "initialNodeCount": int(asked.get("initialNodeCount", 0))}
    return [default | ({"config": asked["nodeConfig"]} if "nodeConfig" in asked else {})]


def default_zones(location: str) -> tuple[str, ...]:
    """Where nodes go if nobody says: the zone, or three of the region's."""
    if location != region_of(location):
        return (location,)
    return zones_of(location)[:_ZONES_OF_A_REGIONAL_CLUSTER]


def _settings(*, autopilot: bool) -> Json:
    """Settings of a cluster that were not asked for."""
    settings: Json = {
        "addonsConfig": {
            "dnsCacheConfig": {"enabled": True},
            "gcePersistentDiskCsiDriverConfig": {"enabled": True},
            "kubernetesDashboard": {"disabled": True},
            "networkPolicyConfig": {"disabled": True},
        },
        "autopilot": {},
        "autoscaling": {"autoscalingProfile": "BALANCED"},
        "binaryAuthorization": {},
        "databaseEncryption": {"state": "DECRYPTED", "currentState": "CURRENT_STATE_DECRYPTED"},
        "defaultMaxPodsConstraint": {"maxPodsPerNode": "110"},
        "enterpriseConfig": {"clusterTier": "STANDARD"},
        "legacyAbac": {},
        "loggingConfig": {"componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS", "WORKLOADS"]}},
        "loggingService": "logging.googleapis.com/kubernetes",
        "maintenancePolicy": {"resourceVersion": "e3b0c442"},
        "masterAuth": {"clientCertificateConfig": {}},
        "masterAuthorizedNetworksConfig": {},
        "monitoringConfig": {
            "componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS"]},
            "managedPrometheusConfig": {"enabled": True},
        },
        "monitoringService": "monitoring.googleapis.com/kubernetes",
        "networkConfig": {"serviceExternalIpsConfig": {}},
        "nodePoolDefaults": {"nodeConfigDefaults": {"loggingConfig": {"variantConfig": {"variant": "DEFAULT"}}}},
        "notificationConfig": {"pubsub": {}},
        "podAutoscaling": {"hpaProfile": "PERFORMANCE"},
        "privateClusterConfig": {},
        "rbacBindingConfig": {
            "enableInsecureBindingSystemAuthenticated": True,
            "enableInsecureBindingSystemUnauthenticated": True,
        },
        "securityPostureConfig": {"mode": "BASIC", "vulnerabilityMode": "VULNERABILITY_DISABLED"},
        "shieldedNodes": {"enabled": True},
    }
    if autopilot:
        settings["autopilot"] = {"enabled": True}
        settings["networkConfig"]["datapathProvider"] = "ADVANCED_DATAPATH"
        settings["verticalPodAutoscaling"] = {"enabled": True}
        settings["addonsConfig"]["gcsFuseCsiDriverConfig"] = {"enabled": True}
    return settings


def _place_in_network(cluster: Json, place: Place) -> None:
    """Network, subnetwork and ranges: names at the top, full paths in `networkConfig`."""
    asked = cluster.get("ipAllocationPolicy", {})
    pods, services = str(place.pods), str(place.services)
    cluster |= {
        "network": place.network.rpartition("/")[2],
        "subnetwork": place.subnetwork.rpartition("/")[2],
        "clusterIpv4Cidr": pods,
        "servicesIpv4Cidr": services,
    }
    cluster["networkConfig"] |= {"network": place.network, "subnetwork": place.subnetwork}
    cluster["ipAllocationPolicy"] = {
        **asked,
        "useIpAliases": True,
        "clusterSecondaryRangeName": place.pods_range,
        "servicesSecondaryRangeName": place.services_range,
        "clusterIpv4Cidr": pods,
        "clusterIpv4CidrBlock": pods,
        "servicesIpv4Cidr": services,
        "servicesIpv4CidrBlock": services,
        "podCidrOverprovisionConfig": {},
        "stackType": asked.get("stackType", "IPV4"),
    }


def _set_endpoints(cluster: Json, number: str) -> None:
    """The ways to the control plane; both places that speak of the private endpoint say the same."""
    host = f"gke-{cluster['id'][:32]}-{number}.{region_of(cluster['location'])}.gke.goog"
    asked = cluster.get("controlPlaneEndpointsConfig", {})
    private = cluster["privateClusterConfig"]
    ip_endpoints = merged(
        {"enabled": True, "enablePublicEndpoint": not private.get("enablePrivateEndpoint", False)},
        asked.get("ipEndpointsConfig", {}),
    )
    if not ip_endpoints.get("enablePublicEndpoint"):
        private["enablePrivateEndpoint"] = True
    if private.get("enablePrivateNodes"):
        cluster["networkConfig"].setdefault("defaultEnablePrivateNodes", True)
    cluster["controlPlaneEndpointsConfig"] = {
        **asked,
        "dnsEndpointConfig": {**asked.get("dnsEndpointConfig", {}), "endpoint": host},
        "ipEndpointsConfig": ip_endpoints,
    }


def with_address(cluster: Json, address: str, certificate: str) -> Json:
    """The cluster when its control plane answers."""
    encoded = base64.b64encode(certificate.encode()).decode()
    endpoints = cluster["controlPlaneEndpointsConfig"]
    public = endpoints["ipEndpointsConfig"].get("enablePublicEndpoint")
    ip_endpoints = {**endpoints["ipEndpointsConfig"], "privateEndpoint": address}
    private = {**cluster["privateClusterConfig"], "privateEndpoint": address}
    if public:
        ip_endpoints["publicEndpoint"] = private["publicEndpoint"] = address
    return {
        **cluster,
        "endpoint": address,
        "masterAuth": {**cluster["masterAuth"], "clusterCaCertificate": encoded},
        "privateClusterConfig": private,
        "controlPlaneEndpointsConfig": {**endpoints, "ipEndpointsConfig": ip_endpoints},
    }


def new_pool(asked: Json, cluster: Json, *, project: str) -> Json:
    """A node pool as it is read back while it is being provisioned."""
    policy = cluster["ipAllocationPolicy"]
    max_pods = str(cluster["defaultMaxPodsConstraint"]["maxPodsPerNode"])
    defaults: Json = {
        "config": _node_config(asked.get("config", {}), cluster),
        "initialNodeCount": 0,
        "management": {"autoRepair": True, "autoUpgrade": True},
        "maxPodsConstraint": {"maxPodsPerNode": max_pods},
        "networkConfig": {
            "podIpv4CidrBlock": policy["clusterIpv4CidrBlock"],
            "podRange": policy["clusterSecondaryRangeName"],
            "enablePrivateNodes": bool(cluster["networkConfig"].get("defaultEnablePrivateNodes", False)),
        },
        "upgradeSettings": {"maxSurge": 1, "strategy": "SURGE"},
    }
    pool = merged(defaults, asked)
    version = versions.resolve(str(asked.get("version") or cluster["currentMasterVersion"]), field="Node version")
    versions.check_node_version(version, cluster["currentMasterVersion"])
    pool |= {
        "selfLink": f"{cluster['selfLink']}/nodePools/{asked['name']}",
        "locations": list(asked.get("locations") or cluster["locations"]),
        "podIpv4CidrSize": pod_prefix(int(pool["maxPodsConstraint"]["maxPodsPerNode"])),
        "status": "PROVISIONING",
        "version": version,
    }
    return with_groups(pool, cluster, project)


def with_groups(pool: Json, cluster: Json, project: str) -> Json:
    """The pool with its instance groups, one for each zone."""
    group = f"gke-{cluster['name'][:20]}-{pool['name'][:12]}-{short_hash(pool['selfLink'])}-grp"
    urls = [
        f"{COMPUTE_LINK}projects/{project}/zones/{zone}/instanceGroupManagers/{group}" for zone in pool["locations"]
    ]
    return {**pool, "instanceGroupUrls": urls}


def pod_prefix(max_pods: int) -> int:
    """Size of a node's range: twice as many addresses as pods, rounded up."""
    return 32 - (2 * max_pods - 1).bit_length()


def _node_config(asked: Json, cluster: Json) -> Json:
    """Settings of a pool's machines that were not asked for."""
    boot = asked.get("bootDisk", {})
    size = asked.get("diskSizeGb") or int(boot.get("sizeGb", 0)) or 100
    disk = asked.get("diskType") or boot.get("diskType") or "pd-balanced"
    spot, flexible = asked.get("spot"), asked.get("flexStart")
    model = "spot" if spot else "flex-start" if flexible else "on-demand"
    config: Json = {
        "bootDisk": {"sizeGb": str(size), "diskType": disk},
        "diskSizeGb": size,
        "diskType": disk,
        "effectiveCgroupMode": "EFFECTIVE_CGROUP_MODE_V2",
        "imageType": "COS_CONTAINERD",
        "loggingConfig": {"variantConfig": {"variant": "DEFAULT"}},
        "machineType": "e2-medium",
        "metadata": {"disable-legacy-endpoints": "true"},
        "oauthScopes": list(_NODE_SCOPES),
        "resourceLabels": {"goog-gke-node-pool-provisioning-model": model},
        "serviceAccount": "default",
        "shieldedInstanceConfig": {"enableIntegrityMonitoring": True},
        "windowsNodeConfig": {},
    }
    if cluster.get("workloadIdentityConfig", {}).get("workloadPool"):
        config["workloadMetadataConfig"] = {"mode": "GKE_METADATA"}
    return config
