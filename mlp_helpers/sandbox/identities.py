"""Who may call the sandbox: people, robots and the principals of pods, each known by one token."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A caller.

    Args:
        email: E-mail of a person or service account, or `principal://…` of a pod (Workload Identity Federation).
        groups: E-mails of the groups it belongs to.
        is_admin: Whether it may do everything (the owner of the sandbox's projects).
    """

    email: str
    groups: tuple[str, ...] = ()
    is_admin: bool = False


class Identities:
    """Tokens and whom they stand for, kept in the sandbox's state database."""

    def __init__(self, database: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS identities "
            "(email TEXT PRIMARY KEY, groups TEXT, is_admin INTEGER, token TEXT UNIQUE)"
        )

    def authenticate(self, token: str) -> Identity | None:
        """The identity behind a token, or None for a token that nobody was given."""
        with self._lock:
            row = self._connection.execute(
                "SELECT email, groups, is_admin FROM identities WHERE token = ?", (token,)
            ).fetchone()
        return Identity(row[0], tuple(filter(None, row[1].split(","))), bool(row[2])) if row else None

    def issue(self, email: str, groups: Sequence[str] = (), *, is_admin: bool = False) -> str:
        """The token of an identity: made at first, the same ever after; groups and rights follow the latest call."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO identities VALUES (?, ?, ?, ?) "
                "ON CONFLICT (email) DO UPDATE SET groups = excluded.groups, is_admin = excluded.is_admin",
                (email, ",".join(groups), int(is_admin), f"mlp-{secrets.token_urlsafe(24)}"),
            )
            row = self._connection.execute("SELECT token FROM identities WHERE email = ?", (email,)).fetchone()
        return str(row[0])

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
