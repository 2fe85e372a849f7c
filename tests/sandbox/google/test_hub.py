"""The fleet and the Connect Gateway through their real clients, and over REST as Terraform and gcloud speak it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from google.api_core import exceptions
from google.cloud import gkehub_v1
from google.cloud.gkeconnect import gateway_v1

from mlp_helpers.waiting import Ready, Waiting, wait_for
from tests.sandbox.google.conftest import NUMBER, PROJECT, Sandbox
from tests.sandbox.google.test_compute import Network
from tests.sandbox.google.test_container import PARENT, REST, cluster_body
from tests.sandbox.google.test_container import finish as finish_container
from tests.sandbox.google.test_projects import Api, enable

HUB = f"/gkehub/v1/{PARENT}"
FEATURES = f"/gkehub/v1/projects/{PROJECT}/locations/global/features"
SPEC = {
    "configSync": {
        "enabled": True,
        "sourceFormat": "unstructured",
        "git": {"syncRepo": "http://127.0.0.1/r.git", "syncBranch": "dev", "policyDir": "clusters/dev"},
    }
}  # fmt: skip


class Fleet:
    """A sandbox with the fleet's APIs on."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.api = sandbox, Api(sandbox, sandbox.owner_token)
        enable(self.api, "compute", "container", "gkehub", "connectgateway", "anthosconfigmanagement")
        network = Network(self.api, "gke-network")
        network.subnetwork("gke-nodes", "10.60.0.0/20", pods="10.64.0.0/14", services="10.68.0.0/20")

    def cluster(self, name: str, **settings: Any) -> str:
        body = {"cluster": cluster_body(name, **settings)}
        finish_container(self.api, self.api("POST", f"{REST}/clusters", body))
        return f"{PARENT}/clusters/{name}"

    def done(self, operation: dict[str, Any], version: str = "v1") -> Any:
        path = f"/gkehub/{version}/{operation['name']}"
        found = wait_for(
            lambda: Ready(found) if (found := self.api("GET", path))["done"] else Waiting("running"),
            path, timeout_seconds=10, first_pause_seconds=0.02,
        )  # fmt: skip
        assert "error" not in found, found
        return found

    def member(self, name: str, cluster: str, *, location: str = "us-central1") -> dict[str, Any]:
        body = {"endpoint": {"gkeCluster": {"resourceLink": f"//container.googleapis.com/{cluster}"}}}
        path = f"/gkehub/v1/projects/{PROJECT}/locations/{location}/memberships"
        self.done(self.api("POST", f"{path}?membershipId={name}", body))
        return dict(self.api("GET", f"{path}/{name}"))


@pytest.fixture
def fleet(start_sandbox: Callable[..., Sandbox]) -> Fleet:
    return Fleet(start_sandbox())


@pytest.mark.parametrize("prefix", ["/gkehub", ""])
def test_a_membership_is_made_and_removed_by_the_client(fleet: Fleet, prefix: str) -> None:
    cluster = fleet.cluster("mlp-dev")
    options = {"api_endpoint": f"{fleet.sandbox.url}{prefix}"}
    client = gkehub_v1.GkeHubClient(transport="rest", credentials=fleet.sandbox.credentials(), client_options=options)
    link = gkehub_v1.GkeCluster(resource_link=f"//container.googleapis.com/{cluster}")
    membership = gkehub_v1.Membership(endpoint=gkehub_v1.MembershipEndpoint(gke_cluster=link))
    made = client.create_membership(parent=PARENT, membership_id="mlp-dev", resource=membership).result(timeout=20)

    assert made.name == f"{PARENT}/memberships/mlp-dev"
    assert made.state.code == gkehub_v1.MembershipState.Code.READY
    assert made.authority.workload_identity_pool == f"{PROJECT}.svc.id.goog"
    everywhere = client.list_memberships(parent=f"projects/{NUMBER}/locations/-")
    assert [found.name for found in everywhere] == [made.name]
    with pytest.raises(exceptions.Conflict):
        client.create_membership(parent=PARENT, membership_id="mlp-dev", resource=membership)
    with pytest.raises(exceptions.BadRequest, match="already registered"):
        client.create_membership(parent=PARENT, membership_id="second", resource=membership)
    client.delete_membership(name=made.name).result(timeout=20)
    with pytest.raises(exceptions.NotFound):
        client.get_membership(name=made.name)


def test_a_membership_needs_a_cluster_and_its_place(fleet: Fleet) -> None:
    cluster = fleet.cluster("placed")
    body = {"endpoint": {"gkeCluster": {"resourceLink": f"//container.googleapis.com/{cluster}"}}}
    other = f"/gkehub/v1/projects/{PROJECT}/locations/europe-west1/memberships?membershipId=placed"
    assert "must be 'global' or 'us-central1'" in fleet.api("POST", other, body, code=400)["error"]["message"]
    missing = {"endpoint": {"gkeCluster": {"resourceLink": f"//container.googleapis.com/{PARENT}/clusters/none"}}}
    refused = fleet.api("POST", f"{HUB}/memberships?membershipId=none", missing, code=400)
    assert "does not exist" in refused["error"]["message"]
    assert fleet.member("placed", cluster, location="global")["state"] == {"code": "READY"}


