"""The three ways to send an object: media, multipart, resumable."""

from __future__ import annotations

import json
import mmap
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.google.calls import Call, Reply, json_reply
from mlp_helpers.sandbox.google.documents import transaction
from mlp_helpers.sandbox.google.errors import GoogleError
from mlp_helpers.sandbox.google.storage import errors
from mlp_helpers.sandbox.google.storage.contents import CHUNK_BYTES, digest_of
from mlp_helpers.sandbox.google.storage.preconditions import Preconditions
from mlp_helpers.sandbox.google.storage.resources import Digest, Json, object_links
from mlp_helpers.sandbox.google.storage.store import StorageStore

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(frozen=True)
class ResumableUpload:
    """An upload that goes on over several calls, and over restarts of the sandbox."""

    id: str
    bucket: str
    name: str
    fields: Json
    conditions: dict[str, int | None]


AdmitWrite = Callable[[Call, str, str], None]
"""Raises unless the caller may write (call, bucket, object name)."""


class Uploads:
    """Takes objects in."""

    def __init__(self, store: StorageStore, folder: Path, admit_write: AdmitWrite) -> None:
        self._store, self._folder, self._admit_write = store, folder, admit_write
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left_by_a_kill in folder.glob("multipart-*"):
            left_by_a_kill.unlink()

    def _check_write(self, call: Call, bucket: str, name: str) -> Preconditions:
        """Refuse before the bytes are taken in what would be refused after."""
        conditions = Preconditions.of(call.query)
        self._admit_write(call, bucket, name)
        self._store.check_write(bucket, name, conditions)
        return conditions

    async def media(self, call: Call, bucket: str) -> Json:
        """The body is the object; its name is a parameter."""
        name = call.query.text("name")
        conditions = self._check_write(call, bucket, name)
        fields = {"contentType": call.headers.get("content-type") or None}
        content, digest = await self._store.contents.write(call.chunks)
        return self._commit(bucket, name, content, digest, fields, call.headers, conditions)

    async def multipart(self, call: Call, bucket: str) -> Json:
        """The body is a multipart/related: the resource as JSON, then the object."""
        spool = self._folder / f"multipart-{secrets.token_hex(8)}"
        try:
            with spool.open("wb") as file:
                async for chunk in call.chunks:
                    file.write(chunk)
            fields, start, end = _related_parts(spool, boundary_of(call.headers))
            name = str(fields.get("name") or call.query.text("name"))
            conditions = self._check_write(call, bucket, name)
            content, digest = await self._store.contents.write(_file_range(spool, start, end))
        finally:
            spool.unlink(missing_ok=True)
        return self._commit(bucket, name, content, digest, fields, call.headers, conditions)

    async def start_resumable(self, call: Call, bucket: str) -> Reply:
        """Open a resumable upload; the reply's Location is where its bytes go."""
        fields = await call.json()
        fields.setdefault("contentType", call.headers.get("x-upload-content-type"))
        name = str(fields.get("name") or call.query.text("name"))
        conditions = self._check_write(call, bucket, name)
        upload = ResumableUpload(secrets.token_urlsafe(24), bucket, name, fields, asdict(conditions))
        self._store.connection.execute("INSERT INTO uploads VALUES (?, ?)", (upload.id, json.dumps(asdict(upload))))
        (self._folder / upload.id).touch()
        location = f"{call.base_url}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={upload.id}"
        return Reply(200, b"", {"Location": location, "X-GUploader-UploadID": upload.id})

    async def continue_resumable(self, call: Call, bucket: str) -> Reply:
        """Take in the next bytes (308 while more are to come), or tell how many have arrived."""
        upload = self._upload(call.query.text("upload_id"), bucket)
        file = self._folder / upload.id
        first, total = _content_range(call.headers, file.stat().st_size)
        await _append(file, first, call.chunks)
        received = file.stat().st_size
        if total is None or received < total:
            headers = {"X-GUploader-UploadID": upload.id}
            return Reply(308, b"", headers | ({"Range": f"bytes=0-{received - 1}"} if received else {}))
        resource = self._finish(upload, file, call.headers)
        return json_reply(object_links(resource, call.base_url))

    def cancel_resumable(self, call: Call, bucket: str) -> Reply:
        """Forget an upload."""
        upload = self._upload(call.query.text("upload_id"), bucket)
        self._forget(upload.id)
        (self._folder / upload.id).unlink(missing_ok=True)
        return Reply(499)

    def _upload(self, upload_id: str, bucket: str) -> ResumableUpload:
        row = self._store.connection.execute("SELECT body FROM uploads WHERE id = ?", (upload_id,)).fetchone()
        upload = ResumableUpload(**json.loads(row[0])) if row else None
        if upload is None or upload.bucket != bucket or not (self._folder / upload.id).exists():
            raise GoogleError("NOT_FOUND", "The requested upload session was not found.")
        return upload

    def _finish(self, upload: ResumableUpload, file: Path, headers: Mapping[str, str]) -> Json:
        digest = digest_of(file)
        content = self._store.contents.adopt(file)
        conditions = Preconditions(**upload.conditions)
        with transaction(self._store.connection):
            self._forget(upload.id)
            return self._commit(upload.bucket, upload.name, content, digest, upload.fields, headers, conditions)

    def _forget(self, upload_id: str) -> None:
        self._store.connection.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))

    def _commit(
        self,
        bucket: str,
        name: str,
        content: str,
        digest: Digest,
        fields: Mapping[str, Any],
        headers: Mapping[str, str],
        conditions: Preconditions,
    ) -> Json:
        try:
            check_digest(digest, fields, headers)
        except GoogleError:
            self._store.contents.remove(content)
            raise
        return self._store.write(bucket, name, content, digest, fields=fields, conditions=conditions)


