resource "google_gke_hub_feature_membership" "this" {
  project             = var.project
  location            = "global" # of the feature, which the project layer made
  feature             = "configmanagement"
  membership          = var.membership_id
  membership_location = var.membership_location

  configmanagement {
    version = var.config_sync_version # pinned: Google's choice would differ at every plan

    config_sync {
      enabled       = true # without it nothing is installed while the apply is green
      source_format = "unstructured"
      prevent_drift = var.prevent_drift

      git {
        sync_repo   = var.source_repository.url
        sync_branch = var.source_repository.branch
        policy_dir  = var.source_repository.directory
        secret_type = var.source_repository.secret_type
      }
    }
  }
}
