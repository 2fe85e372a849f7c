mock_provider "google" {}

variables {
  bucket         = "my-mlp-project-mlp-dev-artifacts"
  project_number = "123456789012"
  workload_pool  = "my-mlp-project.svc.id.goog"
  teams          = { vision = { namespace = "vision-dev", service_account = "ray" } }
}

run "a_team_s_jobs_are_named_by_namespace_and_account" {
  command = plan

  assert {
    condition = google_storage_bucket_iam_member.this["vision"].member == join("", [
      "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/",
      "my-mlp-project.svc.id.goog/subject/ns/vision-dev/sa/ray",
    ])
    error_message = "Found ${google_storage_bucket_iam_member.this["vision"].member}."
  }
}