def check_digest(digest: Digest, fields: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Compare the checksums that the sender gave, in the resource or in `X-Goog-Hash`, with those computed."""
    given = {"crc32c": fields.get("crc32c"), "md5": fields.get("md5Hash")}
    for item in headers.get("x-goog-hash", "").split(","):
        kind, _, value = item.strip().partition("=")
        given[kind] = given.get(kind) or value
    for kind, label, computed in (("crc32c", "CRC32C", digest.crc32c), ("md5", "MD5", digest.md5)):
        if given.get(kind) and given[kind] != computed:
            raise errors.checksum_mismatch(label, str(given[kind]), computed)


def boundary_of(headers: Mapping[str, str]) -> bytes:
    """The boundary of a multipart body; gcloud writes it in single quotes."""
    match = re.search(r"boundary=(\"[^\"]+\"|'[^']+'|[^;\s]+)", headers.get("content-type", ""))
    if not match:
        raise errors.invalid("Missing boundary in the content type of a multipart upload.")
    return match[1].strip("\"'").encode()


def _related_parts(spool: Path, boundary: bytes) -> tuple[Json, int, int]:
    """The resource of a multipart/related body, and where its object begins and ends. Line ends may be bare."""
    if not spool.stat().st_size:
        raise errors.invalid("Multipart upload without a body.")
    with spool.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        delimiter = b"--" + boundary
        first = body.find(delimiter)
        second = body.find(b"\n" + delimiter, first + 1)
        last = body.rfind(b"\n" + delimiter + b"--")
        if first < 0 or second < 0 or last <= second:
            raise errors.invalid("Multipart upload is not made of a resource and an object.")
        _, resource_start = _part_headers(body, first + len(delimiter))
        headers, start = _part_headers(body, second + 1 + len(delimiter))
        end = last - 1 if body[last - 1 : last] == b"\r" else last
        try:
            fields = json.loads(body[resource_start:second] or b"{}")
        except ValueError:
            raise errors.invalid("Invalid JSON in the first part of a multipart upload.", "parseError") from None
    if content_type := re.search(rb"(?im)^content-type: *([^\r\n]+)", headers):
        fields.setdefault("contentType", content_type[1].decode())
    return fields, start, max(start, end)


def _part_headers(body: mmap.mmap, start: int) -> tuple[bytes, int]:
    """The headers of a part and where its content begins."""
    blank = re.compile(rb"\r?\n\r?\n").search(body, start)
    if not blank:
        raise errors.invalid("A part of the multipart upload has no headers.")
    return bytes(body[start : blank.start()]), blank.end()


async def _file_range(file: Path, start: int, end: int) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        source.seek(start)
        while start < end and (chunk := source.read(min(CHUNK_BYTES, end - start))):
            start += len(chunk)
            yield chunk


def _content_range(headers: Mapping[str, str], received: int) -> tuple[int | None, int | None]:
    """Where the bytes of a call belong (None: it brings none, it asks), and the total where it is known."""
    text = headers.get("content-range", "")
    if not text:
        return 0, 0  # the whole object in one call: complete when its body has ended
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if not match:
        raise errors.invalid(f"Invalid Content-Range: {text}")
    total = None if match[3] == "*" else int(match[3])
    if match[1] is None:
        return None, total
    if int(match[1]) > received:
        raise errors.invalid(f"Invalid request. The upload has {received} bytes; the next ones begin at {match[1]}.")
    return int(match[1]), total


async def _append(file: Path, first: int | None, chunks: AsyncIterator[bytes]) -> None:
    """Write bytes at their place. What arrived before a broken connection stays, so the sender can go on from there."""
    if first is None:
        return
    with file.open("r+b", buffering=0) as target:
        target.seek(first)
        async for chunk in chunks:
            target.write(chunk)
