provider "google" {
  project = var.project
}

locals {
  services = [
    "anthosconfigmanagement.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com",
    "connectgateway.googleapis.com",
    "container.googleapis.com",
    "containerfilesystem.googleapis.com", # image streaming
    "containersecurity.googleapis.com",   # security posture
    "dns.googleapis.com",                 # Cloud DNS in the cluster
    "gkeconnect.googleapis.com",
    "gkehub.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
  ]
}

module "project_services" {
  source = "../modules/project_services"

  project  = var.project
  services = setunion(local.services, var.additional_services)
}

module "fleet" {
  source = "../modules/fleet"

  project = module.project_services.project
  labels  = var.labels
}

module "gateway_access" {
  source = "../modules/gateway_access"

  project = module.project_services.project
  members = var.gateway_members
}
