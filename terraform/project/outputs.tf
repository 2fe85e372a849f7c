output "config_management_feature" {
  description = "Name of the fleet feature that installs Config Sync in member clusters."
  value       = module.fleet.config_management_feature
}

output "gateway_members" {
  description = "Who may reach the fleet's clusters through the Connect Gateway."
  value       = module.gateway_access.members
}

output "project" {
  description = "Project ID, once its APIs are enabled."
  value       = module.project_services.project
}
