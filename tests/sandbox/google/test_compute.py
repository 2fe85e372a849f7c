"""Networks over Compute Engine's REST API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.google.conftest import PROJECT, Sandbox
from tests.sandbox.google.test_projects import Api, enable

GLOBAL = f"/compute/v1/projects/{PROJECT}/global"
REGION = f"/compute/v1/projects/{PROJECT}/regions/us-central1"


class Network:
    """A network of a test's own."""

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.name = api, name
        self.link = f"projects/{PROJECT}/global/networks/{name}"
        self.do("POST", f"{GLOBAL}/networks", {"name": name, "autoCreateSubnetworks": False})

    def do(self, method: str, path: str, body: Any = None) -> Any:
        operation = self.api(method, path, body)
        scope = GLOBAL if "/global/" in path else REGION
        return self.api("POST", f"{scope}/operations/{operation['name']}/wait")

    def subnetwork(self, name: str, cidr: str, **secondary: str) -> Any:
        ranges = [{"rangeName": key, "ipCidrRange": value} for key, value in secondary.items()]
        body = {"name": name, "network": self.link, "ipCidrRange": cidr, "secondaryIpRanges": ranges}
        return self.do("POST", f"{REGION}/subnetworks", body)


@pytest.fixture
def network(sandbox: Sandbox, request: pytest.FixtureRequest) -> Network:
    api = Api(sandbox, sandbox.owner_token)
    enable(api, "compute")
    return Network(api, request.node.name.replace("_", "-").lower()[:50].strip("-"))


def test_a_network_is_read_back_with_its_subnetworks(network: Network) -> None:
    network.subnetwork("read-back", "10.10.0.0/20", pods="10.20.0.0/16", services="10.30.0.0/20")
    shown = network.api("GET", f"{GLOBAL}/networks/{network.name}")
    subnetwork = network.api("GET", f"{REGION}/subnetworks/read-back")
    assert shown["routingConfig"]["routingMode"] == "REGIONAL"
    assert shown["subnetworks"] == [subnetwork["selfLink"]]
    assert subnetwork["gatewayAddress"] == "10.10.0.1"
    assert [entry["rangeName"] for entry in subnetwork["secondaryIpRanges"]] == ["pods", "services"]
    assert subnetwork["region"].endswith("/regions/us-central1")
    everywhere = network.api("GET", f"/compute/v1/projects/{PROJECT}/aggregated/subnetworks")["items"]
    assert "read-back" in {found["name"] for found in everywhere["regions/us-central1"]["subnetworks"]}


def test_ranges_that_overlap_are_refused(network: Network) -> None:
    network.subnetwork("first-range", "10.10.0.0/20", pods="10.20.0.0/16")
    body = {"name": "second-range", "network": network.link, "ipCidrRange": "10.20.4.0/24"}
    refused = network.api("POST", f"{REGION}/subnetworks", body, code=400)["error"]
    assert "10.20.4.0/24 conflicts with existing subnetwork" in refused["message"]
    inside = {**body, "secondaryIpRanges": [{"rangeName": "a", "ipCidrRange": "10.20.4.0/26"}]}
    assert (
        "overlaps another range" in network.api("POST", f"{REGION}/subnetworks", inside, code=400)["error"]["message"]
    )
    odd = {**body, "ipCidrRange": "10.20.4.1/24"}
    assert "valid CIDR" in network.api("POST", f"{REGION}/subnetworks", odd, code=400)["error"]["message"]


def test_a_change_must_quote_the_fingerprint(network: Network) -> None:
    network.subnetwork("changed-range", "10.10.0.0/20")
    path = f"{REGION}/subnetworks/changed-range"
    network.api("PATCH", path, {"privateIpGoogleAccess": True}, code=412)
    fingerprint = network.api("GET", path)["fingerprint"]
    ranges = [{"rangeName": "pods", "ipCidrRange": "10.40.0.0/16"}]
    network.do("PATCH", path, {"secondaryIpRanges": ranges, "fingerprint": fingerprint})
    assert network.api("GET", path)["secondaryIpRanges"] == ranges
    network.do("POST", f"{path}/setPrivateIpGoogleAccess", {"privateIpGoogleAccess": True})
    assert network.api("GET", path)["privateIpGoogleAccess"]


def test_a_router_has_nats(network: Network) -> None:
    network.do("POST", f"{REGION}/routers", {"name": "nat-router", "network": network.link})
    nat = {"name": "nat", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}
    network.do("PATCH", f"{REGION}/routers/nat-router", {"nats": [nat]})
    shown = network.api("GET", f"{REGION}/routers/nat-router")
    assert shown["nats"][0]["natIpAllocateOption"] == "AUTO_ONLY"
    network.do("PATCH", f"{REGION}/routers/nat-router", {"nats": []})
    assert "nats" not in network.api("GET", f"{REGION}/routers/nat-router")


def test_a_network_in_use_is_not_deleted(network: Network) -> None:
    network.subnetwork("user-range", "10.10.0.0/20")
    refused = network.api("DELETE", f"{GLOBAL}/networks/{network.name}", code=400)["error"]
    assert refused["errors"][0]["reason"] == "resourceInUseByAnotherResource"
    assert (
        f"is already being used by 'projects/{PROJECT}/regions/us-central1/subnetworks/user-range'"
        in refused["message"]
    )
    network.do("DELETE", f"{REGION}/subnetworks/user-range")
    assert network.do("DELETE", f"{GLOBAL}/networks/{network.name}")["status"] == "DONE"
    network.api("GET", f"{GLOBAL}/networks/{network.name}", code=404)


def test_names_are_taken_once_and_places_are_known(network: Network) -> None:
    network.api("POST", f"{GLOBAL}/networks", {"name": network.name}, code=409)
    network.api("POST", f"{GLOBAL}/networks", {"name": "Not A Name"}, code=400)
    network.api("GET", f"/compute/v1/projects/{PROJECT}/regions/moon-central1", code=404)
    network.api("GET", f"/compute/v1/projects/{PROJECT}/regions/moon-central1/subnetworks", code=400)
    zones = network.api("GET", f"/compute/v1/projects/{PROJECT}/zones")["items"]
    assert "us-central1-a" in {zone["name"] for zone in zones}
    assert "items" not in network.api("GET", f"{GLOBAL}/firewalls?filter=name=none")


def test_a_firewall_and_an_address_can_be_made(network: Network) -> None:
    rule = {"name": f"{network.name[:40]}-fw", "network": network.link, "allowed": [{"IPProtocol": "tcp"}]}
    network.do("POST", f"{GLOBAL}/firewalls", rule)
    assert network.api("GET", f"{GLOBAL}/firewalls/{rule['name']}")["priority"] == 1000
    network.do("POST", f"{REGION}/addresses", {"name": "nat-address"})
    assert network.api("GET", f"{REGION}/addresses/nat-address")["address"].startswith("203.0.113.")
