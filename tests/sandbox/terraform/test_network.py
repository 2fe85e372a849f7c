"""Networks, from configuration to the service and back."""

from __future__ import annotations

from tests.sandbox.terraform.conftest import Terraform, World

NETWORK = """
resource "google_compute_network" "this" {
  name                    = "NAME"
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "nodes" {
  name                     = "NAME-nodes"
  network                  = google_compute_network.this.id
  ip_cidr_range            = "10.0.0.0/20"
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = "10.16.0.0/14"
  }

  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = "10.20.0.0/20"
  }

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
  }
}

resource "google_compute_router" "this" {
  name    = "NAME"
  network = google_compute_network.this.self_link
}

resource "google_compute_router_nat" "this" {
  name                               = "NAME"
  router                             = google_compute_router.this.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.nodes.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

resource "google_compute_firewall" "webhooks" {
  name          = "NAME-webhooks"
  network       = google_compute_network.this.name
  source_ranges = ["172.16.0.0/28"]
  target_tags   = ["mlp-dev"]

  allow {
    protocol = "tcp"
    ports    = ["8443", "9443"]
  }
}
"""


def of(name: str) -> str:
    return NETWORK.replace("NAME", name)


def test_a_network_is_created_grown_and_destroyed(terraform: Terraform, world: World) -> None:
    terraform.apply(of("grown"))
    path = "/compute/v1/projects/mlp-sandbox/regions/us-central1/subnetworks/grown-nodes"
    subnetwork = world.google.call("GET", path)
    assert [each["rangeName"] for each in subnetwork["secondaryIpRanges"]] == ["pods", "services"]
    assert subnetwork["logConfig"]["flowSampling"] == 0.1
    router = world.google.call("GET", "/compute/v1/projects/mlp-sandbox/regions/us-central1/routers/grown")
    assert router["nats"][0]["subnetworks"][0]["sourceIpRangesToNat"] == ["ALL_IP_RANGES"]

    wider = of("grown").replace("10.0.0.0/20", "10.0.0.0/19").replace("google_access = true", "google_access = false")
    terraform.apply(wider.replace("ERRORS_ONLY", "ALL").replace('"9443"', '"9444"').replace("= 0.1", "= 0.2"))
    subnetwork = world.google.call("GET", path)
    assert (subnetwork["ipCidrRange"], subnetwork.get("privateIpGoogleAccess", False)) == ("10.0.0.0/19", False)
    assert subnetwork["logConfig"]["flowSampling"] == 0.2
    terraform.destroy()
    assert world.google.find("/compute/v1/projects/mlp-sandbox/global/networks/grown") is None


def test_what_cannot_change_in_place_is_replaced(terraform: Terraform) -> None:
    terraform.apply(of("fixed"))
    terraform.write(of("fixed").replace("10.0.0.0/20", "10.0.0.0/21"))
    assert terraform.plan()["google_compute_subnetwork.nodes"] == (["delete", "create"], [["ip_cidr_range"]])
    terraform.write(of("fixed").replace("auto_create_subnetworks = false", "auto_create_subnetworks = true"))
    changes = terraform.plan()
    assert changes["google_compute_network.this"] == (["delete", "create"], [["auto_create_subnetworks"]])
    terraform.destroy()


def test_a_deleted_nat_is_made_again(terraform: Terraform, world: World) -> None:
    terraform.apply(of("mended"))
    path = "/compute/v1/projects/mlp-sandbox/regions/us-central1/routers/mended"
    world.google.call("PATCH", path, {"nats": []})
    assert terraform.plan() == {"google_compute_router_nat.this": (["create"], [])}
    terraform.apply(of("mended"))
    terraform.destroy()


def test_everything_can_be_imported(terraform: Terraform) -> None:
    terraform.apply(of("found"))
    addresses = {
        "google_compute_network.this": "found",
        "google_compute_subnetwork.nodes": "us-central1/found-nodes",
        "google_compute_router.this": "projects/mlp-sandbox/regions/us-central1/routers/found",
        "google_compute_router_nat.this": "found/found",
        "google_compute_firewall.webhooks": "mlp-sandbox/found-webhooks",
    }
    before = terraform.resources()
    for address, identifier in addresses.items():
        terraform.run("state", "rm", address)
        terraform.run("import", "-input=false", address, identifier)
    after = terraform.resources()
    assert {address: values["id"] for address, values in after.items()} == {
        address: values["id"] for address, values in before.items()
    }
    # The provider's own defaults are no part of the object: they come back with the next apply, and nothing else does.
    assert all(actions == ["update"] for actions, _ in terraform.plan().values())
    terraform.apply(of("found"))
    terraform.destroy()


def test_a_network_in_use_is_not_deleted_and_stays_in_the_state(terraform: Terraform, world: World) -> None:
    text = 'resource "google_compute_network" "n" {\n  name = "used"\n  auto_create_subnetworks = false\n}\n'
    terraform.apply(text)
    subnetwork = {
        "name": "foreign",
        "network": "projects/mlp-sandbox/global/networks/used",
        "ipCidrRange": "10.9.0.0/24",
    }
    world.google.call("POST", "/compute/v1/projects/mlp-sandbox/regions/us-central1/subnetworks", subnetwork)
    refused = terraform.run("destroy", "-auto-approve", "-no-color", ok=(1,))
    assert "in use" in refused.stderr or "being used" in refused.stderr
    assert set(terraform.resources()) == {"google_compute_network.n"}
