variable "cluster_id" {
  description = "ID of the cluster, from the cluster resource itself."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^projects/[^/]+/locations/[^/]+/clusters/[^/]+$", var.cluster_id))
    error_message = "A cluster's ID has the form projects/PROJECT/locations/LOCATION/clusters/NAME."
  }
}

variable "labels" {
  description = "Labels of the membership."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "location" {
  description = "Region of the membership; the cluster's, so that it works while another region does not."
  type        = string
  nullable    = false
}

variable "name" {
  description = "ID of the membership."
  type        = string
  nullable    = false
}

variable "project" {
  description = "Project ID of the fleet."
  type        = string
  nullable    = false
}
