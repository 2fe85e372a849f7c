variable "cluster_name" {
  description = "Name of the cluster."
  type        = string
  nullable    = false
}

variable "disk_size_gb" {
  description = "Size of each node's boot disk. SSD quota counts it for every node."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.disk_size_gb >= 50
    error_message = "A Ray image alone takes several gigabytes: use 50 or more."
  }
}

variable "labels" {
  description = "Labels of the machines, for the bill."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "machine_type" {
  description = "Machine type of the nodes. Changing it replaces the nodes one after another, not the pool."
  type        = string
  nullable    = false
}

variable "max_pods_per_node" {
  description = "Pods that a node may run; the network was sized with the same number."
  type        = number
  default     = 110
  nullable    = false
}

variable "name" {
  description = "Name of the pool."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "A pool's name has up to 40 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "node_labels" {
  description = "Labels that Kubernetes sees on the nodes."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "nodes" {
  description = "Least and greatest number of nodes, over all zones."
  type = object({
    max = number
    min = number
  })
  nullable = false

  validation {
    condition     = var.nodes.min >= 0 && var.nodes.max >= 1 && var.nodes.min <= var.nodes.max
    error_message = "The least number of nodes must be at least 0 and not exceed the greatest."
  }
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

variable "service_account_email" {
  description = "Account of the nodes."
  type        = string
  nullable    = false
}

variable "spot" {
  description = "Whether the machines are spot: cheap, and taken away at thirty seconds' notice."
  type        = bool
  default     = false
  nullable    = false
}

variable "taints" {
  description = "Taints that keep Pods away unless they tolerate them."
  type = list(object({
    effect = string
    key    = string
    value  = string
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for taint in var.taints : contains(["NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE"], taint.effect)])
    error_message = "A taint's effect must be NO_SCHEDULE, PREFER_NO_SCHEDULE or NO_EXECUTE."
  }
}

variable "zones" {
  description = "Zones of the nodes."
  type        = set(string)
  nullable    = false
}
