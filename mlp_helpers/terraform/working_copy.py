"""A copy of a root and its modules in which Terraform works.

Lock file, providers and local state stay out of the folder that a person edits: the sandbox's providers have other
checksums than the real ones, and two worlds must never share a working directory.
"""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

MODULES = "modules"
_TERRAFORMS_OWN = (".tfstate", ".tfstate.backup", ".tfstate.lock.info")


class WorkingCopy:
    """`work/ROOT` and `work/modules`, beside what Terraform and we keep for ourselves."""

    def __init__(self, source: Path, work: Path) -> None:
        self.source, self.work = source.resolve(), work.resolve()
        self.root = self.work / self.source.name
        self.data = self.work / ".terraform"
        self.logs = self.work / "logs"
        self.plan = self.work / "plan.tfplan"
        self.variables = self.work / "variables.tfvars.json"

    def refresh(self) -> bool:
        """Copy what changed and remove what is gone; say whether anything did."""
        for folder in (self.work, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        changed = _mirror(self.source, self.root)
        modules = self.source.parent / MODULES
        if modules.is_dir():
            changed = _mirror(modules, self.work / MODULES) or changed
        return changed


def _mirror(source: Path, copy: Path) -> bool:
    wanted, present = _files(source), _files(copy)
    changed = False
    for name in wanted:
        if name not in present or not filecmp.cmp(source / name, copy / name, shallow=False):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, copy / name)
            changed = True
    for name in present - wanted:
        (copy / name).unlink()
        changed = True
    return changed


def _files(folder: Path) -> set[Path]:
    """Files that belong to a configuration: neither hidden nor written by Terraform."""
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.name.endswith(_TERRAFORMS_OWN)
    }
