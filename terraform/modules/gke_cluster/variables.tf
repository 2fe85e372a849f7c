variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the cluster. The provider looks at the state: apply false first, then destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "labels" {
  description = "Labels of the cluster."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "maintenance_window" {
  description = "When GKE may upgrade. In any 32 days it needs 48 hours in all."
  type = object({
    end_time   = optional(string, "2026-01-03T08:00:00Z")
    recurrence = optional(string, "FREQ=WEEKLY;BYDAY=SA,SU")
    start_time = optional(string, "2026-01-03T00:00:00Z")
  })
  default  = {}
  nullable = false

  validation {
    condition     = timecmp(var.maintenance_window.start_time, var.maintenance_window.end_time) < 0
    error_message = "The window must end after it starts; both are times such as 2026-01-03T00:00:00Z."
  }
}

variable "max_pods_per_node" {
  description = "Pods that a node may run."
  type        = number
  default     = 110
  nullable    = false
}

variable "name" {
  description = "Name of the cluster."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "A cluster's name has up to 40 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "network_id" {
  description = "ID of the network."
  type        = string
  nullable    = false
}

variable "node_account_email" {
  description = "Account of the first pool, which is removed at once."
  type        = string
  nullable    = false
}

variable "pods_range_name" {
  description = "Name of the subnet's secondary range of Pods."
  type        = string
  nullable    = false
}

variable "project" {
  description = "Project ID."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region of the cluster."
  type        = string
  nullable    = false
}

variable "release_channel" {
  description = "How new Kubernetes may be: RAPID for the newest accelerators, REGULAR, or STABLE."
  type        = string
  default     = "REGULAR"
  nullable    = false

  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE"], var.release_channel)
    error_message = "The release channel must be RAPID, REGULAR or STABLE."
  }
}

variable "security_group" {
  description = "Google group whose member groups Kubernetes RBAC may name, gke-security-groups@DOMAIN; null where there is none."
  type        = string
  default     = null

  validation {
    condition     = var.security_group == null || startswith(coalesce(var.security_group, " "), "gke-security-groups@")
    error_message = "GKE accepts only a group called gke-security-groups@ and your domain."
  }
}

variable "services_range_name" {
  description = "Name of the subnet's secondary range of Services."
  type        = string
  nullable    = false
}

variable "subnetwork_id" {
  description = "ID of the subnet."
  type        = string
  nullable    = false
}

variable "zones" {
  description = "Zones of the nodes. Machines and quota multiply by their number."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 3
    error_message = "Name one to three zones, such as us-central1-a."
  }
}
