# The token comes from the variable GITHUB_TOKEN of the process, never from here.
provider "github" {
  owner = var.owner
}

module "config_repository" {
  source = "../modules/config_repository"

  name                   = var.name
  environments           = var.environments
  visibility             = var.visibility
  deletion_protection    = var.deletion_protection
  protected_environments = var.protected_environments
  required_reviews       = var.required_reviews
}
