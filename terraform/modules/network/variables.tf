variable "max_pods_per_node" {
  description = "Pods that a node may run; decides how much of the Pod range one node takes."
  type        = number
  default     = 110
  nullable    = false

  validation {
    condition     = var.max_pods_per_node >= 8 && var.max_pods_per_node <= 256
    error_message = "GKE allows 8 to 256 Pods on a node; 110 is usual."
  }
}

variable "name" {
  description = "Name of the network; its router and NAT have it too."
  type        = string
  nullable    = false
}

variable "nodes_needed" {
  description = "Nodes that must fit: all pools at their greatest, and what upgrades add."
  type        = number
  nullable    = false
}

variable "project" {
  description = "Project ID."
  type        = string
  nullable    = false
}

variable "ranges" {
  description = "Private IPv4 ranges of nodes, Pods and Services. They must not overlap."
  type = object({
    nodes    = string
    pods     = string
    services = string
  })
  nullable = false

  validation {
    condition     = alltrue([for range in values(var.ranges) : can(cidrnetmask(range)) && cidrsubnet(range, 0, 0) == range])
    error_message = "Each range must be IPv4 in CIDR form with no host bits set, such as 10.10.0.0/20."
  }
}

variable "region" {
  description = "Region of the subnet."
  type        = string
  nullable    = false
}
