"""Clusters and node pools: protection, failures, interruptions, imports, and many arguments at once."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.sandbox.terraform.conftest import HEADER, Terraform, World

CLUSTERS = "/container/v1/projects/mlp-sandbox/locations/us-central1/clusters"

SMALL = """
resource "google_compute_network" "n" {
  name                    = "NAME"
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "s" {
  name          = "NAME"
  network       = google_compute_network.n.id
  ip_cidr_range = "10.0.0.0/20"
}

resource "google_container_cluster" "c" {
  name                = "NAME"
  location            = "us-central1"
  network             = google_compute_network.n.id
  subnetwork          = google_compute_subnetwork.s.id
  initial_node_count  = 1
  deletion_protection = false
  EXTRA
}
"""

L4_AND_VISIBILITY = "enable_intranode_visibility = true\n  enable_l4_ilb_subsetting = true"

POOL = """
resource "google_container_node_pool" "p" {
  name           = "workers"
  cluster        = google_container_cluster.c.id
  node_count     = 1
  node_locations = ["us-central1-a"]

  node_config {
    machine_type = "n2-standard-4"
    spot         = true
    labels = {
      pool = "workers"
    }
    taint {
      key    = "team"
      value  = "ml"
      effect = "NO_SCHEDULE"
    }
  }
}
"""

MANY = """
  remove_default_node_pool  = true
  node_locations            = ["us-central1-a", "us-central1-c"]
  default_max_pods_per_node = 64
  datapath_provider         = "ADVANCED_DATAPATH"
  enable_shielded_nodes     = true
  enable_l4_ilb_subsetting  = true
  resource_labels = {
    team = "platform"
  }

  ip_allocation_policy {
    cluster_ipv4_cidr_block  = "/14"
    services_ipv4_cidr_block = "/20"
  }

  private_cluster_config {
    enable_private_nodes = true
    master_global_access_config {
      enabled = true
    }
  }

  master_authorized_networks_config {
    cidr_blocks {
      cidr_block   = "192.0.2.0/24"
      display_name = "office"
    }
    cidr_blocks {
      cidr_block = "198.51.100.0/24"
    }
  }

  workload_identity_config {
    workload_pool = "mlp-sandbox.svc.id.goog"
  }

  release_channel {
    channel = "RAPID"
  }

  maintenance_policy {
    recurring_window {
      start_time = "2026-01-03T02:00:00Z"
      end_time   = "2026-01-03T10:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SA,SU"
    }
    maintenance_exclusion {
      exclusion_name = "new-year"
      start_time     = "2026-12-20T00:00:00Z"
      end_time       = "2027-01-05T00:00:00Z"
      exclusion_options {
        scope = "NO_UPGRADES"
      }
    }
  }

  cluster_autoscaling {
    enabled = true
    resource_limits {
      resource_type = "cpu"
      maximum       = 200
    }
    resource_limits {
      resource_type = "memory"
      minimum       = 4
      maximum       = 800
    }
    auto_provisioning_defaults {
      disk_type    = "pd-balanced"
      oauth_scopes = ["https://www.googleapis.com/auth/cloud-platform"]
      management {
        auto_repair  = true
        auto_upgrade = true
      }
    }
  }

  addons_config {
    gcs_fuse_csi_driver_config {
      enabled = true
    }
    ray_operator_config {
      enabled = true
      ray_cluster_logging_config {
        enabled = true
      }
    }
  }

  logging_config {
    enable_components = ["WORKLOADS", "SYSTEM_COMPONENTS"]
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS", "JOBSET"]
    managed_prometheus {
      enabled = true
      auto_monitoring_config {
        scope = "ALL"
      }
    }
  }

  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_DISABLED"
  }

  cost_management_config {
    enabled = true
  }

  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }

  secret_manager_config {
    enabled = true
  }

  binary_authorization {
    evaluation_mode = "PROJECT_SINGLETON_POLICY_ENFORCE"
  }

  node_pool_defaults {
    node_config_defaults {
      insecure_kubelet_readonly_port_enabled = "FALSE"
      gcfs_config {
        enabled = true
      }
    }
  }

  node_pool_auto_config {
    network_tags {
      tags = ["mlp"]
    }
  }

  fleet {
    project = "mlp-sandbox"
  }

  vertical_pod_autoscaling {
    enabled = true
  }
