"""Start, stop and look at the sandbox's background process from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mlp_helpers.errors import SandboxError
from mlp_helpers.sandbox.state import running_process
from mlp_helpers.waiting import Ready, Waiting, Watcher, wait_for

_LOCAL = "127.0.0.1,localhost"
START_SECONDS = 60  # it takes one or two; a busy machine may need more
STOP_SECONDS = 90  # Ray nodes drain before they end


@dataclass(frozen=True)
class Status:
    """What is known of a sandbox from outside."""

    home: Path
    pid: int | None
    is_ready: bool
    endpoints: dict[str, Any]
    resident_megabytes: int
    children: int


def start_sandbox(home: Path, *, watcher: Watcher | None = None) -> Status:
    """Start the sandbox of a directory and wait until it is ready; a running one is left as it is.

    Raises:
        SandboxError: It ended while it started; carries its own words.
        WaitTimeoutError: It did not become ready.
    """
    found = sandbox_status(home)
    process = None if found.pid else _spawn(home)

    def probe() -> Ready[Status] | Waiting:
        if process is not None and process.poll() is not None:
            raise _failure(home, process.returncode)
        status = sandbox_status(home)
        return Ready(status) if status.is_ready else Waiting("its servers are starting")

    return wait_for(
        probe,
        "the sandbox to be ready",
        timeout_seconds=START_SECONDS,
        first_pause_seconds=0.05,
        longest_pause_seconds=0.2,
        watcher=watcher,
        fix="mlp sandbox logs",
    )


def stop_sandbox(home: Path, *, watcher: Watcher | None = None) -> bool:
    """Stop the sandbox of a directory and everything it started; its state stays.

    Returns:
        Whether there was one to stop.
    """
    process = running_process(home)
    if process is None:
        return False
    process.terminate()

    def probe() -> Ready[bool] | Waiting:
        if running_process(home) is None:
            return Ready(True)
        return Waiting("its pods are ending")

    return wait_for(
        probe,
        "the sandbox to stop",
        timeout_seconds=STOP_SECONDS,
        longest_pause_seconds=0.3,
        watcher=watcher,
        fix=f"See what it does: mlp sandbox logs. As a last resort: kill -9 {process.pid}",
    )


def sandbox_status(home: Path) -> Status:
    """What runs in a directory now."""
    process = running_process(home)
    if process is None:
        return Status(home, None, is_ready=False, endpoints={}, resident_megabytes=0, children=0)
    endpoints = _endpoints(home)
    try:
        resident = process.memory_info().rss // 2**20
        children = len(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return Status(home, None, is_ready=False, endpoints={}, resident_megabytes=0, children=0)
    return Status(home, process.pid, endpoints.get("pid") == process.pid, endpoints, resident, children)


def reset_sandbox(home: Path, *, watcher: Watcher | None = None) -> None:
    """Stop the sandbox and forget everything in it."""
    stop_sandbox(home, watcher=watcher)
    shutil.rmtree(home, ignore_errors=False) if home.exists() else None


def log_file(home: Path) -> Path:
    """Where the background process writes what it does."""
    return home / "daemon.log"


def _spawn(home: Path) -> subprocess.Popen[bytes]:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "failure.json").unlink(missing_ok=True)
        log = log_file(home).open("ab")
    except OSError as error:
        raise SandboxError(
            f"The sandbox cannot use its directory {home}.",
            why=str(error),
            fix="Free space or choose another directory: MLP_HOME=/another/path",
        ) from error
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"NO_PROXY": _LOCAL, "no_proxy": _LOCAL}  # nothing that runs in the sandbox has business outside
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "mlp_helpers.sandbox.daemon", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=home,
            start_new_session=True,
        )


def _failure(home: Path, code: int) -> SandboxError:
    try:
        said = json.loads((home / "failure.json").read_text())
    except FileNotFoundError:
        tail = log_file(home).read_text(errors="replace").splitlines()[-3:]
        said = {"what": f"The sandbox ended with code {code} while it started.", "why": " | ".join(tail)}
    return SandboxError(said["what"], why=said.get("why", ""), fix=said.get("fix") or f"See {log_file(home)}")


def _endpoints(home: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((home / "endpoints.json").read_text())
    except FileNotFoundError:
        return {}
    return found
