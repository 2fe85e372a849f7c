"""Started by Terraform: `python -m mlp_helpers.sandbox.terraform google`."""

from __future__ import annotations

import sys

from mlp_helpers.sandbox.terraform.versions import PROVIDERS


def main() -> None:
    """Serve one provider until Terraform ends."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PROVIDERS:
        sys.exit(f"Unknown provider {name!r}; there are {', '.join(PROVIDERS)}.")
    from mlp_helpers.sandbox.terraform import plugin

    if not plugin.is_started_by_terraform():
        sys.exit(f"This is the sandbox's stand-in for {PROVIDERS[name][0]}: Terraform starts it, people do not.")
    from mlp_helpers.sandbox.terraform.provider import Provider

    plugin.serve(Provider(name).handlers())


main()
