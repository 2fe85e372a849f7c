"""Which providers the stand-in answers for, and in which versions: those of the schemas, marked as the sandbox's."""

from __future__ import annotations

HOST = "registry.terraform.io"  # where a source address without a host lives; Terraform names its folders after it
PROVIDERS = {
    "google": ("hashicorp/google", "8.7.0+sandbox"),
    "google-beta": ("hashicorp/google-beta", "8.7.0+sandbox"),
    "github": ("integrations/github", "6.13.0+sandbox"),
}
