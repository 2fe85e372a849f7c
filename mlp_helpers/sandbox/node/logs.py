"""Read containers' logs: lines with a time, a stream and a text, as the shim writes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_LOOK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class LogOptions:
    """What a client wants of a log, as in the API's PodLogOptions."""

    follow: bool = False
    tail_lines: int | None = None
    timestamps: bool = False
    since: datetime | None = None
    limit_bytes: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str], now: datetime) -> LogOptions:
        """From a query string.

        Raises:
            ValueError: A value is not what it should be.
        """
        since = datetime.fromisoformat(query["sinceTime"]) if query.get("sinceTime") else None
        if query.get("sinceSeconds"):
            since = now - timedelta(seconds=int(query["sinceSeconds"]))
        return cls(
            follow=query.get("follow") in ("true", "1"),
            tail_lines=int(query["tailLines"]) if query.get("tailLines") else None,
            timestamps=query.get("timestamps") in ("true", "1"),
            since=since,
            limit_bytes=int(query["limitBytes"]) if query.get("limitBytes") else None,
        )


class LogWriter:
    """Writes a log from inside this process, for containers that are not processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, text: str) -> None:
        """Append lines."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
        for line in text.rstrip("\n").split("\n"):
            self._file.write(f"{now} stderr F {line}\n".encode())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def shown(line: bytes, options: LogOptions) -> bytes | None:
    """A line as the client sees it; None if it is too old."""
    time, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, text = rest.partition(b" ")
    if options.since is not None and datetime.fromisoformat(time.decode()) < options.since:
        return None
    end = b"" if tag == b"P" else b"\n"
    return (time + b" " + text if options.timestamps else text) + end


def select(lines: Iterable[bytes], options: LogOptions) -> list[bytes]:
    """The lines that a client gets of what is there."""
    seen = (text for line in lines if (text := shown(line, options)) is not None)
    return list(deque(seen, options.tail_lines)) if options.tail_lines is not None else list(seen)


async def read_log(path: Path, options: LogOptions, is_over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """A log, and with `follow` what comes until the container has ended."""
    left = options.limit_bytes
    async for text in _read(path, options, is_over):
        if left is None:
            yield text
        elif left > 0:
            yield text[:left]
            left -= len(text)
        else:
            return


async def _read(path: Path, options: LogOptions, is_over: Callable[[], bool]) -> AsyncIterator[bytes]:
    rest = b""
    while not path.exists():  # the container is starting
        if not options.follow or is_over():
            return
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    with path.open("rb") as file:
        *lines, rest = file.read().split(b"\n")
        for text in select(lines, options):
            yield text
        while options.follow:
            over = is_over()  # asked before reading: what was written before the end is read
            *lines, rest = (rest + file.read()).split(b"\n")
            for line in lines:
                if (text_or_none := shown(line, options)) is not None:
                    yield text_or_none
            if over:
                return
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
