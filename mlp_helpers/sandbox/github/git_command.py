"""The git program: what it must be able to do, and how it is run apart from the person's own settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mlp_helpers.errors import SandboxError

OLDEST = (2, 38)  # `git merge-tree --write-tree`

SETTINGS = {
    "core.logAllRefUpdates": "false",
    "gc.auto": "0",  # a collection in the background would outlive the server
    "http.receivepack": "true",
    "merge.renames": "true",
    "receive.autogc": "false",
    "safe.directory": "*",
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
}


def find_git() -> Path:
    """The git program.

    Raises:
        SandboxError: There is none, or it is too old.
    """
    found = shutil.which("git")
    if found is None:
        raise SandboxError(
            "git is not on this machine.",
            why="The sandbox's GitHub keeps its repositories with it.",
            fix="Install git 2.38 or newer with the package manager of your system.",
        )
    text = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    if version < OLDEST:
        raise SandboxError(
            "git is too old for the sandbox.",
            why=f"{text.strip()}; merging without a working tree came with 2.38.",
            fix="Install git 2.38 or newer with the package manager of your system.",
        )
    return Path(found)


def git_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for git in which neither the machine's nor the person's configuration counts.

    Args:
        settings: Git settings beside the sandbox's own.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT") if name in os.environ}
    chosen = {**SETTINGS, **(settings or {})}
    pairs: dict[str, str] = {}
    for number, (key, value) in enumerate(chosen.items()):
        pairs |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {
        **kept,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": str(len(chosen)),
        "GIT_TERMINAL_PROMPT": "0",
        **pairs,
    }


def run_git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in a repository; the exit code is the caller's to judge."""
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, env=git_environment(), stdin=subprocess.DEVNULL
    )


def is_ancestor(folder: Path, older: str, newer: str) -> bool:
    """Whether moving from one commit to the other is a fast-forward."""
    return run_git(folder, "merge-base", "--is-ancestor", older, newer).returncode == 0


def has_merges(folder: Path, base: str | None, head: str) -> bool:
    """Whether a merge commit is among the commits from the base (none: from the beginning) to the head."""
    span = f"{base}..{head}" if base else head
    return bool(run_git(folder, "rev-list", "--merges", "--max-count=1", span).stdout.strip())
