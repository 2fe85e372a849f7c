resource "google_project_service" "this" {
  for_each = var.services

  project = var.project
  service = each.value

  # An API may serve others in the project, so it outlives this configuration.
  disable_on_destroy         = false
  disable_dependent_services = false
}
