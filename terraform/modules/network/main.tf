locals {
  prefix_of = { for name, range in var.ranges : name => tonumber(split("/", range)[1]) }

  # A node takes a power of two of Pod addresses, at least twice as many as it has Pods, so that a new Pod never waits for
  # the address of one that is still going.
  pod_prefix_of_a_node = 32 - ceil(log(2 * var.max_pods_per_node, 2))

  capacity = {
    nodes_by_node_range = pow(2, 32 - local.prefix_of.nodes) - 4 # Google keeps four addresses of a subnet
    nodes_by_pod_range  = pow(2, max(local.pod_prefix_of_a_node - local.prefix_of.pods, 0))
    services            = pow(2, 32 - local.prefix_of.services)
  }
  max_nodes = min(local.capacity.nodes_by_node_range, local.capacity.nodes_by_pod_range)

  bounds = {
    for name, range in var.ranges : name => {
      for end, host in { first = 0, last = -1 } : end => sum([
        for index, octet in split(".", cidrhost(range, host)) : tonumber(octet) * pow(256, 3 - index)
      ])
    }
  }
  overlaps = [
    for pair in [["nodes", "pods"], ["nodes", "services"], ["pods", "services"]] : join(" and ", pair)
    if local.bounds[pair[0]].first <= local.bounds[pair[1]].last && local.bounds[pair[1]].first <= local.bounds[pair[0]].last
  ]
}

resource "google_compute_network" "this" {
  name                    = var.name
  project                 = var.project
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "this" {
  name                     = "${var.name}-${var.region}"
  project                  = var.project
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.ranges.nodes
  private_ip_google_access = true # private nodes reach Google's APIs without NAT

  # The ranges have names of ours: left to itself GKE would make its own, which nobody can plan for.
  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = var.ranges.pods
  }

  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = var.ranges.services
  }

  # Organisations often demand flow logs; a tenth of the flows shows who talks to whom at a tenth of the price.
  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }

  lifecycle {
    precondition {
      condition     = length(local.overlaps) == 0
      error_message = "The address ranges must not overlap: ${join(", ", local.overlaps)}."
    }
    precondition {
      condition     = local.pod_prefix_of_a_node >= local.prefix_of.pods
      error_message = "The Pod range ${var.ranges.pods} is smaller than the /${local.pod_prefix_of_a_node} that one node takes."
    }
    precondition {
      condition     = var.nodes_needed <= local.max_nodes
      error_message = "${var.nodes_needed} nodes do not fit: ${var.ranges.nodes} carries ${local.capacity.nodes_by_node_range}, ${var.ranges.pods} carries ${local.capacity.nodes_by_pod_range}."
    }
  }
}

resource "google_compute_router" "this" {
  name    = var.name
  project = var.project
  region  = var.region
  network = google_compute_network.this.id
}

# Private nodes pull images from outside Google through it; without it they fail much later, as ImagePullBackOff.
resource "google_compute_router_nat" "this" {
  name                                = var.name
  project                             = var.project
  region                              = var.region
  router                              = google_compute_router.this.name
  nat_ip_allocate_option              = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat  = "LIST_OF_SUBNETWORKS"
  enable_dynamic_port_allocation      = true # many Pods of one node download at once
  enable_endpoint_independent_mapping = false
  min_ports_per_vm                    = 64
  max_ports_per_vm                    = 4096

  subnetwork {
    name                    = google_compute_subnetwork.this.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
