"""From a source to plain manifests: a kustomization is built, anything else is taken as it is."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError
from mlp_helpers.sandbox.controllers.config_sync.source import Checkout, run_tool

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
SKIPPED = "Rendering skipped"
SUCCEEDED = "Rendering succeeded"
FAILED = "Rendering failed"

_KUSTOMIZE_SECONDS = 60.0


@dataclass(frozen=True)
class Rendered:
    """Plain manifests: the top that places are told from, and the directory to read."""

    root: Path
    directory: Path
    message: str


async def render(checkout: Checkout, folder: Path) -> Rendered:
    """Build the kustomization of a sync directory, if there is one.

    Args:
        checkout: The source.
        folder: Where the result may be put.

    Raises:
        ProblemsError: KNV1068 with kustomize's own words.
    """
    if not any((checkout.directory / name).is_file() for name in KUSTOMIZATIONS):
        return Rendered(checkout.root, checkout.directory, SKIPPED)
    out = folder / "rendered"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [find_kubectl(), "kustomize", str(checkout.directory), "--output", str(out)]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "KUBECONFIG": os.devnull}
    code, _, error = await run_tool(command, environment, _KUSTOMIZE_SECONDS)
    if code != 0:
        reason = error.strip().replace(str(checkout.root), "")
        raise ProblemsError([Problem(1068, f"failed to run kustomize build in {_shown(checkout)}, stderr: {reason}")])
    return Rendered(out, out, SUCCEEDED)


def find_kubectl() -> str:
    """The kubectl on the PATH, else the one that was installed with this package."""
    beside = Path(sys.executable).parent / "kubectl"
    return shutil.which("kubectl") or str(beside)


def _shown(checkout: Checkout) -> str:
    return checkout.directory.relative_to(checkout.root).as_posix()
