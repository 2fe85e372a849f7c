variable "additional_services" {
  description = "APIs to enable beside those that the platform needs."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "gateway_members" {
  description = "Who may reach the fleet's clusters through the Connect Gateway, such as group:ml-team@example.com. Here and not with an environment: environments of one project would take it from each other."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "labels" {
  description = "Labels of what is made."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "project" {
  description = "Project ID."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project ID has 6 to 30 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}
