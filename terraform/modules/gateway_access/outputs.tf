output "members" {
  description = "Who has access, once the roles are granted."
  value       = var.members
  depends_on  = [google_project_iam_member.this]
}
