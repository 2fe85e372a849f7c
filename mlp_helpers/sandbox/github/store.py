"""What GitHub remembers beside Git: accounts, repositories, and what hangs on them; safe against a kill."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.github.defaults import DEFAULTS
from mlp_helpers.sandbox.github.errors import not_found, validation_failed

Json = dict[str, Any]

READ_ONLY = "contents:read"
"""Scope of a fine-grained token that may clone and fetch and nothing else."""

MARKER = "sandbox-repository-id"
"""File in a bare repository that says whose it is, so that a rename cut off by a kill can be finished."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT UNIQUE COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS repositories (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT COLLATE NOCASE, name TEXT COLLATE NOCASE, settings TEXT,
    UNIQUE (owner, name));
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repository INTEGER, kind TEXT, key TEXT, body TEXT,
    UNIQUE (repository, kind, key));
"""


@dataclass(frozen=True)
class Account:
    """Who calls, and what the token may do.

    Args:
        login: Name of the account.
        scopes: Scopes of the token: `repo`, `public_repo`, `delete_repo`, `workflow`; or `contents:read` alone.
    """

    login: str
    scopes: tuple[str, ...] = ()

    @property
    def is_fine_grained(self) -> bool:
        """Whether the token has permissions instead of scopes."""
        return READ_ONLY in self.scopes


class Permission(IntEnum):
    """What an account may do with a repository."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


COLLABORATORS = {
    "pull": Permission.READ,
    "triage": Permission.READ,
    "push": Permission.WRITE,
    "maintain": Permission.WRITE,
    "admin": Permission.ADMIN,
}


@dataclass(frozen=True)
class Repository:
    """A repository: its number, its name, and its settings as GitHub's API names them."""

    id: int
    owner: str
    name: str
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def full_name(self) -> str:
        """Owner and name."""
        return f"{self.owner}/{self.name}"

    @property
    def is_private(self) -> bool:
        """Whether only those see it who were let in."""
        return bool(self.settings["private"])

    @property
    def default_branch(self) -> str:
        """The branch that a clone checks out."""
        return str(self.settings["default_branch"])


