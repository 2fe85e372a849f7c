variable "config_sync_version" {
  description = "Version of Config Sync."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^\\d+\\.\\d+\\.\\d+$", var.config_sync_version))
    error_message = "Name a whole version, such as 1.22.0."
  }
}

variable "membership_id" {
  description = "ID of the fleet membership."
  type        = string
  nullable    = false
}

variable "membership_location" {
  description = "Location of the fleet membership."
  type        = string
  nullable    = false
}

variable "prevent_drift" {
  description = "Whether the cluster refuses changes by others to what Config Sync manages."
  type        = bool
  default     = false
  nullable    = false
}

variable "project" {
  description = "Project ID of the fleet."
  type        = string
  nullable    = false
}

variable "source_repository" {
  description = "Git repository, branch and directory of the cluster's configuration. Left out, the last two would be master and the root."
  type = object({
    branch      = string
    directory   = string
    secret_type = optional(string, "token")
    url         = string
  })
  nullable = false

  validation {
    condition     = contains(["none", "ssh", "cookiefile", "token", "gcenode", "gcpserviceaccount"], var.source_repository.secret_type)
    error_message = "The secret type must be none, ssh, cookiefile, token, gcenode or gcpserviceaccount."
  }

  validation {
    condition     = !strcontains(replace(var.source_repository.url, "git@", ""), "@")
    error_message = "The address must hold no user or token: it would stand in the state. Config Sync reads the token from a Secret."
  }
}
