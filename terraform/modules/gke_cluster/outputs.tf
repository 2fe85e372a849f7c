output "dns_endpoint" {
  description = "Name under which IAM-checked clients reach the control plane; null until Google has given one."
  value       = one(google_container_cluster.this.control_plane_endpoints_config[*].dns_endpoint_config[0].endpoint)
}

output "endpoint" {
  description = "Private address of the control plane."
  value       = google_container_cluster.this.endpoint
}

output "id" {
  description = "ID of the cluster: projects/PROJECT/locations/REGION/clusters/NAME."
  value       = google_container_cluster.this.id
}

output "location" {
  description = "Region of the cluster."
  value       = google_container_cluster.this.location
}

output "name" {
  description = "Name of the cluster."
  value       = google_container_cluster.this.name
}

output "workload_pool" {
  description = "Identity pool of the project's workloads. The first cluster makes it, so it is taken from here and not from the project ID."
  value       = google_container_cluster.this.workload_identity_config[0].workload_pool
}
