"""Buckets and objects: generations, versions, preconditions; no HTTP.

All changes run on the event loop's thread without awaiting, so a check and the write that it guards are one step: of
many writers with `ifGenerationMatch=0`, one wins.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.google.documents import connect, transaction
from mlp_helpers.sandbox.google.policies import Policy, replaced, with_etag
from mlp_helpers.sandbox.google.storage import errors
from mlp_helpers.sandbox.google.storage.contents import Contents
from mlp_helpers.sandbox.google.storage.preconditions import Preconditions
from mlp_helpers.sandbox.google.storage.resources import (
    Digest,
    Json,
    changed_bucket,
    changed_object,
    check_bucket_name,
    check_object_name,
    default_policy,
    new_bucket,
    new_object,
    timestamp,
)

NO_CONDITIONS = Preconditions()

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, project TEXT, body TEXT, policy TEXT);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, name TEXT, generation INTEGER, live INTEGER, body TEXT, content TEXT,
    PRIMARY KEY (bucket, name, generation)
);
CREATE INDEX IF NOT EXISTS objects_by_content ON objects (content);
CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, body TEXT);
"""


@dataclass(frozen=True)
class Source:
    """An object that is read: its resource and its bytes."""

    resource: Json
    content: str


class StorageStore:
    """Everything that Cloud Storage remembers."""

    def __init__(self, folder: Path) -> None:
        self.connection = connect(folder / "storage.db")
        self.connection.executescript(_SCHEMA)
        self.contents = Contents(folder / "contents")
        self.contents.sweep({row[0] for row in self.connection.execute("SELECT DISTINCT content FROM objects")})

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    # Buckets

    def create_bucket(self, body: Mapping[str, Any], *, project: str, project_number: str) -> Json:
        """Make a bucket; its name is unique in the world, which here is this sandbox."""
        name = str(body.get("name") or "")
        check_bucket_name(name)
        if row := self._bucket_row(name):
            raise errors.bucket_exists(own=row[0] == project)
        bucket = new_bucket(body, project_number=project_number)
        uniform = bool(bucket["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"])
        policy = default_policy(name, project, uniform=uniform)
        self.connection.execute(
            "INSERT INTO buckets VALUES (?, ?, ?, ?)", (name, project, json.dumps(bucket), json.dumps(policy))
        )
        return bucket

    def bucket(self, name: str) -> Json:
        """A bucket."""
        row = self._bucket_row(name)
        if row is None:
            raise errors.bucket_not_found()
        return dict(json.loads(row[1]))

    def bucket_project(self, name: str) -> str:
        """Id of the project that owns a bucket."""
        row = self._bucket_row(name)
        if row is None:
            raise errors.bucket_not_found()
        return str(row[0])

    def _bucket_row(self, name: str) -> tuple[str, str] | None:
        row: tuple[str, str] | None = self.connection.execute(
            "SELECT project, body FROM buckets WHERE name = ?", (name,)
        ).fetchone()
        return row

    def buckets(self, project: str, prefix: str = "") -> list[Json]:
        """The buckets of a project in the order of their names."""
        rows = self.connection.execute("SELECT body FROM buckets WHERE project = ? ORDER BY name", (project,))
        buckets = [json.loads(row[0]) for row in rows]
        return [bucket for bucket in buckets if bucket["name"].startswith(prefix)]

    def change_bucket(
        self, name: str, patch: Mapping[str, Any], *, replace: bool = False, conditions: Preconditions = NO_CONDITIONS
    ) -> Json:
        """Change a bucket's settings."""
        bucket = self.bucket(name)
        conditions.check(bucket)
        changed = changed_bucket(bucket, patch, replace=replace)
        self.connection.execute("UPDATE buckets SET body = ? WHERE name = ?", (json.dumps(changed), name))
        return changed

    def delete_bucket(self, name: str, *, conditions: Preconditions = NO_CONDITIONS) -> None:
        """Remove an empty bucket; noncurrent versions count as content."""
        conditions.check(self.bucket(name))
        if self.connection.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (name,)).fetchone():
            raise errors.bucket_not_empty()
        self.connection.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def policy(self, bucket: str) -> Policy:
        """A bucket's IAM policy."""
        row = self.connection.execute("SELECT policy FROM buckets WHERE name = ?", (bucket,)).fetchone()
        if row is None:
            raise errors.bucket_not_found()
        return with_etag(json.loads(row[0]))

    def set_policy(self, bucket: str, wanted: Mapping[str, Any]) -> Policy:
        """Replace a bucket's IAM policy."""
        policy = replaced(self.policy(bucket), wanted, stale=errors.condition_not_met())
        self.connection.execute("UPDATE buckets SET policy = ? WHERE name = ?", (json.dumps(policy), bucket))
        return policy

    # Objects

    def source(self, bucket: str, name: str, generation: int | None = None) -> Source:
        """The live object of a name, or one generation of it."""
        self.bucket(bucket)
        found = self._generation(bucket, name, generation) if generation else self._live(bucket, name)
        if found is None:
            raise errors.object_not_found(bucket, name)
        return found

    def _live(self, bucket: str, name: str) -> Source | None:
        return self._source("bucket = ? AND name = ? AND live = 1", (bucket, name))

    def _generation(self, bucket: str, name: str, generation: int) -> Source | None:
        return self._source("bucket = ? AND name = ? AND generation = ?", (bucket, name, generation))

    def _source(self, where: str, values: Sequence[object]) -> Source | None:
        row = self.connection.execute(f"SELECT body, content FROM objects WHERE {where}", values).fetchone()
        return Source(json.loads(row[0]), row[1]) if row else None

    def has_live(self, bucket: str, name: str) -> bool:
        """Whether a name has a live object."""
        return self._live(bucket, name) is not None

    def check_write(self, bucket: str, name: str, conditions: Preconditions) -> None:
        """Refuse a write that is bound to fail before its bytes are taken in."""
        self.bucket(bucket)
        check_object_name(name)
        live = self._live(bucket, name)
        conditions.check(live.resource if live else None)

    def write(
        self,
        bucket: str,
        name: str,
        content: str,
        digest: Digest,
        *,
        fields: Mapping[str, Any],
        conditions: Preconditions = NO_CONDITIONS,
        component_count: int = 0,
    ) -> Json:
        """Make a content the live generation of a name.

        Args:
            bucket: Bucket.
            name: Object name.
            content: Content that `Contents` keeps; it is removed if the write is refused and nobody else refers to it.
            digest: Its size and checksums.
            fields: Metadata of the object.
            conditions: What must hold of the live generation now.
            component_count: Of a composed object, how many uploads are in it.
        """
        try:
            with transaction(self.connection):
                self.check_write(bucket, name, conditions)
                if live := self._live(bucket, name):
                    self._retire(bucket, live)
                storage_class = str(self.bucket(bucket).get("storageClass", "STANDARD"))
                generation = self._next_generation(bucket, name)
                resource = new_object(bucket, name, generation, digest, fields, storage_class)
                if component_count:
                    resource["componentCount"] = component_count
                self.connection.execute(
                    "INSERT INTO objects VALUES (?, ?, ?, 1, ?, ?)",
                    (bucket, name, generation, json.dumps(resource), content),
                )
        except BaseException:
            self._remove_unused(content)
            raise
        if live is not None:
            self._remove_unused(live.content)
        return resource

    def _next_generation(self, bucket: str, name: str) -> int:
        """Microseconds since 1970 as in the real service, and always above the last: a clock may stand still."""
        row = self.connection.execute(
            "SELECT max(generation) FROM objects WHERE bucket = ? AND name = ?", (bucket, name)
        ).fetchone()
        return max(time.time_ns() // 1000, (row[0] or 0) + 1)

    def change_object(
        self,
        bucket: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        generation: int | None = None,
        replace: bool = False,
        conditions: Preconditions = NO_CONDITIONS,
    ) -> Json:
        """Change an object's metadata; its generation stays, its metageneration grows."""
        resource = self.source(bucket, name, generation).resource
        conditions.check(resource)
        changed = changed_object(resource, patch, replace=replace)
        self.connection.execute(
            "UPDATE objects SET body = ? WHERE bucket = ? AND name = ? AND generation = ?",
            (json.dumps(changed), bucket, name, int(resource["generation"])),
        )
        return changed

    def delete_object(
        self, bucket: str, name: str, *, generation: int | None = None, conditions: Preconditions = NO_CONDITIONS
    ) -> None:
        """Delete the live object (it becomes noncurrent under versioning), or one generation for good."""
        found = self.source(bucket, name, generation)
        conditions.check(found.resource)
        with transaction(self.connection):
            if generation:
                self._delete_row(bucket, found)
            else:
                self._retire(bucket, found)
        self._remove_unused(found.content)

    def _retire(self, bucket: str, live: Source) -> None:
        """Make room for a new live generation: keep the old one where the bucket keeps versions."""
        if not self.bucket(bucket).get("versioning", {}).get("enabled"):
            self._delete_row(bucket, live)
            return
        body = {**live.resource, "timeDeleted": timestamp()}
        self.connection.execute(
            "UPDATE objects SET live = 0, body = ? WHERE bucket = ? AND name = ? AND generation = ?",
            (json.dumps(body), bucket, body["name"], int(body["generation"])),
        )

    def _delete_row(self, bucket: str, found: Source) -> None:
        self.connection.execute(
            "DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?",
            (bucket, found.resource["name"], int(found.resource["generation"])),
        )

    def _remove_unused(self, content: str) -> None:
        if not self.connection.execute("SELECT 1 FROM objects WHERE content = ? LIMIT 1", (content,)).fetchone():
            self.contents.remove(content)
