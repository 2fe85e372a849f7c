resource "google_gke_hub_feature" "config_management" {
  name     = "configmanagement"
  project  = var.project
  location = "global"
  labels   = var.labels
}
