resource "google_container_node_pool" "this" {
  name               = var.name
  project            = var.project
  location           = var.region
  cluster            = var.cluster_name
  initial_node_count = ceil(var.nodes.min / length(var.zones)) # counted in each zone
  max_pods_per_node  = var.max_pods_per_node
  node_locations     = var.zones

  # Totals, not numbers for each zone: the limit stays what it says when a zone is added.
  autoscaling {
    total_min_node_count = var.nodes.min
    total_max_node_count = var.nodes.max
    location_policy      = var.spot ? "ANY" : "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  upgrade_settings {
    strategy        = "SURGE"
    max_surge       = 1
    max_unavailable = 0
  }

  node_config {
    machine_type    = var.machine_type
    disk_size_gb    = var.disk_size_gb
    disk_type       = "pd-balanced"
    image_type      = "COS_CONTAINERD"
    labels          = var.node_labels
    resource_labels = var.labels
    spot            = var.spot

    # IAM decides, not the scope.
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    service_account = var.service_account_email

    gcfs_config {
      enabled = true
    }

    gvnic {
      enabled = true
    }

    shielded_instance_config {
      enable_integrity_monitoring = true
      enable_secure_boot          = true
    }

    # Pods see their own identity, never the node's.
    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    dynamic "taint" {
      for_each = var.taints

      content {
        key    = taint.value.key
        value  = taint.value.value
        effect = taint.value.effect
      }
    }
  }

  lifecycle {
    # The autoscaler moves the number of nodes; the first number would otherwise replace the pool.
    ignore_changes = [initial_node_count]
  }
}
