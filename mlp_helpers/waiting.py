"""The one way to poll: a deadline, a growing pause, a reason to show, and a clean interruption."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mlp_helpers.errors import MlpError, WaitTimeoutError

T = TypeVar("T")


@dataclass(frozen=True)
class Waiting:
    """What a probe returns while the thing it looks at is not ready: why, in the service's own words."""

    reason: str
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class Ready(Generic[T]):
    """What a probe returns when the wait is over."""

    value: T


class Watcher(Protocol):
    """Someone who is told how a wait goes (`display.Progress` is one)."""

    def update(self, reason: str, *, done: int | None = None, total: int | None = None) -> None: ...


class Interrupted(KeyboardInterrupt):
    """A person stopped a wait. IPython shows the sentence and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def wait_for(
    probe: Callable[[], Ready[T] | Waiting],
    what: str,
    *,
    timeout_seconds: float,
    first_pause_seconds: float = 0.1,
    longest_pause_seconds: float = 2.0,
    passing: tuple[type[Exception], ...] = (),
    watcher: Watcher | None = None,
    fix: str = "",
) -> T:
    """Ask again and again until the probe is ready.

    Args:
        probe: Looks once, quickly; returns `Ready` or `Waiting` with the reason.
        what: What is waited for, as it ends the sentence "Waited … for".
        timeout_seconds: Upper bound on the whole wait.
        first_pause_seconds: Pause after the first look; it grows by half each time.
        longest_pause_seconds: Upper bound on one pause.
        passing: Exceptions that are known to pass (a service that is still starting); their text becomes the reason.
        watcher: Told the reason after each look.
        fix: What a person can do if the deadline passes.

    Returns:
        The value of the `Ready`.

    Raises:
        WaitTimeoutError: The deadline passed; carries the last reason.
        Interrupted: The person interrupted the wait; nothing was undone.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = first_pause_seconds
    try:
        while True:
            try:
                seen = probe()
            except passing as error:
                seen = Waiting(error.what if isinstance(error, MlpError) else str(error) or type(error).__name__)
            if isinstance(seen, Ready):
                return seen.value
            if watcher is not None:
                watcher.update(seen.reason, done=seen.done, total=seen.total)
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeoutError(
                    f"Waited {timeout_seconds:.0f} s for {what}.", why=f"Last seen: {seen.reason}", fix=fix
                )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, longest_pause_seconds)
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(
            f"You stopped the wait for {what}. Nothing was undone; run the step again to go on."
        ) from None
