"""Stands between the kubelet and a container: writes down its pid, its output and its exit code.

Run as a script, in a session of its own: `python -I -S shim.py FOLDER ARGV...`. It outlives the kubelet, so that a
container's end is known even if nobody was there to see it. Only the standard library, and little of it.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import BinaryIO

LONGEST_LINE = 16 * 1024  # longer ones are cut into parts, as container runtimes do
NOT_FOUND, NOT_EXECUTABLE = 127, 126


def now() -> str:
    """RFC 3339 with nine digits, as container runtimes write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def write(folder: str, name: str, content: dict[str, object]) -> None:
    """Write a record whole or not at all."""
    path = os.path.join(folder, name)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(path + ".part", path)


class Log:
    """The container's log in the format of the container runtime interface: time, stream, full or part, text."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - lives as long as the process
        self._rest = {"stdout": b"", "stderr": b""}

    def feed(self, stream: str, data: bytes) -> None:
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        for line in lines:
            self._write(stream, b"F", line)
        while len(rest) > LONGEST_LINE:
            self._write(stream, b"P", rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest[stream] = rest

    def close(self) -> None:
        for stream, rest in self._rest.items():
            if rest:
                self._write(stream, b"F", rest)

    def _write(self, stream: str, tag: bytes, line: bytes) -> None:
        self._file.write(b" ".join((now().encode(), stream.encode(), tag, line)) + b"\n")


def copy_until_exit(child: "subprocess.Popen[bytes]", log: Log) -> None:
    """Copy output until the child has ended; then only what is in the pipes already.

    A grandchild may hold the pipes open for ever, so their end is not waited for.
    """
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(woken, selectors.EVENT_READ, "")
    for stream, pipe in (("stdout", child.stdout), ("stderr", child.stderr)):
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
        selector.register(pipe, selectors.EVENT_READ, stream)
    while child.poll() is None:
        pump(selector, log, None)
    while pump(selector, log, 0):
        continue


def pump(selector: selectors.BaseSelector, log: Log, timeout: float | None) -> bool:
    """Take what is there; whether it was anything."""
    got = False
    for key, _ in selector.select(timeout):
        pipe: BinaryIO | int = key.fileobj  # type: ignore[assignment]
        data = os.read(key.fd, 65536)
        if not key.data:
            continue
        if data:
            log.feed(key.data, data)
            got = True
        else:
            selector.unregister(pipe)
    return got


def main(folder: str, argv: list[str]) -> int:
    """Run a container to its end."""
    log = Log(os.path.join(folder, "log"))
    started = now()
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        log.feed("stderr", f"{argv[0]}: {error.strerror}\n".encode())
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        write(folder, "exit.json", {"exitCode": code, "finishedAt": now(), "error": error.strerror or str(error)})
        return code
    write(folder, "process.json", {"shim": os.getpid(), "pid": child.pid, "startedAt": started, "time": time.time()})
    copy_until_exit(child, log)
    log.close()
    code = child.returncode
    code = 128 - code if code < 0 else code
    write(folder, "exit.json", {"exitCode": code, "finishedAt": now()})
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
