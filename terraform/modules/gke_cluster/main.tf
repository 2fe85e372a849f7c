resource "google_container_cluster" "this" {
  name                = var.name
  project             = var.project
  location            = var.region # regional: the control plane survives the loss of a zone
  node_locations      = var.zones
  deletion_protection = var.deletion_protection
  resource_labels     = var.labels

  network         = var.network_id
  subnetwork      = var.subnetwork_id
  networking_mode = "VPC_NATIVE"

  # Dataplane V2 enforces NetworkPolicy; without it a policy is decoration.
  datapath_provider     = "ADVANCED_DATAPATH"
  enable_shielded_nodes = true

  # Pools are resources of their own, so that changing one never replaces the cluster. GKE insists on a first pool: it
  # lives for minutes, and on our account, because organisations often disable the default one.
  initial_node_count       = 1
  remove_default_node_pool = true

  node_config {
    service_account = var.node_account_email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    shielded_instance_config {
      enable_integrity_monitoring = true
      enable_secure_boot          = true
    }
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = var.pods_range_name
    services_secondary_range_name = var.services_range_name
  }

  default_max_pods_per_node = var.max_pods_per_node

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = true
  }

  # The way in from outside is the DNS name, where IAM decides before a packet reaches the control plane.
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
  }

  master_authorized_networks_config {
    gcp_public_cidrs_access_enabled      = false
    private_endpoint_enforcement_enabled = true
  }

  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }

  # Nobody who is merely signed in to Google, or not at all, gets a role by a careless binding.
  rbac_binding_config {
    enable_insecure_binding_system_authenticated   = false
    enable_insecure_binding_system_unauthenticated = false
  }

  anonymous_authentication_config {
    mode = "LIMITED" # health checks only
  }

  dynamic "authenticator_groups_config" {
    for_each = var.security_group == null ? [] : [var.security_group]

    content {
      security_group = authenticator_groups_config.value
    }
  }

  release_channel {
    channel = var.release_channel
  }

  maintenance_policy {
    recurring_window {
      start_time = var.maintenance_window.start_time
      end_time   = var.maintenance_window.end_time
      recurrence = var.maintenance_window.recurrence
    }
  }

  # No ray_operator_config: KubeRay comes from its chart through Config Sync, pinned, and there must be only one.
  addons_config {
    dns_cache_config {
      enabled = true
    }

    gce_persistent_disk_csi_driver_config {
      enabled = true
    }

    gcs_fuse_csi_driver_config {
      enabled = true # datasets and checkpoints in a bucket, read as files
    }
  }

  cluster_autoscaling {
    autoscaling_profile = "OPTIMIZE_UTILIZATION" # idle machines go sooner: accelerators are dear
  }

  dns_config {
    cluster_dns       = "CLOUD_DNS" # kube-dns would need an untainted pool and scales by hand
    cluster_dns_scope = "CLUSTER_SCOPE"
  }

  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }

  cost_management_config {
    enabled = true # cost by namespace, so by team
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "CONTROLLER_MANAGER", "SCHEDULER"]
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS", "POD", "DEPLOYMENT", "STATEFULSET", "STORAGE", "CADVISOR", "KUBELET"]

    managed_prometheus {
      enabled = true
    }

    advanced_datapath_observability_config {
      enable_metrics = true
      enable_relay   = false
    }
  }

  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_DISABLED" # scanning costs by cluster-hour; an option to take later
  }

  node_pool_defaults {
    node_config_defaults {
      insecure_kubelet_readonly_port_enabled = "FALSE"

      gcfs_config {
        enabled = true # image streaming: a Ray image of gigabytes starts in seconds
      }
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count, node_config] # of the first pool, which is gone

    precondition {
      condition     = alltrue([for zone in var.zones : startswith(zone, "${var.region}-")])
      error_message = "Every zone must lie in the region ${var.region}."
    }
  }
}
