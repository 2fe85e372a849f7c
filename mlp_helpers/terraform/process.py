"""Run one command to its end: follow what it writes, interrupt it gently, and leave a record of it while it runs.

What the command writes goes to a file that is followed, not to a pipe: if this process dies (a notebook's kernel is
restarted), a pipe would break and kill Terraform in the middle of an apply, with its lock held and its state unsaved.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    output: str
    errors: str
    was_interrupted: bool


@dataclass(frozen=True)
class Running:
    """A command that runs, or ran, in a working copy."""

    name: str
    pid: int
    started: float
    host: str

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs on this machine."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.started) < 1
        except psutil.NoSuchProcess:
            return False


def read_running(logs: Path) -> Running | None:
    """The command that the record in a folder names, if that still runs."""
    try:
        found = Running(**json.loads(_record(logs).read_text()))
    except (OSError, ValueError, TypeError):  # there is none, or a crash cut it off
        return None
    return found if found.is_alive else None


def last_line(logs: Path, name: str) -> str:
    """What a command wrote last."""
    try:
        lines = (logs / f"{name}.log").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""


def run(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    logs: Path,
    on_line: Callable[[str], None],
    on_interrupt: Callable[[], None],
) -> Finished:
    """Run a command to its end.

    Args:
        name: What it is called in the record and in its log.
        command: Program and arguments.
        folder: Working directory.
        environment: All its variables.
        logs: Folder for its output and for the record of the running process.
        on_line: Told each line of output, for showing; the result has them all.
        on_interrupt: Told when an interrupt was passed on.

    Returns:
        Exit code, whole output and errors. An interrupt is passed on once and the end awaited: at a second one
        Terraform would drop everything.
    """
    journal, complaints = logs / f"{name}.log", logs / f"{name}.errors"
    with _private(journal) as output, _private(complaints) as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,  # a terminal's Ctrl-C must not reach it beside our own signal
            umask=0o077,
        )
    try:
        _write_record(logs, name, process.pid)
        was_interrupted = _follow(process, journal, on_line, on_interrupt)
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    finally:
        _record(logs).unlink(missing_ok=True)
    return Finished(process.returncode, journal.read_text(), complaints.read_text(), was_interrupted)


def _follow(
    process: subprocess.Popen[bytes], journal: Path, on_line: Callable[[str], None], on_interrupt: Callable[[], None]
) -> bool:
    was_interrupted = False
    with _GrowingFile(journal) as lines:
        while True:
            try:
                ended = _has_ended(process)  # asked first, so that what it wrote last is read as well
                while (line := lines.read()) is not None:
                    on_line(line)
                if ended:
                    return was_interrupted
            except KeyboardInterrupt:
                if not was_interrupted:
                    was_interrupted = True
                    process.send_signal(signal.SIGINT)
                    on_interrupt()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(SECONDS_BETWEEN_LOOKS)
    except subprocess.TimeoutExpired:
        return False
    return True


class _GrowingFile:
    """Whole lines of a file that another process writes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open()
        self._part = ""

    def __enter__(self) -> _GrowingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self) -> str | None:
        """The next line, or None if there is no whole one yet."""
        self._part += self._file.readline()
        if not self._part.endswith("\n"):
            return None
        line, self._part = self._part, ""
        return line


def _private(path: Path) -> BinaryIO:
    path.unlink(missing_ok=True)  # an earlier one may be followed still
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _record(logs: Path) -> Path:
    return logs / "running.json"


def _write_record(logs: Path, name: str, pid: int) -> None:
    running = Running(name, pid, psutil.Process(pid).create_time(), socket.gethostname())
    _record(logs).write_text(json.dumps(asdict(running)))
