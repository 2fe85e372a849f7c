"""Started by Terraform: `python -m mlp_helpers.sandbox.terraform NAME CERTIFICATE`, as the mirror's scripts say."""

from __future__ import annotations

import sys
from pathlib import Path

from mlp_helpers.sandbox.terraform.versions import PROVIDERS


def main() -> None:
    """Serve one provider until Terraform ends."""
    if len(sys.argv) != 3 or sys.argv[1] not in PROVIDERS:
        sys.exit(f"usage: python -m mlp_helpers.sandbox.terraform {{{','.join(PROVIDERS)}}} CERTIFICATE")
    name, certificate = sys.argv[1:]
    from mlp_helpers.sandbox.terraform import plugin

    if not plugin.is_started_by_terraform():
        sys.exit(f"This is the sandbox's stand-in for {PROVIDERS[name][0]}: Terraform starts it, people do not.")
    from mlp_helpers.sandbox.terraform.provider import Provider

    plugin.serve(Provider(name).handlers(), Path(certificate))


main()
