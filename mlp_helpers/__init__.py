"""Helpers of the MLP workbook; public names load on first use, so that importing the package costs next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlp_helpers.config import PlatformConfig, load_config
    from mlp_helpers.config_file import write_config
    from mlp_helpers.errors import MlpError
    from mlp_helpers.platform import Platform

__all__ = ["MlpError", "Platform", "PlatformConfig", "load_config", "write_config"]

_HOMES = {
    "MlpError": "errors",
    "Platform": "platform",
    "PlatformConfig": "config",
    "load_config": "config",
    "write_config": "config_file",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
