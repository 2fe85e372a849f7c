"""The kubelet's HTTP endpoint, which the API server asks for logs."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from mlp_helpers.sandbox.node.logs import LogOptions, read_log

FindLog = Callable[[str, str, str, bool], tuple[Path, Callable[[], bool]]]
"""Namespace, pod, container, previous: the log's file, and whether the container has ended. LookupError explains."""


class KubeletEndpoint:
    """Serves on a free port of 127.0.0.1, for holders of the kubelet token only.

    Args:
        token: Reads the token; it may not exist before the API server's first start.
        find_log: Where a container's log is.
    """

    def __init__(self, token: Callable[[], str], find_log: FindLog) -> None:
        self._token, self._find_log = token, find_log
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listen; on the given port if it is free."""
        app = web.Application(middlewares=[self._authorize])
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _authorize(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        token = self._token()
        if not token or not hmac.compare_digest(given.encode(), token.encode()):
            return web.Response(status=401, text="Unauthorized")
        return await handler(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        part, query = request.match_info, request.query
        previous = query.get("previous") in ("true", "1")
        try:
            options = LogOptions.of(query, datetime.now(UTC))
            path, is_over = self._find_log(part["namespace"], part["pod"], part["container"], previous)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        except LookupError as error:
            return web.Response(status=404, text=str(error.args[0]))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for text in read_log(path, options, is_over):
            await response.write(text)
        await response.write_eof()
        return response
