variable "deletion_protection" {
  description = "Whether a destroy archives the repository instead of deleting it."
  type        = bool
  default     = true
  nullable    = false
}

variable "description" {
  description = "What the repository is for."
  type        = string
  default     = "Configuration of the ML platform's clusters, applied by Config Sync"
  nullable    = false
}

variable "environments" {
  description = "Environments in the order of promotion: each has a branch of its name, and the first is the default branch."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.environments) >= 1 && length(distinct(var.environments)) == length(var.environments)
    error_message = "Name at least one environment, and each only once."
  }
}

variable "name" {
  description = "Name of the repository."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,100}$", var.name))
    error_message = "A repository's name has letters, digits, dots, hyphens and underscores."
  }
}

variable "protected_environments" {
  description = "Environments whose branch changes by pull request only. Leave empty until the first commit is there: protection would refuse it."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.protected_environments, var.environments)) == 0
    error_message = "Every protected environment must be one of the environments."
  }
}

variable "required_reviews" {
  description = "Approvals that a promotion needs."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.required_reviews >= 0 && var.required_reviews <= 10
    error_message = "GitHub allows 0 to 10 approvals."
  }
}

variable "topics" {
  description = "Topics by which the repository is found."
  type        = set(string)
  default     = ["config-sync", "gke", "mlp-workbook"]
  nullable    = false
}

variable "visibility" {
  description = "Who can read the repository: private or public."
  type        = string
  default     = "private"
  nullable    = false

  validation {
    condition     = contains(["private", "public"], var.visibility)
    error_message = "The visibility must be private or public."
  }
}