def test_config_sync_follows_the_feature(fleet: Fleet) -> None:
    cluster = fleet.cluster("synced")
    fleet.member("synced", cluster)
    fleet.done(fleet.api("POST", f"{FEATURES}?featureId=configmanagement", {}))
    key = f"{PARENT}/memberships/synced"
    patch = {"membershipSpecs": {key: {"configmanagement": SPEC}}}
    fleet.done(fleet.api("PATCH", f"{FEATURES}/configmanagement?updateMask=membershipSpecs", patch))

    assert fleet.sandbox.host.syncs[cluster] == SPEC
    stable = f"projects/{NUMBER}/locations/us-central1/memberships/synced"
    for version in ("v1", "v1beta", "v1alpha"):
        shown = fleet.api("GET", f"{FEATURES}/configmanagement".replace("/v1/", f"/{version}/"))
        assert shown["membershipSpecs"][stable]["configmanagement"] == SPEC
        state = shown["membershipStates"][stable]["configmanagement"]
        assert state["configSyncState"]["syncState"]["code"] == "SYNCED"
    in_use = fleet.api("DELETE", f"{FEATURES}/configmanagement", code=400)["error"]
    assert "still has resources" in in_use["message"]

    removal = {"membershipSpecs": {stable: {}}}
    fleet.done(fleet.api("PATCH", f"{FEATURES}/configmanagement?updateMask=membershipSpecs", removal))
    assert fleet.sandbox.host.syncs[cluster] is None
    fleet.done(fleet.api("DELETE", f"{FEATURES}/configmanagement"))
    fleet.api("GET", f"{FEATURES}/configmanagement", code=404)


def test_the_fleets_default_reaches_a_new_member_and_leaves_with_it(fleet: Fleet) -> None:
    default = {"fleetDefaultMemberConfig": {"configmanagement": SPEC}}
    fleet.done(fleet.api("POST", f"{FEATURES}?featureId=configmanagement", default))
    cluster = fleet.cluster("defaulted")
    fleet.member("defaulted", cluster)
    assert fleet.sandbox.host.syncs[cluster] == SPEC
    spec = next(iter(fleet.api("GET", f"{FEATURES}/configmanagement")["membershipSpecs"].values()))
    assert spec["origin"] == {"type": "FLEET"}
    fleet.done(fleet.api("DELETE", f"{HUB}/memberships/defaulted"))
    assert fleet.sandbox.host.syncs[cluster] is None
    assert "membershipSpecs" not in fleet.api("GET", f"{FEATURES}/configmanagement")


def test_features_are_known_once_and_need_their_api(fleet: Fleet) -> None:
    fleet.api("POST", f"{FEATURES}?featureId=imaginary", {}, code=400)
    refused = fleet.api("POST", f"{FEATURES}?featureId=servicemesh", {}, code=403)["error"]
    assert refused["details"][0]["metadata"]["service"] == "mesh.googleapis.com"
    fleet.done(fleet.api("POST", f"{FEATURES}?featureId=configmanagement", {"labels": {"a": "b"}}))
    fleet.api("POST", f"{FEATURES}?featureId=configmanagement", {}, code=409)
    stranger = {"membershipSpecs": {f"{PARENT}/memberships/none": {"configmanagement": SPEC}}}
    wrong = fleet.api("PATCH", f"{FEATURES}/configmanagement?updateMask=membershipSpecs", stranger, code=400)
    assert "membership does not exist" in wrong["error"]["message"]


def test_a_cluster_can_register_itself(fleet: Fleet) -> None:
    cluster = fleet.cluster("selfmade", fleet={"project": PROJECT})
    name = f"projects/{NUMBER}/locations/us-central1/memberships/selfmade"
    assert fleet.api("GET", f"/container/v1/{cluster}")["fleet"]["membership"] == f"//gkehub.googleapis.com/{name}"
    wait_for(
        lambda: Ready(None) if fleet.api("GET", f"{HUB}/memberships") else Waiting("none"),
        "the membership", timeout_seconds=5, first_pause_seconds=0.02,
    )  # fmt: skip
    assert fleet.api("GET", f"/gkehub/v1/{name}")["endpoint"]["gkeCluster"]["resourceLink"].endswith(cluster)


def test_objects_of_team_access_are_kept(fleet: Fleet) -> None:
    scopes = f"/gkehub/v1/projects/{PROJECT}/locations/global/scopes"
    fleet.done(fleet.api("POST", f"{scopes}?scopeId=ml", {"labels": {"team": "ml"}}))
    fleet.done(fleet.api("POST", f"{scopes}/ml/namespaces?scopeNamespaceId=ml-team", {}))
    assert fleet.api("GET", f"{scopes}/ml")["state"] == {"code": "READY"}
    fleet.api("DELETE", f"{scopes}/ml", code=400)
    fleet.done(fleet.api("DELETE", f"{scopes}/ml/namespaces/ml-team"))
    fleet.done(fleet.api("DELETE", f"{scopes}/ml"))


@pytest.mark.parametrize("prefix", ["/connectgateway", ""])
def test_the_gateway_gives_a_kubeconfig(fleet: Fleet, prefix: str) -> None:
    fleet.member("gated", fleet.cluster("gated"))
    client = gateway_v1.GatewayControlClient(
        credentials=fleet.sandbox.credentials(), client_options={"api_endpoint": f"{fleet.sandbox.url}{prefix}"}
    )
    name = f"projects/{NUMBER}/locations/us-central1/memberships/gated"
    reply = client.generate_credentials(request={"name": name, "kubernetes_namespace": "ml-team"})
    config = yaml.safe_load(reply.kubeconfig)
    assert config["current-context"] == f"connectgateway_{PROJECT}_us-central1_gated_ns-ml-team"
    assert config["users"][0]["user"]["token"] == fleet.sandbox.owner_token
    with pytest.raises(exceptions.NotFound):
        client.generate_credentials(request={"name": name + "-not"})
    other = gateway_v1.GatewayControlClient(
        credentials=fleet.sandbox.credentials("other@example.com"),
        client_options={"api_endpoint": f"{fleet.sandbox.url}{prefix}"},
    )
    with pytest.raises(exceptions.Forbidden, match=r"gkehub\.gateway\.get"):
        other.generate_credentials(request={"name": name})
