output "project" {
  description = "Project ID, once its APIs are enabled."
  value       = var.project
  depends_on  = [google_project_service.this]
}
