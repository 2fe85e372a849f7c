output "config_management_feature" {
  description = "Name of the fleet feature that installs Config Sync in member clusters."
  value       = google_gke_hub_feature.config_management.name
}
