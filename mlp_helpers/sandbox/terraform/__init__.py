"""The stand-in provider: what terraform starts as hashicorp/google and integrations/github in the sandbox.

It serves the real providers' schemas and turns plans into calls of the emulated REST APIs. `write_mirror` makes
`terraform init` find it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlp_helpers.sandbox.terraform.mirror import write_mirror

__all__ = ["write_mirror"]


def __getattr__(name: str) -> Any:
    """Import on first use: the provider's processes start without the mirror."""
    if name == "write_mirror":
        from mlp_helpers.sandbox.terraform.mirror import write_mirror

        return write_mirror
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
