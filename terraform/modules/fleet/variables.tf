variable "labels" {
  description = "Labels of the feature."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "project" {
  description = "Project ID of the fleet."
  type        = string
  nullable    = false
}
