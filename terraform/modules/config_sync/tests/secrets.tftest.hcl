mock_provider "google" {}

variables {
  project             = "my-mlp-project"
  membership_id       = "mlp-dev"
  membership_location = "us-central1"
  config_sync_version = "1.22.0"
  source_repository = {
    url       = "https://github.com/my-org/mlp-configsync"
    branch    = "dev"
    directory = "clusters/dev"
  }
}

run "config_sync_is_switched_on" {
  command = plan

  assert {
    condition     = google_gke_hub_feature_membership.this.configmanagement[0].config_sync[0].enabled
    error_message = "Without it nothing is installed while the apply is green."
  }
}

run "an_address_with_a_token_is_refused" {
  command = plan

  variables {
    source_repository = {
      url       = "https://someone:secret@github.com/my-org/mlp-configsync"
      branch    = "dev"
      directory = "clusters/dev"
    }
  }

  expect_failures = [var.source_repository]
}