"""


def of(name: str, extra: str = "") -> str:
    return SMALL.replace("NAME", name).replace("EXTRA", extra)


def test_deletion_protection_looks_at_the_state(terraform: Terraform, world: World) -> None:
    terraform.apply(of("guarded").replace("deletion_protection = false", ""))
    assert terraform.resources()["google_container_cluster.c"]["deletion_protection"] is True
    refused = terraform.run("destroy", "-auto-approve", "-no-color", ok=(1,))
    assert "deletion_protection is set to true" in refused.stderr
    assert world.google.find(f"{CLUSTERS}/guarded") is not None
    terraform.apply(of("guarded"))
    terraform.destroy()


def test_a_cluster_with_many_arguments_converges_and_changes(terraform: Terraform, world: World) -> None:
    terraform.apply(of("many", MANY))
    cluster = world.google.call("GET", f"{CLUSTERS}/many")
    assert "nodePools" not in cluster or not cluster["nodePools"]
    assert cluster["autoscaling"]["resourceLimits"][0] == {"resourceType": "cpu", "maximum": "200"}
    window = cluster["maintenancePolicy"]["window"]
    assert window["recurringWindow"]["recurrence"] == "FREQ=WEEKLY;BYDAY=SA,SU"
    assert window["maintenanceExclusions"]["new-year"]["endTime"] == "2027-01-05T00:00:00Z"
    assert cluster["addonsConfig"]["rayOperatorConfig"]["rayClusterLoggingConfig"] == {"enabled": True}
    assert cluster["nodePoolDefaults"]["nodeConfigDefaults"]["gcfsConfig"] == {"enabled": True}
    values = terraform.resources()["google_container_cluster.c"]
    assert values["fleet"][0]["membership_location"] == "us-central1"

    changed = (
        MANY.replace('"192.0.2.0/24"', '"203.0.113.0/24"')
        .replace('team = "platform"', 'owner = "platform"')
        .replace("maximum       = 200", "maximum       = 300")
        .replace("T02:00", "T03:00")
        .replace('"RAPID"', '"REGULAR"')
        .replace('"WORKLOADS", ', "")
        .replace('["mlp"]', '["mlp", "dev"]')
        .replace(
            "enable_l4_ilb_subsetting  = true", "enable_intranode_visibility = true\n enable_l4_ilb_subsetting = true"
        )
        .replace('insecure_kubelet_readonly_port_enabled = "FALSE"', 'insecure_kubelet_readonly_port_enabled = "TRUE"')
    )
    terraform.write(of("many", changed))
    assert terraform.plan() == {"google_container_cluster.c": (["update"], [])}
    terraform.apply(of("many", changed))
    cluster = world.google.call("GET", f"{CLUSTERS}/many")
    assert cluster["resourceLabels"] == {"owner": "platform", "goog-terraform-provisioned": "true"}
    assert cluster["releaseChannel"]["channel"] == "REGULAR"
    assert cluster["networkConfig"]["enableIntraNodeVisibility"] is True

    terraform.write(of("many", changed.replace("enable_l4_ilb_subsetting = true", "enable_l4_ilb_subsetting = false")))
    assert terraform.plan()["google_container_cluster.c"][0] == ["delete", "create"]
    terraform.destroy()


def test_autopilot(terraform: Terraform) -> None:
    terraform.apply(of("auto", "enable_autopilot = true").replace("  initial_node_count  = 1\n", ""))
    terraform.destroy()


def test_a_pool_is_resized_relabelled_and_imported(terraform: Terraform, world: World) -> None:
    terraform.apply(of("pools") + POOL)
    changed = POOL.replace("node_count     = 1", "node_count     = 3").replace('pool = "workers"', 'pool = "batch"')
    changed = changed.replace('"team"', '"group"').replace("n2-standard-4", "n2-standard-8")
    terraform.write(of("pools") + changed)
    assert terraform.plan() == {"google_container_node_pool.p": (["update"], [])}
    terraform.apply(of("pools") + changed)
    pool = world.google.call("GET", f"{CLUSTERS}/pools/nodePools/workers")
    assert (pool["initialNodeCount"], pool["config"]["labels"]) == (3, {"pool": "batch"})
    assert pool["config"]["taints"] == [{"key": "group", "value": "ml", "effect": "NO_SCHEDULE"}]

    terraform.run("state", "rm", "google_container_node_pool.p", "google_container_cluster.c")
    terraform.run("import", "-input=false", "google_container_cluster.c", "us-central1/pools")
    terraform.run("import", "-input=false", "google_container_node_pool.p", "us-central1/pools/workers")
    assert all(actions == ["update"] for actions, _ in terraform.plan().values())
    terraform.apply(of("pools") + changed)
    terraform.destroy()


def test_a_cluster_that_fails_on_the_way_is_tainted_and_made_anew(terraform: Terraform, world: World) -> None:
    terraform.write(of("broken"))
    terraform.init()
    world.google_server.host.failure = "no machine is left"
    try:
        failed = terraform.run("apply", "-auto-approve", "-no-color", ok=(1,))
    finally:
        world.google_server.host.failure = ""
    assert "no machine is left" in failed.stderr
    assert "google_container_cluster.c" in terraform.resources()
    assert terraform.plan()["google_container_cluster.c"][0] == ["delete", "create"]
    terraform.apply(of("broken"))
    assert world.google.call("GET", f"{CLUSTERS}/broken")["status"] == "RUNNING"
    terraform.destroy()


def test_an_interrupted_cluster_goes_on_and_is_not_made_twice(
    terraform_in: Callable[[World], Terraform], slow_world: World
) -> None:
    terraform = terraform_in(slow_world)
    terraform.write(of("slow"))
    terraform.init()
    applying = terraform.start("apply", "-auto-approve", "-no-color")
    assert applying.stdout is not None
    while "google_container_cluster.c: Creating..." not in (line := applying.stdout.readline()):
        assert line
    applying.send_signal(signal.SIGINT)
    said = applying.stdout.read()
    applying.wait(60)
    before = slow_world.google.call("GET", f"{CLUSTERS}/slow")
    assert before["status"] == "PROVISIONING", said
    assert terraform.resources()["google_container_cluster.c"]["operation"]
    terraform.run("apply", "-auto-approve", "-no-color")
    terraform.expect_no_changes()
    after = slow_world.google.call("GET", f"{CLUSTERS}/slow")
    assert (after["status"], after["createTime"]) == ("RUNNING", before["createTime"])


def test_teams_over_several_clusters(terraform: Terraform, world: World) -> None:
    text = (
        of("fleet")
        + """
