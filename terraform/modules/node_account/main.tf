resource "google_service_account" "this" {
  account_id   = var.name
  project      = var.project
  display_name = var.display_name
}

resource "google_project_iam_member" "this" {
  for_each = var.roles

  project = var.project
  role    = each.value
  member  = google_service_account.this.member
}
