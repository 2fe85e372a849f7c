variable "project" {
  description = "Project ID."
  type        = string
  nullable    = false
}

variable "services" {
  description = "APIs to enable, such as container.googleapis.com."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for service in var.services : endswith(service, ".googleapis.com")])
    error_message = "Each service must be the full name of an API, such as container.googleapis.com."
  }
}
