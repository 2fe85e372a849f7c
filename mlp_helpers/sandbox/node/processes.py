"""Containers as processes: start through the shim, find again, wait, end without leaving anything behind."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

POD_VARIABLE = "MLP_SANDBOX_POD"
"""Environment variable that marks every process of a pod, also those that left its session."""

Look = Callable[[], list[int]]

_SHIM = Path(__file__).with_name("shim.py")
_START_SECONDS = 10.0
_POLL_SECONDS = 0.2  # where the kernel cannot tell us of an end
_KILL_SECONDS = 10.0
_SAME_START_SECONDS = 2.0

_log = logging.getLogger(__name__)


class StartError(Exception):
    """A container could not be started; the message is the container runtime's."""


@dataclass(frozen=True)
class Launch:
    """What to run: a command line, its whole environment, and where."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


@dataclass(frozen=True)
class Exit:
    """How a container ended."""

    code: int
    finished_at: datetime
    reason: str = ""

    @property
    def said_reason(self) -> str:
        """The reason in a container's status."""
        return self.reason or ("Completed" if self.code == 0 else "Error")


def executable_error(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> str:
    """Why a command cannot be run, in the container runtime's words; empty if it can."""
    name = argv[0]
    words = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        f'unable to start container process: error during container init: exec: "{name}": '
    )
    if "/" in name:
        path = folder / name
        if not path.exists():
            return f"{words}stat {name}: no such file or directory: unknown"
        return "" if os.access(path, os.X_OK) else f"{words}permission denied: unknown"
    if shutil.which(name, path=environment.get("PATH", os.defpath)):
        return ""
    return f"{words}executable file not found in $PATH: unknown"


class ContainerProcess:
    """One run of one container, known by its folder: `process.json`, `log` and, when it has ended, `exit.json`."""

    def __init__(self, folder: Path, *, shim: int, pid: int, started_at: datetime) -> None:
        self.folder, self.shim, self.pid, self.started_at = folder, shim, pid, started_at
        self._child: subprocess.Popen[bytes] | None = None
        self.killed_for = ""  # a reason of ours for the end, such as OOMKilled

    @classmethod
    async def start(cls, folder: Path, launch: Launch) -> ContainerProcess:
        """Start a container.

        Raises:
            StartError: The command is not there or cannot be run.
        """
        if words := executable_error(launch.argv, launch.environment, launch.folder):
            raise StartError(words)
        folder.mkdir(parents=True, exist_ok=True)
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SHIM), str(folder), *launch.argv],
            cwd=launch.folder,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        async with asyncio.timeout(_START_SECONDS):
            while not (folder / "process.json").exists():
                if child.poll() is not None and not (folder / "process.json").exists():
                    raise StartError(_start_failure(folder, launch.argv[0]))
                await asyncio.sleep(0.01)
        process = cls._read(folder)
        process._child = child
        return process

    @classmethod
    def adopt(cls, folder: Path) -> ContainerProcess | None:
        """The process that an earlier kubelet started here, if it is still the same and lives."""
        if not (folder / "process.json").exists() or (folder / "exit.json").exists():
            return None
        process = cls._read(folder)
        return process if _is_same(folder, process.shim) else None

    @classmethod
    def _read(cls, folder: Path) -> ContainerProcess:
        record = json.loads((folder / "process.json").read_text())
        started_at = datetime.fromisoformat(record["startedAt"])
        return cls(folder, shim=record["shim"], pid=record["pid"], started_at=started_at)

    async def wait(self) -> Exit:
        """Wait for the end, then end whatever the container left behind in its session."""
        await _wait_for_end(self.shim)
        if self._child is not None:
            self._child.wait()
        await kill_all(session_members([self.shim]))
        ended = read_exit(self.folder) or Exit(128 + signal.SIGKILL, datetime.now(UTC))
        return Exit(ended.code, ended.finished_at, self.killed_for or ended.reason)

    def terminate(self) -> None:
        """Ask the container's first process to end."""
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return

    async def kill(self, reason: str = "") -> None:
        """End the whole session at once; the shim last, because it writes the exit code down."""
        self.killed_for = reason
        await kill_all(lambda: [pid for pid in session_members([self.shim])() if pid != self.shim])
        try:
            async with asyncio.timeout(2):
                await _wait_for_end(self.shim)
        except TimeoutError:
            await kill_all(session_members([self.shim]))


def read_exit(folder: Path) -> Exit | None:
    """What the shim wrote down about the end, if it has come."""
    try:
        record = json.loads((folder / "exit.json").read_text())
    except FileNotFoundError:
        return None
    return Exit(record["exitCode"], datetime.fromisoformat(record["finishedAt"]), record.get("reason", ""))


def _start_failure(folder: Path, command: str) -> str:
    try:
        words = json.loads((folder / "exit.json").read_text())["error"]
    except FileNotFoundError:
        words = "the shim ended"
    return (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        f'unable to start container process: exec: "{command}": {words.lower()}: unknown'
    )


def _is_same(folder: Path, shim: int) -> bool:
    """Whether a pid still is the shim of this folder: pids are used again."""
    try:
        process = psutil.Process(shim)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return str(folder) in process.cmdline()
    except psutil.AccessDenied:
        started = float(json.loads((folder / "process.json").read_text())["time"])
        return abs(process.create_time() - started) < _SAME_START_SECONDS
    except psutil.NoSuchProcess:
        return False


async def _wait_for_end(pid: int) -> None:
    """Wait until a process that need not be our child has ended."""
    if not hasattr(os, "pidfd_open"):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(_POLL_SECONDS)
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


class _Sessions:
    """The processes of this machine by session, looked at once for many questions."""

    def __init__(self) -> None:
        self.members: dict[int, list[int]] = {}
        for pid in psutil.pids():
            try:
                self.members.setdefault(os.getsid(pid), []).append(pid)
            except (ProcessLookupError, PermissionError):
                continue


def session_members(sessions: Iterable[int]) -> Look:
    """A look at the living processes of sessions."""
    wanted = list(sessions)

    def look() -> list[int]:
        members = _Sessions().members
        return [pid for session in wanted for pid in members.get(session, []) if _lives(pid)]

    return look


def marked_processes(pod_uid: str) -> Look:
    """A look at the living processes that carry a pod's mark in their environment."""

    def look() -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(POD_VARIABLE) == pod_uid and _lives(process.pid):
                    found.append(process.pid)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError):
                continue
        return found

    return look


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def kill_all(look: Look) -> None:
    """Kill what a look shows until it shows nothing: a process may fork while it is killed."""
    deadline = asyncio.get_running_loop().time() + _KILL_SECONDS
    while pids := look():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if asyncio.get_running_loop().time() > deadline:
            _log.warning("processes that do not die: %s", pids)
            return
        await asyncio.sleep(0.02)


def memory_by_session(sessions: Iterable[int]) -> dict[int, int]:
    """Resident bytes per session. Shared pages count in each process: an upper bound, see `exact_memory`."""
    members, sizes = _Sessions().members, {}
    for session in sessions:
        sizes[session] = sum(_resident(pid) for pid in members.get(session, []))
    return sizes


def exact_memory(session: int) -> int:
    """Bytes of a session with each shared page counted once (as a control group would)."""
    total = 0
    for pid in session_members([session])():
        try:
            full = psutil.Process(pid).memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += getattr(full, "pss", 0) or full.uss
    return total


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
