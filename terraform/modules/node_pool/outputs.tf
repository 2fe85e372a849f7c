output "id" {
  description = "ID of the pool."
  value       = google_container_node_pool.this.id
}

output "name" {
  description = "Name of the pool."
  value       = google_container_node_pool.this.name
}
