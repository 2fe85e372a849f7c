"""The server: REST under /api/v3, Git under /OWNER/NAME.git, on one port of this machine."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from mlp_helpers.sandbox.github.calls import API, Call, Reply, Route
from mlp_helpers.sandbox.github.errors import (
    GitHubError,
    bad_credentials,
    not_emulated,
    rate_limited,
    requires_authentication,
)
from mlp_helpers.sandbox.github.git_http import GitHttp
from mlp_helpers.sandbox.github.rates import Rates
from mlp_helpers.sandbox.github.routes import ROUTES
from mlp_helpers.sandbox.github.store import Account, Store

LARGEST_BODY = 100 * 1024 * 1024
ORGANIZATIONS: Mapping[str, Sequence[str]] = {"mlp-sandbox-org": ("mlp-sandbox",)}

logger = logging.getLogger(__name__)


class GitHubServer:
    """GitHub on this machine.

    Args:
        home: Directory of the sandbox; everything goes under its `github`.
        tokens: The account behind a token, or None.
        port: Port to listen on; 0 takes a free one.
        organizations: Logins of the members (all of them owners) by organisation.
        plans: Plan (`free`, `pro`, `team`) by login of a user or organisation; `free` has no protection of private
            repositories, as on GitHub. What is not named has `team`.
        calls_per_hour: The rate limit of an account.
    """

    def __init__(
        self,
        home: Path,
        *,
        tokens: Callable[[str], Account | None],
        port: int = 0,
        organizations: Mapping[str, Sequence[str]] = ORGANIZATIONS,
        plans: Mapping[str, str] | None = None,
        calls_per_hour: int = 5000,
    ) -> None:
        self._folder = home / "github"
        self._tokens, self._port = tokens, port
        self._organizations, self._plans = organizations, plans
        self._rates = Rates(calls_per_hour)
        self.url = ""

    async def start(self) -> None:
        """Mend what a kill left behind, then listen.

        Raises:
            SandboxError: git is missing or too old.
        """
        self._store = Store(self._folder, organizations=self._organizations, plans=self._plans)
        await asyncio.to_thread(self._store.recover)
        self._git = GitHttp(self._folder, self._store, self._authenticate)
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="github")
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Stop listening; what is stored stays."""
        await self._runner.cleanup()
        self._threads.shutdown()
        self._store.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        parts = urlsplit(request.raw_path)
        if parts.path == API or parts.path.startswith(f"{API}/"):
            return await self._handle_rest(request, parts.path.removeprefix(API).rstrip("/"), parts.query)
        answer = await self._git.handle(request)
        if answer is not None:
            return answer
        return web.Response(
            status=404,
            text=f"The sandbox's GitHub has no web pages. REST: {self.url}{API}  Git: {self.url}/OWNER/NAME.git",
        )

    async def _handle_rest(self, request: web.Request, path: str, query: str) -> web.StreamResponse:
        call = Call(
            store=self._store,
            method="GET" if request.method == "HEAD" else request.method,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            content=await request.read(),
            site=f"{request.scheme}://{request.host}",
        )
        loop = asyncio.get_running_loop()
        reply = await loop.run_in_executor(self._threads, self._answer, call)
        if isinstance(reply.value, bytes):
            body, kind = reply.value, reply.headers.get("Content-Type", "application/octet-stream")
        else:
            body = b"" if reply.status in (204, 304) else json.dumps(reply.value).encode()
            kind = "application/json; charset=utf-8"
        return web.Response(body=body, status=reply.status, headers={**reply.headers, "Content-Type": kind})

    def _answer(self, call: Call) -> Reply:
        """Decide about one call; everything here may block."""
        route, values = _find_route(call)
        try:
            call.account = self._authenticate(call.headers.get("authorization", ""))
            login = call.account.login if call.account else ""
            if call.path != "/rate_limit" and self._rates.is_exhausted(login):
                raise rate_limited(login)
            call.rate = self._rates.count(login, int(call.path != "/rate_limit"))
            if route is None:
                raise not_emulated(f"{call.method} {API}{call.path}") if call.account else requires_authentication()
            found = route.handler(call, **values)
            reply = self._tagged(call, found if isinstance(found, Reply) else Reply(found))
        except GitHubError as error:
            reply = Reply(error.body(), error.status)
        except Exception:
            logger.exception("GitHub: %s %s", call.method, call.path)
            reply = Reply({"message": "Server Error", "status": "500"}, 500)
        return Reply(reply.value, reply.status, {**reply.headers, **self._headers(call, route)})

    def _tagged(self, call: Call, reply: Reply) -> Reply:
        """Give an answer its ETag; one that the client has already is not sent again and costs no call."""
        if call.method != "GET" or reply.status != 200:
            return reply
        content = reply.value if isinstance(reply.value, bytes) else json.dumps(reply.value).encode()
        tag = f'W/"{hashlib.sha256(content).hexdigest()}"'
        headers = {**reply.headers, "ETag": tag, "Cache-Control": "private, max-age=60, s-maxage=60"}
        known = [each.strip() for each in call.headers.get("if-none-match", "").split(",")]
        if tag in known or tag.removeprefix("W/") in known:
            call.rate = self._rates.count(call.account.login if call.account else "", -1)
            return Reply(None, 304, headers)
        return Reply(reply.value, 200, headers)

    def _headers(self, call: Call, route: Route | None) -> dict[str, str]:
        rate = call.rate or self._rates.count(call.account.login if call.account else "", 0)
        headers = {
            "X-GitHub-Request-Id": uuid.uuid4().hex[:20].upper(),
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": "2022-11-28",
            "X-RateLimit-Limit": str(rate["limit"]),
            "X-RateLimit-Remaining": str(rate["remaining"]),
            "X-RateLimit-Used": str(rate["used"]),
            "X-RateLimit-Reset": str(rate["reset"]),
            "X-RateLimit-Resource": "core",
        }
        if call.account and not call.account.is_fine_grained:
            headers["X-OAuth-Scopes"] = ", ".join(call.account.scopes)
            headers["X-Accepted-OAuth-Scopes"] = ", ".join(route.scopes if route else ())
        return headers

    def _authenticate(self, header: str) -> Account | None:
        """The caller by a header: a bearer token, or one as the password of basic authentication."""
        if not header:
            return None
        kind, _, value = header.partition(" ")
        token = value.strip()
        if kind.lower() == "basic":
            try:
                token = base64.b64decode(token).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                raise bad_credentials() from None
        account = self._tokens(token)
        if account is None:
            raise bad_credentials()
        self._store.account_id(account.login)
        return account


def _find_route(call: Call) -> tuple[Route | None, dict[str, str]]:
    for route in ROUTES:
        values = route.values(call.method, call.path)
        if values is not None:
            return route, values
    return None, {}
