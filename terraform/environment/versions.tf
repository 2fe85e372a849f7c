terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
  }

  # Bucket and prefix come from the caller: terraform init -backend-config=bucket=… -backend-config=prefix=…
  backend "gcs" {}
}
