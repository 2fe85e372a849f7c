"""Where the control planes keep what they know: JSON documents by collection and name, safe against a kill."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def connect(path: Path) -> sqlite3.Connection:
    """Open a database as every part of the sandbox does: write-ahead log, statements committed one by one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Several statements that happen all or not at all; inside another transaction, a part of it."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class Documents:
    """JSON documents in SQLite.

    Everything runs on the event loop's thread, so a method that does not await is atomic to its callers;
    `transaction` makes it atomic to a kill as well.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS documents "
            "(collection TEXT, name TEXT, body TEXT, PRIMARY KEY (collection, name))"
        )

    def transaction(self) -> Any:
        """A context in which all changes happen, or none."""
        return transaction(self._connection)

    def get(self, collection: str, name: str) -> Json | None:
        """A document, or None."""
        row = self._connection.execute(
            "SELECT body FROM documents WHERE collection = ? AND name = ?", (collection, name)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, collection: str, name: str, body: Json) -> None:
        """Write a document, new or not."""
        self._connection.execute(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (collection, name, json.dumps(body))
        )

    def delete(self, collection: str, name: str) -> None:
        """Remove a document, if it is there."""
        self._connection.execute("DELETE FROM documents WHERE collection = ? AND name = ?", (collection, name))

    def list(self, collection: str, prefix: str = "") -> list[tuple[str, Json]]:
        """Names and documents of a collection whose names begin with a prefix, in the order of the names."""
        rows = self._connection.execute(
            "SELECT name, body FROM documents WHERE collection = ? AND substr(name, 1, ?) = ? ORDER BY name",
            (collection, len(prefix), prefix),
        )
        return [(name, json.loads(body)) for name, body in rows]

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
