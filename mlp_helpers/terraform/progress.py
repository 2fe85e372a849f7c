"""Terraform's event stream as progress that a person can read: what is worked on, for how long, what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mlp_helpers.waiting import Watcher

_DOING = {"create": "creating", "update": "changing", "delete": "deleting", "read": "reading"}


class Progress:
    """Hears the events of one command and tells a watcher."""

    def __init__(
        self, watcher: Watcher | None, *, total: int | None = None, clock: Callable[[], float] = time.monotonic
    ):
        self.watcher, self._clock = watcher, clock
        self.total, self.done, self.seen = total, 0, 0
        self._active: dict[str, tuple[str, float]] = {}  # address -> what is done, since when

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event of `-json` output."""
        kind = str(event.get("type", ""))
        address = str(((event.get("hook") or {}).get("resource") or {}).get("addr", ""))
        if kind == "apply_start":
            doing = _DOING.get(event["hook"].get("action", ""), "working on")
            self._active[address] = (doing, self._clock())
        elif kind in ("apply_complete", "apply_errored"):
            self._active.pop(address, None)
            self.done += kind == "apply_complete"
        elif kind == "refresh_complete":
            self.seen += 1
            self._say(f"reading what exists: {self.seen} so far, last {address}")
            return
        elif kind == "init_output":
            self._say(str(event.get("@message", "")).splitlines()[0].rstrip(".:"))
            return
        elif kind != "apply_progress":
            return
        self._say(self._describe())

    def say(self, reason: str) -> None:
        """Tell the watcher something that no event says."""
        self._say(reason)

    def _describe(self) -> str:
        left = f"{max(self.total - self.done, 0)} left" if self.total is not None else ""
        if not self._active:
            return left
        address, (doing, since) = min(self._active.items(), key=lambda item: item[1][1])
        others = f"and {len(self._active) - 1} more at once" if len(self._active) > 1 else ""
        return ", ".join(filter(None, [f"{doing} {address} for {_span(self._clock() - since)}", others, left]))

    def _say(self, reason: str) -> None:
        if self.watcher is not None:
            counted = self.total is not None
            self.watcher.update(reason, done=self.done if counted else None, total=self.total)


def _span(seconds: float) -> str:
    return f"{int(seconds) // 60} min {int(seconds) % 60} s" if seconds >= 60 else f"{int(seconds)} s"
