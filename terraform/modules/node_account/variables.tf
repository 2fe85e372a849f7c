variable "display_name" {
  description = "What the account is for, as the console shows it."
  type        = string
  nullable    = false
}

variable "name" {
  description = "ID of the service account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.name))
    error_message = "A service account ID has 6 to 30 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "project" {
  description = "Project ID."
  type        = string
  nullable    = false
}

variable "roles" {
  description = "What nodes may do in the project. The two for monitoring let managed Prometheus write: without them dashboards stay empty."
  type        = set(string)
  default = [
    "roles/artifactregistry.reader",
    "roles/container.defaultNodeServiceAccount",
    "roles/monitoring.metricWriter",
    "roles/monitoring.viewer",
  ]
  nullable = false
}
