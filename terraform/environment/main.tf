provider "google" {
  project = var.project
  region  = var.region
}

locals {
  name   = coalesce(var.cluster.name, "mlp-${var.environment}")
  labels = merge(var.labels, { environment = var.environment })
  pools  = { general = var.general_pool, system = var.system_pool }
}

module "network" {
  source = "../modules/network"

  name         = local.name
  project      = var.project
  region       = var.region
  ranges       = var.network
  nodes_needed = sum([for pool in values(local.pools) : pool.max_nodes + 1]) # an upgrade adds one to each pool
}

# An account for each pool: what runs the platform and what runs the teams' work need not share an identity.
module "node_account" {
  source   = "../modules/node_account"
  for_each = local.pools

  name         = "${local.name}-${each.key}"
  display_name = "Nodes of the pool ${each.key}, cluster ${local.name}"
  project      = var.project
}

module "cluster" {
  source = "../modules/gke_cluster"

  name                = local.name
  project             = var.project
  region              = var.region
  zones               = var.zones
  labels              = local.labels
  deletion_protection = var.deletion_protection
  release_channel     = var.cluster.release_channel
  maintenance_window  = var.cluster.maintenance_window
  security_group      = var.cluster.security_group
  node_account_email  = module.node_account["system"].email
  network_id          = module.network.network_id
  subnetwork_id       = module.network.subnetwork_id
  pods_range_name     = module.network.pods_range_name
  services_range_name = module.network.services_range_name
}

# Both pools are untainted: with a taint on every pool, DNS and Config Sync would stay pending for ever.
module "node_pool" {
  source   = "../modules/node_pool"
  for_each = local.pools

  name                  = each.key
  project               = var.project
  region                = var.region
  zones                 = var.zones
  cluster_name          = module.cluster.name
  machine_type          = each.value.machine_type
  disk_size_gb          = each.value.disk_size_gb
  nodes                 = { min = each.value.min_nodes, max = each.value.max_nodes }
  spot                  = each.value.spot
  labels                = merge(local.labels, { pool = each.key })
  service_account_email = module.node_account[each.key].email
}

module "fleet_membership" {
  source = "../modules/fleet_membership"

  name       = local.name
  project    = var.project
  location   = var.region
  labels     = local.labels
  cluster_id = module.cluster.id
}

module "config_sync" {
  source = "../modules/config_sync"

  project             = var.project
  membership_id       = module.fleet_membership.membership_id
  membership_location = module.fleet_membership.location
  config_sync_version = var.config_sync.version
  prevent_drift       = var.config_sync.prevent_drift
  source_repository = {
    url         = var.config_sync.repository_url
    branch      = coalesce(var.config_sync.branch, var.environment)
    directory   = coalesce(var.config_sync.directory, "clusters/${var.environment}")
    secret_type = var.config_sync.secret_type
  }

  # It runs on nodes, and its removal needs them as well. The module reads no data, so nothing becomes unknown at plan.
  depends_on = [module.node_pool]
}

module "artifacts" {
  source = "../modules/artifacts"

  name                = var.artifacts.bucket
  project             = var.project
  location            = coalesce(var.artifacts.location, var.region)
  labels              = local.labels
  retention_days      = var.artifacts.retention_days
  deletion_protection = var.deletion_protection
}

module "team_storage" {
  source = "../modules/team_storage"

  bucket         = module.artifacts.name
  project_number = var.project_number
  workload_pool  = module.cluster.workload_pool
  teams = {
    for name, team in var.teams : name => {
      namespace       = coalesce(team.namespace, name)
      service_account = team.service_account
    }
  }
}
