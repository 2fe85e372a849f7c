"""Containers that are no processes: functions of this package, with a log and an exit code like any other."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from mlp_helpers.sandbox.node.logs import LogWriter
from mlp_helpers.sandbox.node.processes import Exit
from mlp_helpers.sandbox.tasks import end_tasks


class _LogHandler(logging.Handler):
    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:
            self.handleError(record)


class InlineContainer:
    """One run of a function in the place of a container.

    Args:
        folder: The folder of this run, as for a process.
        run: The function; it gets the container's log.
    """

    def __init__(self, folder: Path, run: Callable[[logging.Logger], Awaitable[None]]) -> None:
        self.folder, self.started_at = folder, datetime.now(UTC)
        folder.mkdir(parents=True, exist_ok=True)
        self._task = asyncio.ensure_future(self._run(run))

    async def _run(self, run: Callable[[logging.Logger], Awaitable[None]]) -> Exit:
        writer = LogWriter(self.folder / "log")
        handler = _LogHandler(writer)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        log = logging.Logger("container", logging.INFO)  # its own: the daemon's log is not the container's
        log.addHandler(handler)
        code = 0
        try:
            await run(log)
        except asyncio.CancelledError:
            log.info("stopped")
        except Exception:
            log.exception("ended by an error")
            code = 1
        finally:
            writer.close()
        ended = Exit(code, datetime.now(UTC))
        write_exit(self.folder, ended)
        return ended

    async def wait(self) -> Exit:
        """Wait for the end. (Whoever waits may give up without ending the container.)"""
        return await asyncio.shield(self._task)

    async def stop(self) -> Exit:
        """Cancel it."""
        await end_tasks([self._task])
        return self._task.result()


def write_exit(folder: Path, ended: Exit) -> None:
    """Write down how a container ended, as the shim does."""
    record = {"exitCode": ended.code, "finishedAt": ended.finished_at.isoformat(), "reason": ended.reason}
    part = folder / "exit.json.part"
    part.write_text(json.dumps(record))
    os.replace(part, folder / "exit.json")
