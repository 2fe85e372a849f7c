output "max_nodes" {
  description = "Nodes that fit: the lesser of what the node range and the Pod range carry."
  value       = local.max_nodes
}

output "max_services" {
  description = "Services that fit."
  value       = local.capacity.services
}

output "network_id" {
  description = "ID of the network."
  value       = google_compute_network.this.id
}

output "pods_range_name" {
  description = "Name of the secondary range of Pods."
  value       = google_compute_subnetwork.this.secondary_ip_range[0].range_name
}

output "services_range_name" {
  description = "Name of the secondary range of Services."
  value       = google_compute_subnetwork.this.secondary_ip_range[1].range_name
}

output "subnetwork_id" {
  description = "ID of the subnet, once its nodes have a way out."
  value       = google_compute_subnetwork.this.id
  depends_on  = [google_compute_router_nat.this]
}
