"""GKE through its real client, over gRPC and over REST, and over plain REST as Terraform speaks it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.auth.exceptions import RefreshError
from google.cloud import container_v1
from google.cloud.container_v1.services.cluster_manager.transports import ClusterManagerGrpcTransport

from mlp_helpers.sandbox.google.container.rpcs import discover
from mlp_helpers.waiting import Ready, Waiting, wait_for
from tests.sandbox.google.conftest import NUMBER, PROJECT, Sandbox
from tests.sandbox.google.test_compute import GLOBAL, REGION, Network
from tests.sandbox.google.test_projects import Api, enable

PARENT = f"projects/{PROJECT}/locations/us-central1"
REST = f"/container/v1/{PARENT}"


class _Bearer(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def __init__(self, token: str) -> None:
        self._token = token

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._token}")]
        return continuation(details._replace(metadata=metadata), request)


def grpc_client(sandbox: Sandbox, token: str) -> container_v1.ClusterManagerClient:
    channel = grpc.intercept_channel(grpc.insecure_channel(sandbox.google.grpc_address), _Bearer(token))
    return container_v1.ClusterManagerClient(transport=ClusterManagerGrpcTransport(channel=channel))


def rest_client(sandbox: Sandbox, token: str) -> container_v1.ClusterManagerClient:
    from google.oauth2.credentials import Credentials

    options = {"api_endpoint": f"{sandbox.url}/container"}
    return container_v1.ClusterManagerClient(transport="rest", credentials=Credentials(token), client_options=options)


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, sandbox: Sandbox) -> container_v1.ClusterManagerClient:
    make = {"grpc": grpc_client, "rest": rest_client}[request.param]
    return make(sandbox, sandbox.owner_token)


@pytest.fixture(scope="module")
def network(session_sandbox: Sandbox) -> Network:
    api = Api(session_sandbox, session_sandbox.owner_token)
    enable(api, "compute", "container")
    network = Network(api, "gke-network")
    network.subnetwork("gke-nodes", "10.60.0.0/20", pods="10.64.0.0/14", services="10.68.0.0/20")
    return network


@pytest.fixture
def api(network: Network) -> Api:
    return network.api


def cluster_body(name: str, /, **settings: Any) -> dict[str, Any]:
    return {
        "name": name,
        "initialNodeCount": 1,
        "network": f"projects/{PROJECT}/global/networks/gke-network",
        "subnetwork": "gke-nodes",
        "ipAllocationPolicy": {"clusterSecondaryRangeName": "pods", "servicesSecondaryRangeName": "services"},
        **settings,
    }


def finish(api: Api, operation: dict[str, Any]) -> Any:
    path = f"{REST}/operations/{operation['name']}"
    return wait_for(
        lambda: Ready(found) if (found := api("GET", path))["status"] == "DONE" else Waiting("running"),
        path, timeout_seconds=10, first_pause_seconds=0.02,
    )  # fmt: skip


@pytest.fixture
def make(api: Api) -> Callable[..., dict[str, Any]]:
    def make(name: str, **settings: Any) -> dict[str, Any]:
        finish(api, api("POST", f"{REST}/clusters", {"cluster": cluster_body(name, **settings)}))
        return dict(api("GET", f"{REST}/clusters/{name}"))

    return make


def test_every_method_of_the_library_is_known() -> None:
    rpcs = discover()
    assert len(rpcs) >= 37
    assert all(rpc.rules for rpc in rpcs.values())


def test_a_cluster_comes_and_goes(
    client: container_v1.ClusterManagerClient, network: Network, sandbox: Sandbox, request: pytest.FixtureRequest
) -> None:
    name = f"comes-{request.node.callspec.id}"
    cluster = container_v1.Cluster.from_json(__import__("json").dumps(cluster_body(name)))
    operation = client.create_cluster(parent=PARENT, cluster=cluster)
    full = f"{PARENT}/clusters/{name}"
    assert operation.status == container_v1.Operation.Status.RUNNING
    assert client.get_cluster(name=full).status == container_v1.Cluster.Status.PROVISIONING
    with pytest.raises(exceptions.BadRequest, match="is currently creating cluster") as busy:
        client.delete_cluster(name=full)
    assert busy.value.reason == "CLUSTER_ALREADY_HAS_OPERATION"
    finish(network.api, {"name": operation.name})

    found = client.get_cluster(name=full)

    assert found.status == container_v1.Cluster.Status.RUNNING
    assert found.endpoint == "127.0.0.1:6443"
    assert b"BEGIN CERTIFICATE" in base64.b64decode(found.master_auth.cluster_ca_certificate)
    assert [pool.name for pool in found.node_pools] == ["default-pool"]
    assert found.current_node_count == 3
    assert sandbox.host.clusters[full].node_pools[0].zones == ("us-central1-a", "us-central1-b", "us-central1-c")
    with pytest.raises(exceptions.Conflict):
        client.create_cluster(parent=PARENT, cluster=cluster)
    ended = client.delete_cluster(name=full)
    finish(network.api, {"name": ended.name})
    with pytest.raises(exceptions.NotFound):
        client.get_cluster(name=full)
    assert full not in sandbox.host.clusters
    assert client.get_operation(name=f"{PARENT}/operations/{ended.name}").status == container_v1.Operation.Status.DONE


def test_refusals_are_the_same_over_both_protocols(
    client: container_v1.ClusterManagerClient, network: Network, sandbox: Sandbox
) -> None:
    with pytest.raises(exceptions.NotFound, match="Not found"):
        client.get_cluster(name=f"{PARENT}/clusters/missing")
    with pytest.raises(exceptions.Forbidden) as unknown:
        client.list_clusters(parent="projects/no-such-project/locations/-")
    assert unknown.value.reason == "CONSUMER_INVALID"
    with pytest.raises(exceptions.GoogleAPICallError, match="not emulated in the sandbox: CompleteIPRotation"):
        client.complete_ip_rotation(name=f"{PARENT}/clusters/missing")
    other = sandbox.identities.issue("other@example.com")
    for made in (grpc_client(sandbox, other), rest_client(sandbox, other)):
        with pytest.raises(exceptions.Forbidden) as denied:
            made.list_clusters(parent=PARENT)
        assert denied.value.reason == "IAM_PERMISSION_DENIED"
    for made in (grpc_client(sandbox, "nobody"), rest_client(sandbox, "nobody")):
        with pytest.raises((exceptions.Unauthorized, RefreshError)):  # the REST transport tries to refresh the token
            made.list_clusters(parent=PARENT)


def test_what_was_asked_is_read_back_with_what_gke_adds(make: Callable[..., dict[str, Any]], api: Api) -> None:
    exclusion = {
        "startTime": "2026-12-24T00:00:00Z",
        "endTime": "2027-01-02T00:00:00Z",
        "maintenanceExclusionOptions": {"scope": "NO_UPGRADES"},
    }
    asked: dict[str, Any] = {
        "privateClusterConfig": {"enablePrivateNodes": True, "enablePrivateEndpoint": True},
        "controlPlaneEndpointsConfig": {"dnsEndpointConfig": {"allowExternalTraffic": True}},
        "networkConfig": {"datapathProvider": "ADVANCED_DATAPATH", "gatewayApiConfig": {"channel": "CHANNEL_STANDARD"}},
        "workloadIdentityConfig": {"workloadPool": f"{PROJECT}.svc.id.goog"},
        "releaseChannel": {"channel": "RAPID"},
        "resourceLabels": {"environment": "dev"},
        "addonsConfig": {"gcsFuseCsiDriverConfig": {"enabled": True}},
        "costManagementConfig": {"enabled": True},
        "aFieldOfTomorrow": {"enabled": True},
        "maintenancePolicy": {"window": {"maintenanceExclusions": {"new-year": exclusion}}},
    }
    cluster = make("read-back", **asked)

    assert cluster["privateClusterConfig"]["enablePrivateNodes"]
    assert cluster["privateClusterConfig"]["privateEndpoint"] == "127.0.0.1:6443"
    dns = cluster["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]
    assert dns["allowExternalTraffic"]
    assert dns["endpoint"].endswith(f"-{NUMBER}.us-central1.gke.goog")
    assert cluster["networkConfig"]["subnetwork"] == f"projects/{PROJECT}/regions/us-central1/subnetworks/gke-nodes"
    assert cluster["networkConfig"]["gatewayApiConfig"] == {"channel": "CHANNEL_STANDARD"}
    assert (cluster["network"], cluster["subnetwork"]) == ("gke-network", "gke-nodes")
    assert (cluster["clusterIpv4Cidr"], cluster["servicesIpv4Cidr"]) == ("10.64.0.0/14", "10.68.0.0/20")
    assert cluster["addonsConfig"]["gcsFuseCsiDriverConfig"] == {"enabled": True}
    assert cluster["releaseChannel"] == {"channel": "RAPID"}
    assert cluster["maintenancePolicy"]["window"]["maintenanceExclusions"]["new-year"] == exclusion
    assert cluster["aFieldOfTomorrow"] == {"enabled": True}
    assert cluster["selfLink"] == f"https://container.googleapis.com/v1/{PARENT}/clusters/read-back"
    config = cluster["nodePools"][0]["config"]
    assert config["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}
    assert len(cluster["instanceGroupUrls"]) == 3
    assert api("GET", f"{REST}/clusters/read-back") == cluster
    assert cluster in api("GET", f"/container/v1/projects/{NUMBER}/locations/-/clusters")["clusters"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "nowhere"}, 'has no network named "nowhere"'),
        ({"subnetwork": "nowhere"}, 'no subnetwork named "nowhere"'),
        ({"ipAllocationPolicy": {"clusterSecondaryRangeName": "none"}}, 'Pod secondary range "none" not found'),
        ({"initialNodeCount": 0}, "initial_node_count must be greater than zero"),
        ({"name": "Upper"}, "Must be a match of regex"),
        ({"initialClusterVersion": "1.20"}, 'Master version "1.20" is unsupported'),
        ({"locations": ["europe-west1-b"]}, "is not a zone of region"),
        ({"workloadIdentityConfig": {"workloadPool": "other.svc.id.goog"}}, "Workload pool must be"),
        ({"releaseChannel": {"channel": "NO_SUCH"}}, "Invalid JSON payload"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(api: Api, settings: dict[str, Any], message: str) -> None:
    body = {"cluster": cluster_body("refused", **settings)}
    assert message in api("POST", f"{REST}/clusters", body, code=400)["error"]["message"]
    api("GET", f"{REST}/clusters/refused", code=404)


def test_a_cluster_is_updated_field_by_field(make: Callable[..., dict[str, Any]], api: Api) -> None:
    make("updated", initialClusterVersion="1.36.4-gke.1302000")
    path = f"{REST}/clusters/updated"

    def update(**settings: Any) -> dict[str, Any]:
        finish(api, api("PUT", path, {"update": settings}))
        return dict(api("GET", path))

    assert update(desiredReleaseChannel={"channel": "STABLE"})["releaseChannel"] == {"channel": "STABLE"}
    assert update(desiredAddonsConfig={"gkeBackupAgentConfig": {"enabled": True}})["addonsConfig"]["dnsCacheConfig"]
    assert update(desiredL4ilbSubsettingConfig={"enabled": True})["networkConfig"]["enableL4ilbSubsetting"]
    assert update(desiredGatewayApiConfig={"channel": "CHANNEL_STANDARD"})["networkConfig"]["gatewayApiConfig"]
    endpoints = update(desiredControlPlaneEndpointsConfig={"dnsEndpointConfig": {"allowExternalTraffic": True}})
    assert endpoints["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]["endpoint"]
    assert endpoints["status"] == "RUNNING"
    upgraded = update(desiredMasterVersion="1.37")
    assert upgraded["currentMasterVersion"].startswith("1.37.")
    assert upgraded["currentNodeVersion"].startswith("1.36.")
    assert update(desiredNodeVersion="-")["currentNodeVersion"] == upgraded["currentMasterVersion"]
    refused = api("PUT", path, {"update": {"desiredMasterVersion": "1.36"}}, code=400)["error"]
    assert "cannot be downgraded" in refused["message"]
    fingerprint = api("GET", path)["labelFingerprint"]
    api("POST", f"{path}:setResourceLabels", {"resourceLabels": {}, "labelFingerprint": "old"}, code=400)
    labels = {"resourceLabels": {"a": "b"}, "labelFingerprint": fingerprint}
    finish(api, api("POST", f"{path}:setResourceLabels", labels))
    assert api("GET", path)["resourceLabels"] == {"a": "b"}


def test_a_node_pool_lives(make: Callable[..., dict[str, Any]], api: Api, sandbox: Sandbox) -> None:
    make("pools")
    pools = f"{REST}/clusters/pools/nodePools"
    asked = {
        "name": "gpu",
        "initialNodeCount": 1,
        "locations": ["us-central1-a"],
        "autoscaling": {"enabled": True, "totalMaxNodeCount": 3},
        "config": {
            "machineType": "g2-standard-24",
            "spot": True,
            "labels": {"team": "ml"},
            "accelerators": [{"acceleratorType": "nvidia-l4", "acceleratorCount": "2"}],
            "taints": [{"key": "team", "value": "ml", "effect": "NO_SCHEDULE"}],
        },
    }
    begun = api("POST", pools, {"nodePool": asked})
    assert begun["targetLink"].endswith("/clusters/pools/nodePools/gpu")
    finish(api, begun)
    pool = api("GET", f"{pools}/gpu")
    assert (pool["status"], pool["config"]["machineType"]) == ("RUNNING", "g2-standard-24")
    assert pool["autoscaling"] == {"enabled": True, "totalMaxNodeCount": 3}
    assert pool["config"]["taints"] == asked["config"]["taints"]  # type: ignore[index]
    spec = next(pool for pool in sandbox.host.clusters[f"{PARENT}/clusters/pools"].node_pools if pool.name == "gpu")
    assert (spec.node_count, spec.zones) == (1, ("us-central1-a",))
    assert spec.labels["cloud.google.com/gke-accelerator"] == "nvidia-l4"
    assert {taint["key"] for taint in spec.taints} == {"team", "nvidia.com/gpu"}
    api("POST", pools, {"nodePool": asked}, code=409)

    finish(api, api("POST", f"{pools}/gpu:setSize", {"nodeCount": 2}))
    group = api("GET", f"{pools}/gpu")["instanceGroupUrls"][0].partition("/compute/")[2]
    assert api("GET", f"/compute/{group}")["targetSize"] == 2
    finish(api, api("PUT", f"{pools}/gpu", {"labels": {"labels": {"team": "other"}}, "machineType": "g2-standard-48"}))
    scaling = {"desiredNodePoolId": "gpu", "desiredNodePoolAutoscaling": {"enabled": True, "maxNodeCount": 5}}
    finish(api, api("PUT", f"{REST}/clusters/pools", {"update": scaling}))
    finish(api, api("POST", f"{pools}/gpu:setManagement", {"management": {"autoRepair": True}}))
    pool = api("GET", f"{pools}/gpu")
    assert (pool["initialNodeCount"], pool["config"]["labels"]) == (2, {"team": "other"})
    assert pool["config"]["machineType"] == "g2-standard-48"
    assert pool["autoscaling"] == {"enabled": True, "maxNodeCount": 5}
    assert pool["management"] == {"autoRepair": True}
    assert [pool["name"] for pool in api("GET", pools)["nodePools"]] == ["default-pool", "gpu"]
    finish(api, api("DELETE", f"{pools}/gpu"))
    api("GET", f"{pools}/gpu", code=404)


def test_two_pools_change_at_once_but_one_pool_does_not(make: Callable[..., dict[str, Any]], api: Api) -> None:
    make("parallel")
    pools = f"{REST}/clusters/parallel/nodePools"
    first = api("POST", pools, {"nodePool": {"name": "one", "initialNodeCount": 1}})
    second = api("POST", pools, {"nodePool": {"name": "two", "initialNodeCount": 1}})
    busy = api("POST", f"{pools}/one:setSize", {"nodeCount": 2}, code=400)["error"]
    assert busy["details"][0]["reason"] == "CLUSTER_ALREADY_HAS_OPERATION"
    api("DELETE", f"{REST}/clusters/parallel", code=400)
    finish(api, first)
    finish(api, second)
    names = [pool["name"] for pool in api("GET", pools)["nodePools"]]
    assert names == ["default-pool", "one", "two"]


def test_the_network_of_a_cluster_is_in_use(make: Callable[..., dict[str, Any]], api: Api) -> None:
    make("network-user")
    refused = api("DELETE", f"{REGION}/subnetworks/gke-nodes", code=400)["error"]
    assert refused["errors"][0]["reason"] == "resourceInUseByAnotherResource"
    api("DELETE", f"{GLOBAL}/networks/gke-network", code=400)


def test_a_cluster_whose_host_fails_is_in_error_and_can_be_deleted(
    make: Callable[..., dict[str, Any]], api: Api, sandbox: Sandbox
) -> None:
    sandbox.host.failure = "no room left"
    try:
        failed = finish(api, api("POST", f"{REST}/clusters", {"cluster": cluster_body("failing")}))
    finally:
        sandbox.host.failure = ""
    assert failed["error"]["message"] == "no room left"
    cluster = api("GET", f"{REST}/clusters/failing")
    assert (cluster["status"], cluster["statusMessage"]) == ("ERROR", "no room left")
    finish(api, api("DELETE", f"{REST}/clusters/failing"))


def test_an_autopilot_cluster_has_no_pools_of_its_own(make: Callable[..., dict[str, Any]], api: Api) -> None:
    cluster = make("autopilot", autopilot={"enabled": True}, initialNodeCount=0)
    assert cluster["autopilot"] == {"enabled": True}
    assert cluster["networkConfig"]["datapathProvider"] == "ADVANCED_DATAPATH"
    refused = api("POST", f"{REST}/clusters/autopilot/nodePools", {"nodePool": {"name": "x"}}, code=400)["error"]
    assert "Autopilot" in refused["message"]


def test_versions_are_offered(client: container_v1.ClusterManagerClient, network: Network) -> None:
    config = client.get_server_config(name=PARENT)
    assert config.default_cluster_version in config.valid_master_versions
    assert {channel.channel.name for channel in config.channels} >= {"RAPID", "REGULAR", "STABLE"}


def test_an_operation_goes_on_after_a_restart(start_sandbox: Callable[..., Sandbox]) -> None:
    first = start_sandbox(operation_seconds=1.0)
    api = Api(first, first.owner_token)
    enable(api, "compute", "container")
    network = Network(api, "gke-network")
    network.subnetwork("gke-nodes", "10.60.0.0/20", pods="10.64.0.0/14", services="10.68.0.0/20")
    begun = api("POST", f"{REST}/clusters", {"cluster": cluster_body("survivor")})
    first.stop()

    second = start_sandbox()
    api = Api(second, second.owner_token)
    finish(api, begun)
    assert api("GET", f"{REST}/clusters/survivor")["status"] == "RUNNING"
