"""Objects in SQLite under one counter of versions, their history, and the watchers of their changes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

__all__ = ["Change", "Store", "encode"]

Object = dict[str, Any]

HISTORY = 10_000  # changes that are kept for watchers who resume
FIRST_VERSION = 1
_TABLES = """
    CREATE TABLE IF NOT EXISTS objects (
        resource TEXT, namespace TEXT, name TEXT, body TEXT, PRIMARY KEY (resource, namespace, name)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS changes (
        version INTEGER PRIMARY KEY, type TEXT, resource TEXT, body TEXT, previous TEXT
    );
    CREATE INDEX IF NOT EXISTS changes_of_resource ON changes (resource, version);
    CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""


def encode(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass
class Change:
    """One change of one object; all watchers share the instance, and so its encoded object.

    Args:
        type: ADDED, MODIFIED or DELETED.
        object: The object after the change (of a deletion: as it was, with the version of its deletion).
        previous: The object before a modification or deletion.
    """

    type: str
    object: Object
    previous: Object | None = None

    @cached_property
    def encoded(self) -> bytes:
        """The object as JSON, its type first: lists of built-in kinds cut that off (`lists.encode_list`)."""
        kind = {name: self.object[name] for name in ("apiVersion", "kind") if name in self.object}
        return encode(kind | self.object)

    @property
    def version(self) -> int:
        """The version that the change made."""
        return int(self.object["metadata"]["resourceVersion"])


Listener = Callable[[str, Change], None]


class Store:
    """The cluster's database.

    Args:
        path: SQLite file; made if absent. Whatever is committed survives the death of the process.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        # WAL with NORMAL survives a kill; only a power cut may lose the last commits.
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_TABLES)
        last = self._database.execute("SELECT coalesce(max(version), ?) FROM changes", (FIRST_VERSION,)).fetchone()
        self.version: int = last[0]
        self._queues: dict[str, set[asyncio.Queue[Change]]] = {}
        self._listeners: list[Listener] = []
        self._unpublished: list[tuple[str, Change]] = []

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # -- reading

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        row = self._database.execute(
            "SELECT body FROM objects WHERE resource=? AND namespace=? AND name=?", (resource, namespace, name)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def bodies(
        self, resource: str, namespace: str = "", *, after: tuple[str, str] = ("", ""), limit: int = -1
    ) -> Sequence[str]:
        """Encoded objects in the order of namespace and name.

        Args:
            resource: `Kind.storage_key`.
            namespace: Empty for all of them.
            after: Namespace and name of the last object of the page before.
            limit: At most so many; -1 for all.
        """
        query = "SELECT body FROM objects WHERE resource=? AND (namespace, name) > (?, ?)"
        values: list[Any] = [resource, *after]
        if namespace:
            query, values = query + " AND namespace=?", [*values, namespace]
        rows = self._database.execute(query + " ORDER BY namespace, name LIMIT ?", [*values, limit])
        return [body for (body,) in rows]

    def list(self, resource: str, namespace: str = "") -> list[Object]:
        """Objects in the order of namespace and name."""
        return [json.loads(body) for body in self.bodies(resource, namespace)]

    def count(self, resource: str, namespace: str = "", *, after: tuple[str, str] = ("", "")) -> int:
        """How many objects there are (after one)."""
        query = "SELECT count(*) FROM objects WHERE resource=? AND (namespace, name) > (?, ?)"
        values: list[Any] = [resource, *after]
        if namespace:
            query, values = query + " AND namespace=?", [*values, namespace]
        return int(self._database.execute(query, values).fetchone()[0])

    def oldest_version(self) -> int:
        """The version from which on every change is still known."""
        first = self._database.execute("SELECT min(version) FROM changes").fetchone()[0]
        return int(first) - 1 if first else self.version

    def changes_since(self, resource: str, version: int) -> Sequence[Change]:
        """Changes of a resource after a version."""
        rows = self._database.execute(
            "SELECT type, body, previous FROM changes WHERE resource=? AND version>? ORDER BY version",
            (resource, version),
        )
        return [Change(sort, json.loads(body), json.loads(before) if before else None) for sort, body, before in rows]

    # -- writing

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are kept, or none if an error leaves the block; watchers hear of them at its end."""
        if self._database.in_transaction:
            yield
            return
        self._database.execute("BEGIN IMMEDIATE")
        version = self.version
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            self.version = version
            self._unpublished.clear()
            raise
        self._database.execute("COMMIT")
        self._publish()

    def write(self, change_type: str, resource: str, thing: Object, previous: Object | None = None) -> Object:
        """Give an object the next version, keep it (or drop it if DELETED) and tell the watchers."""
        with self.transaction():
            self.version += 1
            metadata = thing["metadata"]
            metadata["resourceVersion"] = str(self.version)
            key = (resource, metadata.get("namespace", ""), metadata["name"])
            change = Change(change_type, thing, previous)
            body = change.encoded.decode()
            if change_type == "DELETED":
                self._database.execute("DELETE FROM objects WHERE resource=? AND namespace=? AND name=?", key)
            else:
                self._database.execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?)", (*key, body))
            before = encode(previous).decode() if previous is not None else None
            self._database.execute(
                "INSERT INTO changes VALUES (?,?,?,?,?)", (self.version, change_type, resource, body, before)
            )
            self._database.execute("DELETE FROM changes WHERE version <= ?", (self.version - HISTORY,))
            self._unpublished.append((resource, change))
        return thing

    # -- watching

    @contextmanager
    def watch(self, resource: str) -> Iterator[asyncio.Queue[Change]]:
        """A queue of the changes of a resource from now on."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        queues = self._queues.setdefault(resource, set())
        queues.add(queue)
        try:
            yield queue
        finally:
            queues.discard(queue)

    def on_change(self, listener: Listener) -> None:
        """Call a function with resource and change after every committed change."""
        self._listeners.append(listener)

    def _publish(self) -> None:
        published, self._unpublished = self._unpublished, []
        for resource, change in published:
            for queue in self._queues.get(resource, ()):
                queue.put_nowait(change)
            for listener in self._listeners:
                listener(resource, change)

    # -- settings

    def setting(self, key: str, make: Callable[[], str] | None = None) -> str | None:
        """A value kept beside the objects; made and kept if absent and `make` is given."""
        row = self._database.execute("SELECT value FROM settings WHERE key=?", (key,)).fetchone()
        if row or make is None:
            return row[0] if row else None
        value = make()
        self._database.execute("INSERT INTO settings VALUES (?,?)", (key, value))
        return value

    def settings(self, prefix: str) -> dict[str, str]:
        """Values whose keys begin so."""
        rows = self._database.execute(
            "SELECT key, value FROM settings WHERE substr(key, 1, ?)=?", (len(prefix), prefix)
        )
        return dict(rows)
