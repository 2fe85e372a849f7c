resource "google_gke_hub_membership" "this" {
  membership_id = var.name
  project       = var.project
  location      = var.location
  labels        = var.labels

  endpoint {
    gke_cluster {
      # The cluster's own ID: through a data source it would be unknown at plan, and the membership replaced each time.
      resource_link = "//container.googleapis.com/${var.cluster_id}"
    }
  }

  authority {
    issuer = "https://container.googleapis.com/v1/${var.cluster_id}"
  }
}