class Store:
    """Accounts, repositories and their pull requests, protections, rulesets, reviews, keys.

    Args:
        folder: Where the database and the bare repositories are.
        organizations: Logins of the members (all of them owners) by organisation.
        plans: Plan by login of a user or organisation (`free`, `pro`, `team`); what is not named has `team`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        organizations: Mapping[str, Sequence[str]] | None = None,
        plans: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self.organizations = dict(organizations or {})
        self.plans = dict(plans or {})
        self._lock = threading.RLock()
        self.repositories_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._connection = sqlite3.connect(
            folder / "github.db", isolation_level=None, check_same_thread=False, timeout=30
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(SCHEMA)

    @property
    def repositories_folder(self) -> Path:
        """Where `OWNER/NAME.git` are."""
        return self._folder / "repositories"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Changes that happen all or not at all, and that no other thread sees half done."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    # Accounts

    def account_id(self, login: str) -> int:
        """The number of an account; it gets one when it is first seen."""
        with self.transaction():
            self._connection.execute("INSERT OR IGNORE INTO accounts (login) VALUES (?)", (login,))
            row = self._connection.execute("SELECT id FROM accounts WHERE login = ?", (login,)).fetchone()
        return int(row[0])

    def find_login(self, login: str) -> str:
        """An account's name as it is written, for one in any case."""
        for organization in self.organizations:
            if organization.lower() == login.lower():
                return organization
        row = self._one("SELECT login FROM accounts WHERE login = ?", login)
        if row is None:
            raise not_found()
        return str(row[0])

    def is_organization(self, login: str) -> bool:
        """Whether a login is an organisation's."""
        return login in self.organizations

    def plan(self, login: str) -> str:
        """What an account pays for."""
        return self.plans.get(login, "team")

    def role(self, login: str, repository: Repository) -> Permission:
        """What a person may do, whatever the token in hand."""
        if login.lower() == repository.owner.lower() or login in self.organizations.get(repository.owner, ()):
            return Permission.ADMIN
        invited = self.item(repository, "collaborator", login.lower())
        if invited:
            return COLLABORATORS[invited["permission"]]
        return Permission.NONE if repository.is_private else Permission.READ

    def permission(self, account: Account | None, repository: Repository) -> Permission:
        """What a caller may do: the person's role, cut down to what the token reaches."""
        visible = Permission.NONE if repository.is_private else Permission.READ
        if account is None:
            return visible
        role = self.role(account.login, repository)
        if "repo" in account.scopes or ("public_repo" in account.scopes and not repository.is_private):
            return role
        if READ_ONLY in account.scopes:
            return min(role, Permission.READ)
        return visible

    # Repositories

    def path(self, repository: Repository) -> Path:
        """The bare repository."""
        return self.repositories_folder / repository.owner / f"{repository.name}.git"

    def repositories(self, owner: str = "") -> list[Repository]:
        """All repositories, or those of an owner, the newest first."""
        rows = self._all(
            "SELECT id, owner, name, settings FROM repositories WHERE ? IN ('', owner) ORDER BY id DESC", owner
        )
        return [_repository(row) for row in rows]

    def repository(self, owner: str, name: str) -> Repository:
        """A repository by its name, in any case."""
        row = self._one("SELECT id, owner, name, settings FROM repositories WHERE owner = ? AND name = ?", owner, name)
        if row is None:
            raise not_found()
        return _repository(row)

    def repository_of_id(self, number: int) -> Repository:
        """A repository by its number."""
        row = self._one("SELECT id, owner, name, settings FROM repositories WHERE id = ?", number)
        if row is None:
            raise not_found()
        return _repository(row)

    def add_repository(self, owner: str, name: str, settings: Mapping[str, Any]) -> Repository:
        """Take a name for a new repository."""
        moment = timestamp()
        chosen = {**DEFAULTS, **settings, "created_at": moment, "updated_at": moment, "pushed_at": moment}
        with self.transaction():
            self._require_free(owner, name)
            self._connection.execute(
                "INSERT INTO repositories (owner, name, settings) VALUES (?, ?, ?)", (owner, name, json.dumps(chosen))
            )
            return self.repository(owner, name)

    def draft(self, repository: Repository) -> Path:
        """Where a new bare repository is made ready, unseen."""
        path = self.path(repository).with_suffix(".new")
        shutil.rmtree(path, ignore_errors=True)
        return path

    def publish(self, repository: Repository) -> None:
        """Put the draft into its place."""
        draft, path = self.path(repository).with_suffix(".new"), self.path(repository)
        (draft / MARKER).write_text(f"{repository.id}\n")
        shutil.rmtree(path, ignore_errors=True)  # left by a kill between the two stores
        draft.rename(path)

    def change_repository(self, repository: Repository, settings: Mapping[str, Any]) -> Repository:
        """Change settings."""
        with self.transaction():
            current = self.repository_of_id(repository.id)
            chosen = {**current.settings, **settings, "updated_at": timestamp()}
            self._connection.execute(
                "UPDATE repositories SET settings = ? WHERE id = ?", (json.dumps(chosen), repository.id)
            )
        return self.repository_of_id(repository.id)

    def rename_repository(self, repository: Repository, name: str) -> Repository:
        """Give a repository another name; the bare repository moves along."""
        with self.transaction():
            if name.lower() != repository.name.lower():
                self._require_free(repository.owner, name)
            self._connection.execute("UPDATE repositories SET name = ? WHERE id = ?", (name, repository.id))
            renamed = self.repository_of_id(repository.id)
            self.path(repository).rename(self.path(renamed))
        return renamed

    def remove_repository(self, repository: Repository) -> None:
        """Delete a repository and everything that hangs on it."""
        with self.transaction():
            self._connection.execute("DELETE FROM items WHERE repository = ?", (repository.id,))
            self._connection.execute("DELETE FROM repositories WHERE id = ?", (repository.id,))
        shutil.rmtree(self.path(repository), ignore_errors=True)

    def _require_free(self, owner: str, name: str) -> None:
        if self._one("SELECT id FROM repositories WHERE owner = ? AND name = ?", owner, name):
            raise validation_failed("Repository", "name", "custom", "name already exists on this account")

    # What hangs on a repository

    def items(self, repository: Repository, kind: str) -> list[tuple[str, Json]]:
        """Keys and bodies of a kind, the oldest first."""
        rows = self._all(
            "SELECT key, body FROM items WHERE repository = ? AND kind = ? ORDER BY id", repository.id, kind
        )
        return [(str(key), json.loads(body)) for key, body in rows]

    def item(self, repository: Repository, kind: str, key: str) -> Json | None:
        """One body, or None."""
        row = self._one(
            "SELECT body FROM items WHERE repository = ? AND kind = ? AND key = ?", repository.id, kind, key
        )
        return json.loads(row[0]) if row else None

    def put_item(self, repository: Repository, kind: str, key: str, body: Mapping[str, Any]) -> None:
        """Write a body, new or not."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO items (repository, kind, key, body) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (repository, kind, key) DO UPDATE SET body = excluded.body",
                (repository.id, kind, key, json.dumps(body)),
            )

    def add_item(self, repository: Repository, kind: str, body: Mapping[str, Any]) -> int:
        """Write a body under a new number, which no other repository has and which becomes its `id`."""
        with self.transaction():
            cursor = self._connection.execute(
                "INSERT INTO items (repository, kind, key, body) VALUES (?, ?, hex(randomblob(8)), '{}')",
                (repository.id, kind),
            )
            number = int(cursor.lastrowid or 0)
            self._connection.execute(
                "UPDATE items SET key = ?, body = ? WHERE id = ?",
                (str(number), json.dumps({**body, "id": number}), number),
            )
        return number

    def remove_item(self, repository: Repository, kind: str, key: str) -> bool:
        """Remove a body; whether it was there."""
        with self.transaction():
            cursor = self._connection.execute(
                "DELETE FROM items WHERE repository = ? AND kind = ? AND key = ?", (repository.id, kind, key)
            )
        return cursor.rowcount > 0

    # After a kill

    def recover(self) -> None:
        """Bring the bare repositories in line with the database; called once, before anything is served."""
        for draft in self.repositories_folder.glob("*/*.new"):
            shutil.rmtree(draft)
        for bare in [each for each in self.repositories_folder.glob("*/*.git") if each.is_dir()]:
            for lock in [*bare.glob("*.lock"), *bare.glob("refs/**/*.lock")]:
                lock.unlink()  # no writer is left that could own it
            row = self._one("SELECT id, owner, name, settings FROM repositories WHERE id = ?", _marked(bare))
            if row is None:
                shutil.rmtree(bare)
            elif self.path(_repository(row)) != bare:
                bare.rename(self.path(_repository(row)))
        for repository in self.repositories():
            if not self.path(repository).exists():  # the kill came before it was made ready: nobody was told of it
                self.remove_repository(repository)

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        return row

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()


def timestamp(seconds: float | None = None) -> str:
    """A time as GitHub writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _repository(row: tuple[Any, ...]) -> Repository:
    return Repository(int(row[0]), str(row[1]), str(row[2]), json.loads(row[3]))


def _marked(bare: Path) -> int:
    try:
        return int((bare / MARKER).read_text())
    except (FileNotFoundError, ValueError):
        return -1


def organizations_of(text: str) -> dict[str, tuple[str, ...]]:
    """Organisations and their members out of one variable; the inverse of `organizations_text`."""
    return {name: tuple(members) for name, members in json.loads(text).items()}


def organizations_text(organizations: Mapping[str, Sequence[str]]) -> str:
    """Organisations and their members as one variable, for the hook's process."""
    return json.dumps({name: list(members) for name, members in organizations.items()})
