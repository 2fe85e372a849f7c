terraform {
  required_version = ">= 1.11"

  required_providers {
    github = {
      source  = "integrations/github"
      version = "~> 6.13"
    }
  }

  # Bucket and prefix come from the caller: terraform init -backend-config=bucket=… -backend-config=prefix=…
  backend "gcs" {}
}
