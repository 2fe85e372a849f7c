output "clone_url" {
  description = "Address from which Git clones the repository."
  value       = github_repository.this.http_clone_url
}

output "default_branch" {
  description = "Branch of the first environment."
  value       = github_branch_default.this.branch
}

output "full_name" {
  description = "Owner and name, OWNER/NAME, once every branch is there."
  value       = github_repository.this.full_name
  depends_on  = [github_branch.this]
}
