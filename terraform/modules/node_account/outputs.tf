output "email" {
  description = "E-mail address of the account, once it has its roles."
  value       = google_service_account.this.email
  depends_on  = [google_project_iam_member.this]
}
