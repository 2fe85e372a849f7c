"""Buckets and their members, from configuration to the service and back."""

from __future__ import annotations

from tests.sandbox.terraform.conftest import Terraform, World

BUCKET = """
resource "google_storage_bucket" "artifacts" {
  name                        = "mlp-sandbox-artifacts"
  location                    = "us-central1"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = FORCE
  labels = {
    team = "ml-team"
  }

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 3
      with_state         = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
    condition {
      age            = 30
      matches_prefix = ["runs/"]
    }
  }
}

resource "google_storage_bucket_iam_member" "reader" {
  bucket = google_storage_bucket.artifacts.name
  role   = "roles/storage.objectViewer"
  member = "principal://iam.googleapis.com/projects/100000000001/locations/global/workloadIdentityPools/mlp-sandbox.svc.id.goog/subject/ns/ml-team/sa/ray"
}
"""


def test_a_bucket_is_created_updated_imported_and_destroyed(terraform: Terraform, world: World) -> None:
    terraform.apply(BUCKET.replace("FORCE", "false"))
    bucket = world.google.call("GET", "/storage/v1/b/mlp-sandbox-artifacts")
    assert bucket["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    assert bucket["labels"] == {"team": "ml-team", "goog-terraform-provisioned": "true"}
    assert bucket["lifecycle"]["rule"][0]["condition"] == {"numNewerVersions": 3, "isLive": False}
    assert bucket["lifecycle"]["rule"][1]["condition"] == {"age": 30, "matchesPrefix": ["runs/"]}

    changed = BUCKET.replace("FORCE", "true").replace('team = "ml-team"', 'owner = "ada"').replace("= 30", "= 60")
    terraform.apply(changed)
    bucket = world.google.call("GET", "/storage/v1/b/mlp-sandbox-artifacts")
    assert bucket["labels"] == {"owner": "ada", "goog-terraform-provisioned": "true"}
    assert bucket["lifecycle"]["rule"][1]["condition"]["age"] == 60

    terraform.run("state", "rm", "google_storage_bucket.artifacts")
    terraform.run("import", "-input=false", "google_storage_bucket.artifacts", "mlp-sandbox-artifacts")
    assert terraform.resources()["google_storage_bucket.artifacts"]["url"] == "gs://mlp-sandbox-artifacts"
    terraform.apply(changed)
    terraform.destroy()
    assert world.google.find("/storage/v1/b/mlp-sandbox-artifacts") is None


def test_drift_shows_and_is_repaired(terraform: Terraform, world: World) -> None:
    text = BUCKET.replace("FORCE", "false").replace("sandbox-artifacts", "sandbox-drift")
    terraform.apply(text)
    world.google.call("PATCH", "/storage/v1/b/mlp-sandbox-drift", {"versioning": {"enabled": False}})
    assert terraform.plan() == {"google_storage_bucket.artifacts": (["update"], [])}

    world.google.call("PUT", "/storage/v1/b/mlp-sandbox-drift/iam", {"bindings": []})
    assert terraform.plan()["google_storage_bucket_iam_member.reader"] == (["create"], [])
    terraform.apply(text)
    assert world.google.call("GET", "/storage/v1/b/mlp-sandbox-drift")["versioning"]["enabled"] is True
    terraform.destroy()


def test_another_location_replaces_the_bucket(terraform: Terraform) -> None:
    text = BUCKET.replace("FORCE", "false").replace("sandbox-artifacts", "sandbox-moves")
    terraform.apply(text)
    terraform.write(text.replace('"us-central1"', '"US-CENTRAL1"', 1))
    assert terraform.plan() == {}
    terraform.write(text.replace('"us-central1"', '"europe-west4"', 1))
    assert terraform.plan()["google_storage_bucket.artifacts"] == (["delete", "create"], [["location"]])
    terraform.destroy()


def test_a_name_that_is_taken_leaves_nothing_in_the_state(terraform: Terraform, world: World) -> None:
    world.google.call("POST", "/storage/v1/b", {"name": "mlp-sandbox-taken"}, project="mlp-sandbox")
    terraform.write('resource "google_storage_bucket" "b" {\n  name     = "mlp-sandbox-taken"\n  location = "US"\n}\n')
    terraform.init()
    refused = terraform.run("apply", "-auto-approve", "-no-color", ok=(1,))
    assert "409" in refused.stderr
    assert terraform.resources() == {}


def test_a_bucket_with_objects_is_kept_unless_forced(terraform: Terraform, world: World) -> None:
    text = BUCKET.replace("FORCE", "false").replace("sandbox-artifacts", "sandbox-full")
    terraform.apply(text)
    blob = world.google_server.storage().bucket("mlp-sandbox-full").blob("runs/1")
    blob.upload_from_string("one")
    blob.upload_from_string("two")
    refused = terraform.run("destroy", "-auto-approve", "-no-color", ok=(1,))
    assert "force_destroy = true" in refused.stderr
    terraform.apply(text.replace("force_destroy               = false", "force_destroy               = true"))
    terraform.destroy()
