output "principals" {
  description = "By team: the principal of its Ray jobs, once it has access."
  value       = local.principals
  depends_on  = [google_storage_bucket_iam_member.this]
}
