"""Where a sandbox lives: its directory, its ports, and the lock that lets one process own it."""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import sqlite3
from pathlib import Path
from typing import Any

import psutil

from mlp_helpers.errors import SandboxError
from mlp_helpers.folders import mlp_home

PORTS = range(30000, 32760)  # below the kernel's ephemeral ports, above those that pods get (20000-29999)


def sandbox_home() -> Path:
    """The sandbox's directory, under the folder for what is made at run time."""
    return mlp_home() / "sandbox"


class State:
    """The directory of one sandbox and what must outlive its process.

    Raises:
        SandboxError: The directory cannot be made, or a port that this sandbox gave out is taken by another program.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            home.chmod(0o700)
            (home / "credentials").mkdir(exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(self.database, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS ports (name TEXT PRIMARY KEY, port INTEGER UNIQUE)")
        except (OSError, sqlite3.OperationalError) as error:
            raise SandboxError(
                f"The sandbox cannot use its directory {home}.",
                why=str(error),
                fix="Free space or choose another directory: MLP_HOME=/another/path",
            ) from error

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "state.db"

    def lock(self) -> None:
        """Take this directory for this process; the kernel gives it back when the process ends, however it ends.

        Raises:
            SandboxError: Another process has it.
        """
        self._lock = (self.home / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxError(
                "A sandbox already runs in this directory.", why=str(self.home), fix="mlp sandbox status"
            ) from None

    def port(self, name: str) -> int:
        """The port of a server: chosen once, the same ever after, so that addresses survive a restart.

        Raises:
            SandboxError: The port is taken by another program.
        """
        row = self._connection.execute("SELECT port FROM ports WHERE name = ?", (name,)).fetchone()
        if row:
            port = int(row[0])
            if not _is_free(port):
                raise SandboxError(
                    f"Port {port}, which the sandbox gave to {name}, is taken.",
                    why=f"{_holder(port)} listens on it.",
                    fix="Stop that program, or start afresh: mlp sandbox reset",
                )
            return port
        given = {row[0] for row in self._connection.execute("SELECT port FROM ports")}
        port = next(each for each in random.sample(PORTS, len(PORTS)) if each not in given and _is_free(each))
        self._connection.execute("INSERT INTO ports VALUES (?, ?)", (name, port))
        return port

    def release_port(self, name: str) -> None:
        """Forget a server's port: a new cluster of an old name must not meet a client's cache of the old one."""
        self._connection.execute("DELETE FROM ports WHERE name = ?", (name,))

    def secret_file(self, name: str, content: str) -> Path:
        """Write a credential (mode 0600) and return its path."""
        return write_private(self.home / "credentials" / name, content)

    @property
    def endpoints_file(self) -> Path:
        """What clients may know while the sandbox runs."""
        return self.home / "endpoints.json"

    def publish(self, endpoints: dict[str, Any]) -> None:
        """Tell clients where everything is; from now on the sandbox is ready."""
        write_private(self.endpoints_file, json.dumps(endpoints, indent=1))

    def withdraw(self) -> None:
        """Take the addresses back: the sandbox no longer runs."""
        self.endpoints_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def write_private(path: Path, content: str) -> Path:
    """Replace a file at once by one that only its owner can read."""
    trial = path.with_name(path.name + ".new")
    descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    trial.replace(path)
    return path


def running_process(home: Path) -> psutil.Process | None:
    """The process that owns a sandbox directory, if one runs: the file names it, the lock proves it."""
    try:
        with (home / "lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        pid = int((home / "pid").read_text())
        return psutil.Process(pid)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "Another program"
    for each in connections:
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN and each.pid:
            return f"{psutil.Process(each.pid).name()} (process {each.pid})"
    return "Another program"
