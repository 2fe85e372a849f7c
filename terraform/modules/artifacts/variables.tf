variable "deletion_protection" {
  description = "Whether the bucket is kept while it holds objects."
  type        = bool
  default     = true
  nullable    = false
}

variable "labels" {
  description = "Labels of the bucket."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "location" {
  description = "Location of the bucket; near the cluster reading is fast and free."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the bucket. Names are worldwide: begin with the project ID."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.name)) && !startswith(var.name, "goog")
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, hyphens and underscores, and does not begin with goog."
  }
}

variable "project" {
  description = "Project ID."
  type        = string
  nullable    = false
}

variable "retention_days" {
  description = "Days for which deleted and overwritten objects can be brought back."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.retention_days >= 7 && var.retention_days <= 90
    error_message = "Cloud Storage keeps deleted objects for 7 to 90 days."
  }
}
