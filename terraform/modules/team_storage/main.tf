locals {
  # The Kubernetes account itself is the principal: no Google account, no key, no annotation, nothing to rotate.
  principals = {
    for name, team in var.teams : name => join("/", [
      "principal://iam.googleapis.com/projects/${var.project_number}/locations/global/workloadIdentityPools",
      var.workload_pool, "subject/ns/${team.namespace}/sa/${team.service_account}",
    ])
  }
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = local.principals

  bucket = var.bucket
  role   = "roles/storage.objectUser"
  member = each.value
}
