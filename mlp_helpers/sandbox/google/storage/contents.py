"""The bytes of objects: one file per content, written once, shared by the objects that were copied from each other."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import struct
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from mlp_helpers.sandbox.google.storage.resources import Digest

CHUNK_BYTES = 256 * 1024


class Digester:
    """Size, CRC32C and MD5 of bytes as they pass."""

    def __init__(self) -> None:
        self.size = 0
        self._crc32c = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Take in more bytes."""
        self.size += len(chunk)
        self._crc32c = google_crc32c.extend(self._crc32c, chunk)
        self._md5.update(chunk)

    def digest(self) -> Digest:
        """The checksums as the API writes them."""
        crc32c = base64.b64encode(struct.pack(">I", self._crc32c)).decode()
        return Digest(self.size, crc32c, base64.b64encode(self._md5.digest()).decode())


class Contents:
    """A folder of files. A file that no object refers to is garbage, left by a kill, and goes at the next start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, content: str) -> Path:
        """The file of a content."""
        return self._folder / content[:2] / content

    def new(self) -> tuple[str, Path]:
        """A name for a content that is about to be written."""
        content = secrets.token_hex(12)
        path = self.path(content)
        path.parent.mkdir(exist_ok=True)
        return content, path

    async def write(self, chunks: AsyncIterator[bytes]) -> tuple[str, Digest]:
        """Keep the bytes that arrive; half-written ones are removed when the sender goes away."""
        content, path = self.new()
        digester = Digester()
        try:
            with path.open("wb", buffering=0) as file:
                async for chunk in chunks:
                    digester.update(chunk)
                    file.write(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return content, digester.digest()

    def adopt(self, file: Path) -> str:
        """Make a finished file (of a resumable upload) a content."""
        content, path = self.new()
        file.replace(path)
        return content

    def join(self, parts: Iterable[str]) -> tuple[str, Digest]:
        """One content from several, in order; without an MD5, as the service composes."""
        content, path = self.new()
        digester = Digester()
        with path.open("wb") as target:
            for part in parts:
                for chunk in read_chunks(self.path(part)):
                    digester.update(chunk)
                    target.write(chunk)
        digest = digester.digest()
        return content, Digest(digest.size, digest.crc32c, "")

    def remove(self, content: str) -> None:
        """Remove a content that nothing refers to any more."""
        self.path(content).unlink(missing_ok=True)

    def sweep(self, kept: set[str]) -> None:
        """Remove what a kill left: files that no object refers to."""
        for folder in self._folder.iterdir():
            for file in folder.iterdir():
                if file.name not in kept:
                    os.unlink(file)


def read_chunks(file: Path) -> Iterable[bytes]:
    """The bytes of a file, a chunk at a time."""
    with file.open("rb") as source:
        yield from _chunks(source)


def _chunks(source: BinaryIO) -> Iterable[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


def digest_of(file: Path) -> Digest:
    """Checksums of a whole file."""
    digester = Digester()
    for chunk in read_chunks(file):
        digester.update(chunk)
    return digester.digest()
