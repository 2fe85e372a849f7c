output "clone_url" {
  description = "Address from which Git clones the repository."
  value       = module.config_repository.clone_url
}

output "default_branch" {
  description = "Branch of the first environment."
  value       = module.config_repository.default_branch
}

output "full_name" {
  description = "Owner and name of the repository, OWNER/NAME."
  value       = module.config_repository.full_name
}
