output "source_repository" {
  description = "What Config Sync was told to sync, once the fleet has taken it."
  value       = var.source_repository
  depends_on  = [google_gke_hub_feature_membership.this]
}
