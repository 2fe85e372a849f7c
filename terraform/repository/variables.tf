variable "deletion_protection" {
  description = "Whether a destroy archives the repository instead of deleting it."
  type        = bool
  default     = true
  nullable    = false
}

variable "environments" {
  description = "Environments in the order of promotion: each has a branch of its name, and the first is the default branch."
  type        = list(string)
  nullable    = false
}

variable "name" {
  description = "Name of the repository."
  type        = string
  default     = "mlp-configsync"
  nullable    = false
}

variable "owner" {
  description = "User or organisation that owns the repository."
  type        = string
  nullable    = false
}

variable "protected_environments" {
  description = "Environments whose branch changes by pull request only. Leave empty until the first commit is there: protection would refuse it."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "required_reviews" {
  description = "Approvals that a promotion needs."
  type        = number
  default     = 1
  nullable    = false
}

variable "visibility" {
  description = "Who can read the repository: private or public."
  type        = string
  default     = "private"
  nullable    = false
}
