output "artifact_bucket" {
  description = "Name of the bucket for data and results."
  value       = module.artifacts.name
}

output "artifact_url" {
  description = "Address of the bucket, gs://NAME."
  value       = module.artifacts.url
}

output "cluster_endpoint" {
  description = "Private address of the control plane."
  value       = module.cluster.endpoint
}

output "cluster_dns_endpoint" {
  description = "Name under which IAM-checked clients reach the control plane; null until Google has given one."
  value       = module.cluster.dns_endpoint
}

output "cluster_id" {
  description = "ID of the cluster: projects/PROJECT/locations/REGION/clusters/NAME."
  value       = module.cluster.id
}

output "cluster_location" {
  description = "Region of the cluster."
  value       = module.cluster.location
}

output "cluster_name" {
  description = "Name of the cluster, once its nodes are there."
  value       = module.cluster.name
  depends_on  = [module.node_pool]
}

output "config_sync" {
  description = "Repository, branch and directory that the cluster was told to sync."
  value       = module.config_sync.source_repository
}

output "max_nodes" {
  description = "Nodes that the network can carry."
  value       = module.network.max_nodes
}

output "membership_id" {
  description = "ID of the fleet membership."
  value       = module.fleet_membership.membership_id
}

output "membership_location" {
  description = "Location of the fleet membership."
  value       = module.fleet_membership.location
}

output "node_accounts" {
  description = "By pool: the account of its nodes."
  value       = { for pool, account in module.node_account : pool => account.email }
}

output "team_principals" {
  description = "By team: the principal of its Ray jobs, which may use the bucket."
  value       = module.team_storage.principals
}

output "workload_pool" {
  description = "Identity pool of the project's workloads."
  value       = module.cluster.workload_pool
}
