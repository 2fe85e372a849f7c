"""How many calls of an hour are used up, by account."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

HOUR = 3600
ANONYMOUS = 60


class Rates:
    """The primary rate limit: so many calls in an hour from the first one on.

    Args:
        limit: Calls an hour for an account with a token.
        clock: Seconds since 1970.
    """

    def __init__(self, limit: int = 5000, clock: Callable[[], float] = time.time) -> None:
        self._limit, self._clock = limit, clock
        self._lock = threading.Lock()
        self._hours: dict[str, tuple[float, int]] = {}

    def count(self, login: str, calls: int = 1) -> dict[str, int]:
        """Add calls to an account's hour and return the state of it; 0 only looks, -1 gives one back."""
        limit = self._limit if login else ANONYMOUS
        with self._lock:
            start, used = self._hours.get(login, (self._clock(), 0))
            if self._clock() >= start + HOUR:
                start, used = self._clock(), 0
            used += calls
            self._hours[login] = (start, used)
        shown = min(used, limit)
        return {"limit": limit, "used": shown, "remaining": limit - shown, "reset": int(start) + HOUR}

    def is_exhausted(self, login: str) -> bool:
        """Whether no call is left."""
        return self.count(login, 0)["remaining"] == 0
