"""The stand-in provider: what the terraform binary starts as hashicorp/google and integrations/github in the sandbox.

It serves the real providers' schemas and turns plans into calls of the emulated REST APIs. `write_mirror` makes `terraform init` find it.
"""

from __future__ import annotations

from mlp_helpers.sandbox.terraform.mirror import write_mirror

__all__ = ["write_mirror"]
