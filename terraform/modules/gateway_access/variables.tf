variable "members" {
  description = "Who may reach the fleet's clusters through the Connect Gateway, such as group:ml-team@example.com."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for member in var.members : can(regex("^(user|group|serviceAccount|principal|principalSet):.+$", member))])
    error_message = "Each member must have a kind, such as group:ml-team@example.com or user:ada@example.com."
  }
}

variable "project" {
  description = "Project ID of the fleet."
  type        = string
  nullable    = false
}