resource "google_gke_hub_membership" "m" {
  membership_id = "fleet"
  location      = "us-central1"
  endpoint {
    gke_cluster {
      resource_link = google_container_cluster.c.id
    }
  }
  authority {
    issuer = "https://container.googleapis.com/v1/${google_container_cluster.c.id}"
  }
}

resource "google_gke_hub_scope" "s" {
  scope_id = "ml-team"
  namespace_labels = {
    team = "ml-team"
  }
}

resource "google_gke_hub_namespace" "n" {
  scope_namespace_id = "ml-team"
  scope_id           = google_gke_hub_scope.s.scope_id
  scope              = google_gke_hub_scope.s.name
}

resource "google_gke_hub_membership_binding" "b" {
  membership_binding_id = "ml-team"
  membership_id         = google_gke_hub_membership.m.membership_id
  location              = "us-central1"
  scope                 = google_gke_hub_scope.s.name
}
"""
    )
    terraform.apply(text)
    scope = world.google.call("GET", "/gkehub/v1/projects/mlp-sandbox/locations/global/scopes/ml-team")
    assert scope["namespaceLabels"] == {"team": "ml-team"}
    terraform.apply(text.replace('team = "ml-team"', 'team = "other"'))
    terraform.destroy()


@pytest.mark.parametrize("provider", ["google-beta"])
def test_google_beta_serves_the_same_types(terraform: Terraform, provider: str) -> None:
    header = HEADER.replace("hashicorp/google", f"hashicorp/{provider}")
    terraform.write('resource "google_compute_network" "n" {\n  name = "beta"\n}\n', header=header)
    terraform.init()
    assert terraform.plan() == {"google_compute_network.n": (["create"], [])}
