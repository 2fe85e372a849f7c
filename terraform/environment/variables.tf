variable "artifacts" {
  description = "Bucket for the environment's data and results. The location is the region by default."
  type = object({
    bucket         = string
    location       = optional(string)
    retention_days = optional(number, 7)
  })
  nullable = false
}

variable "cluster" {
  description = "The cluster. The name is mlp-ENVIRONMENT by default; network and membership have it too. The security group, gke-security-groups@DOMAIN, lets RBAC name groups."
  type = object({
    maintenance_window = optional(object({
      end_time   = optional(string)
      recurrence = optional(string)
      start_time = optional(string)
    }), {})
    name            = optional(string)
    release_channel = optional(string, "REGULAR")
    security_group  = optional(string)
  })
  default  = {}
  nullable = false
}

variable "config_sync" {
  description = "The configuration repository, https://github.com/OWNER/NAME. The branch is the environment's name by default, the directory clusters/ENVIRONMENT."
  type = object({
    branch         = optional(string)
    directory      = optional(string)
    prevent_drift  = optional(bool, false)
    repository_url = string
    secret_type    = optional(string, "token")
    version        = optional(string, "1.22.0")
  })
  nullable = false
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the cluster, and the bucket while it holds objects. The provider looks at the state: apply false first, then destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "environment" {
  description = "Name of the environment."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,9}$", var.environment))
    error_message = "An environment's name has 1 to 10 lower-case letters and digits, a letter first."
  }
}

variable "general_pool" {
  description = "Pool for the teams' work without accelerators. It scales between the least and greatest number of nodes, over all zones."
  type = object({
    disk_size_gb = optional(number, 100)
    machine_type = optional(string, "n2-standard-8")
    max_nodes    = optional(number, 4)
    min_nodes    = optional(number, 1)
    spot         = optional(bool, false)
  })
  default  = {}
  nullable = false
}

variable "labels" {
  description = "Labels of what is made, for the bill and for cleaning up."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "network" {
  description = "Private IPv4 ranges. With 110 Pods on a node each node takes a /24 of the Pod range, so a /14 carries 1024 nodes."
  type = object({
    nodes    = optional(string, "10.10.0.0/20")
    pods     = optional(string, "10.16.0.0/14")
    services = optional(string, "10.20.0.0/20")
  })
  default  = {}
  nullable = false
}

variable "project" {
  description = "Project ID."
  type        = string
  nullable    = false
}

variable "project_number" {
  description = "Number of the project; Workload Identity principals are named by it."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region of everything."
  type        = string
  nullable    = false
}

variable "system_pool" {
  description = "Pool for the platform's own software. Small, always there, never tainted."
  type = object({
    disk_size_gb = optional(number, 100)
    machine_type = optional(string, "e2-standard-4")
    max_nodes    = optional(number, 3)
    min_nodes    = optional(number, 1)
    spot         = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.system_pool.min_nodes >= 1
    error_message = "The system pool needs at least one node: DNS and Config Sync run there."
  }
}

variable "teams" {
  description = "By team: the namespace, its name by default, and the Kubernetes service account of its Ray jobs."
  type = map(object({
    namespace       = optional(string)
    service_account = optional(string, "ray")
  }))
  default  = {}
  nullable = false
}

variable "zones" {
  description = "One to three zones of the region. Machines and quota multiply by their number."
  type        = set(string)
  nullable    = false
}
