resource "google_storage_bucket" "this" {
  name          = var.name
  project       = var.project
  location      = var.location
  labels        = var.labels
  force_destroy = !var.deletion_protection # protected: a bucket that holds anything is not deleted

  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true # IAM alone decides; Workload Identity principals need it

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = var.retention_days * 86400
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = var.retention_days
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }
}
