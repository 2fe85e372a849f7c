variable "bucket" {
  description = "Name of the artifact bucket."
  type        = string
  nullable    = false
}

variable "project_number" {
  description = "Number of the project; principals are named by it, not by the ID."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^\\d+$", var.project_number))
    error_message = "The project number has digits only."
  }
}

variable "teams" {
  description = "By team: the namespace, and the Kubernetes service account of its Ray jobs."
  type = map(object({
    namespace       = string
    service_account = string
  }))
  nullable = false
}

variable "workload_pool" {
  description = "Identity pool, from the cluster: it does not exist before the project's first cluster."
  type        = string
  nullable    = false
}
