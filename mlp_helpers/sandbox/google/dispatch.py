"""From a call to its reply: the service by the path's prefix, the route, admission, refusals in the service's shape."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mlp_helpers.sandbox.google.admission import Admission
from mlp_helpers.sandbox.google.calls import Call, Reply, Route, Service, json_reply
from mlp_helpers.sandbox.google.errors import GoogleError, not_emulated, platform_body

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mount:
    """Where a service's routes are found.

    Args:
        prefix: First part of the path, such as `/gkehub`.
        service: What answers there.
        routes: Its routes.
        keeps_prefix: The prefix belongs to the real API's path (Cloud Storage's `/upload/…`).
        needs_token: False for the ways to get a token.
    """

    prefix: str
    service: Service
    routes: Sequence[Route]
    keeps_prefix: bool = False
    needs_token: bool = True

    def local_path(self, path: str) -> str | None:
        """The path as the routes know it, or None if the service is not meant."""
        if path != self.prefix and not path.startswith(f"{self.prefix}/"):
            return None
        return path if self.keeps_prefix else path[len(self.prefix) :]


class Dispatcher:
    """Answers calls."""

    def __init__(self, admission: Admission, mounts: Sequence[Mount], *, resolve_pod: Callable[[Call], Call]) -> None:
        self._admission, self._mounts, self._resolve_pod = admission, mounts, resolve_pod

    async def answer(self, call: Call) -> Reply:
        """The reply to a call; every refusal is a reply as well."""
        try:
            call = self._resolve_pod(call)
        except GoogleError as error:
            return json_reply(platform_body(error), error.code)
        found = self._find(call)
        if found is None:
            refusal = not_emulated(call.method, call.full_path)
            return json_reply(platform_body(refusal), refusal.code)
        return await self._answer_at(*found)

    def _find(self, call: Call) -> tuple[Mount, Call] | None:
        """The mount that has a route for a call, else the first with its prefix; the one without a prefix is last."""
        candidates = [(mount, path) for mount in self._mounts if (path := mount.local_path(call.path)) is not None]
        specific = [(mount, path) for mount, path in candidates if mount.prefix] or candidates
        for mount, path in specific:
            if any(route.values(call.method, path) is not None for route in mount.routes):
                return mount, replace(call, path=path)
        return (specific[0][0], replace(call, path=specific[0][1])) if specific else None

    async def _answer_at(self, mount: Mount, call: Call) -> Reply:
        try:
            if mount.needs_token:
                call.identity = self._admission.identify(call.headers)
            return await self._run(mount, call)
        except GoogleError as error:
            return mount.service.error_reply(call, error)
        except Exception:  # a bug of the sandbox is a reply too: a client that waits for one would hang
            _log.exception("%s %s", call.method, call.full_path)
            return mount.service.error_reply(call, _bug(call))

    async def _run(self, mount: Mount, call: Call) -> Reply:
        for route in mount.routes:
            values = route.values(call.method, call.path)
            if values is not None:
                await mount.service.admit(call, route, values)
                reply = await route.handler(call, **values)
                return reply if isinstance(reply, Reply) else json_reply(reply)
        raise not_emulated(call.method, call.full_path)


def _bug(call: Call) -> GoogleError:
    sentence = f"The sandbox failed to answer {call.method} {call.full_path}; its log has the reason."
    return GoogleError("INTERNAL", sentence)
