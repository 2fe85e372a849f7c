"""Who holds the lock of a state, since when, and whether that run is still alive."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from mlp_helpers.errors import TerraformError
from mlp_helpers.terraform.engine import CORE_MODULE

Holder = Literal["alive", "dead", "elsewhere"]

_FIELD = re.compile(r"^[\s│|]*(ID|Path|Operation|Who|Version|Created|Info):[ \t]*(.*?)\s*$", re.MULTILINE)
_SECONDS_OF_GRACE = 5.0  # between a process's start and the lock's time; clocks differ a little


@dataclass(frozen=True)
class Candidate:
    """A Terraform that runs on this machine.

    Args:
        pid: Its process.
        started: When it began.
        backend: Where its state is; None if that cannot be seen.
    """

    pid: int
    started: datetime
    backend: Mapping[str, Any] | None = None

    def could_hold(self, created: datetime, backend: Mapping[str, str]) -> bool:
        """Whether it may have taken a lock: it was there at the time, and works on that state as far as can be seen."""
        if (self.started - created).total_seconds() > _SECONDS_OF_GRACE:
            return False
        return self.backend is None or all(self.backend.get(key) == value for key, value in backend.items())


@dataclass(frozen=True)
class StateLock:
    """The lock of a state, as its holder described itself."""

    id: str
    operation: str
    who: str
    created: datetime
    holder: Holder
    pid: int | None = None

    def describe(self) -> str:
        """Who holds it, since when, and whether that run lives."""
        minutes = int((datetime.now(UTC) - self.created).total_seconds() // 60)
        alive = {
            "alive": f"Its process may be {self.pid} on this machine, which runs.",
            "dead": "No Terraform that could hold it runs on this machine.",
            "elsewhere": "It runs on another machine, so whether it lives cannot be seen from here.",
        }[self.holder]
        since = f"{self.created:%Y-%m-%d %H:%M:%S} UTC ({minutes} min ago)"
        return f"{self.who} holds it for {self.operation} since {since}. {alive}"


class StateLockedError(TerraformError):
    """Another run holds the lock of the state."""

    def __init__(self, lock: StateLock, *, root: str) -> None:
        fix = {
            "alive": "Wait until it has ended, or end it gently with one interrupt, then run the step again.",
            "dead": f"That run was killed and left its lock. Release it: force_unlock({lock.id!r})",
            "elsewhere": f"Ask {lock.who}. Only if that run is dead, release the lock: force_unlock({lock.id!r})",
        }[lock.holder]
        super().__init__(f"The state of {root} is locked by another run.", why=lock.describe(), fix=fix)
        self.lock = lock


def read_lock(
    text: str, *, backend: Mapping[str, str], candidates: Iterable[Candidate] | None = None
) -> StateLock | None:
    """Read the description of a lock from a message of Terraform.

    Args:
        text: The message.
        backend: Settings of the backend that said so.
        candidates: Processes of this machine that could hold it; by default those that run now.

    Returns:
        The lock; None if the message describes none.
    """
    if "Lock Info" not in text:
        return None
    fields = dict(_FIELD.findall(text.split("Lock Info", 1)[1]))
    if not fields.get("ID"):
        return None
    created = _time(fields.get("Created", ""))
    who = fields.get("Who", "someone")
    holder, pid = _find_holder(who, created, backend, _running() if candidates is None else candidates)
    operation = fields.get("Operation", "").removeprefix("OperationType").lower() or "something"
    return StateLock(fields["ID"], operation, who, created, holder, pid)


def _find_holder(
    who: str, created: datetime, backend: Mapping[str, str], candidates: Iterable[Candidate]
) -> tuple[Holder, int | None]:
    if who.rpartition("@")[2] != socket.gethostname():
        return "elsewhere", None
    for candidate in candidates:
        if candidate.could_hold(created, backend):
            return "alive", candidate.pid
    return "dead", None


def _running() -> Iterator[Candidate]:
    for process in psutil.process_iter(["name", "cmdline", "create_time", "status"]):
        seen = process.info
        is_program = seen["name"] == "terraform"
        if (is_program or CORE_MODULE in (seen["cmdline"] or ())) and seen["status"] != psutil.STATUS_ZOMBIE:
            yield Candidate(process.pid, datetime.fromtimestamp(seen["create_time"], UTC), _backend_of(process))


def _backend_of(process: psutil.Process) -> Mapping[str, Any] | None:
    """What Terraform noted about its backend when it was initialised."""
    try:
        data = Path(process.cwd(), process.environ().get("TF_DATA_DIR", ".terraform"))
        config = json.loads((data / "terraform.tfstate").read_text())["backend"]["config"]
    except FileNotFoundError:
        return {}  # the local backend, in a folder of its own
    except (psutil.Error, OSError, ValueError, KeyError, TypeError):
        return None
    return config if isinstance(config, dict) else None


def _time(text: str) -> datetime:
    """Go prints `2026-11-25 01:39:42.123456789 +0000 UTC`."""
    found = re.match(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", text)
    if found is None:
        return datetime.now(UTC)
    return datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
