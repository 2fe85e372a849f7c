"""Probes: is a container started, ready, alive?"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from mlp_helpers.sandbox.node.request import Request

_WGET_URL = re.compile(r"https?://(?:localhost|127\.0\.0\.1):(?P<port>\d+)(?P<path>/[^\s'\"|&;)]*)?")

Outcome = tuple[bool, str]
"""Whether a probe succeeded, and what it saw."""


async def check(probe: Mapping[str, Any], request: Request) -> Outcome:
    """Probe once, within the probe's timeout."""
    seconds = float(probe.get("timeoutSeconds") or 1)
    try:
        async with asyncio.timeout(seconds):
            if "httpGet" in probe:
                return await _http_get(probe["httpGet"], request)
            if "exec" in probe:
                return await _execute(list(probe["exec"].get("command") or ()), request)
            for field in ("tcpSocket", "grpc"):
                if field in probe:
                    return await _connect(_port(probe[field]["port"], request))
    except TimeoutError:
        return False, f"context deadline exceeded: timeout of {seconds:g}s"
    except aiohttp.ClientConnectorError as error:
        return False, f"dial tcp {error.host}:{error.port}: connect: connection refused"
    except (OSError, aiohttp.ClientError) as error:
        return False, str(error)
    return False, "the probe has no handler"


def _port(port: int | str, request: Request) -> int:
    """The real port of a probe's port, which may be the name of a container port."""
    if isinstance(port, str) and not port.isdigit():
        named = {entry.get("name"): entry["containerPort"] for entry in request.container.get("ports") or ()}
        port = named.get(port, 0)
    return request.ports.get(int(port), int(port))


async def _http_get(action: Mapping[str, Any], request: Request) -> Outcome:
    scheme = str(action.get("scheme") or "HTTP").lower()
    url = f"{scheme}://127.0.0.1:{_port(action['port'], request)}/{str(action.get('path') or '/').lstrip('/')}"
    headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or ()}
    status, _ = await _fetch(url, headers)
    return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"


async def _fetch(url: str, headers: Mapping[str, str]) -> tuple[int, str]:
    insecure = ssl.create_default_context()
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE  # as the kubelet's probes do
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=insecure) as response:
        return response.status, await response.text(errors="replace")


async def _connect(port: int) -> Outcome:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return True, ""


async def _execute(command: list[str], request: Request) -> Outcome:
    text = " ".join(command)
    if "wget" in text and (urls := list(_WGET_URL.finditer(text))):
        return await _fetch_all(urls, request, wanted="success" if "grep success" in text else "")
    argv = await request.all_made_real(command)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(request.environment),
            cwd=request.work,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return False, f"command {text!r} could not be started: {error.strerror}"
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return process.returncode == 0, output.decode(errors="replace").strip()


async def _fetch_all(urls: list[re.Match[str]], request: Request, *, wanted: str) -> Outcome:
    """KubeRay's probes are shell lines around wget, which is not on every machine: ask the same URLs."""
    token = request.environment.get("RAY_AUTH_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for url in urls:
        port = request.ports.get(int(url["port"]), int(url["port"]))
        status, body = await _fetch(f"http://127.0.0.1:{port}{url['path'] or '/'}", headers)
        if status != 200 or wanted not in body:
            return False, f"{url[0]}: {status} {body[:200]}"
    return True, ""


async def follow(
    kind: str, probe: Mapping[str, Any], request: Request, tell: Callable[[bool, str], Awaitable[bool]]
) -> None:
    """Probe again and again; tell each time the verdict changes or stays bad.

    Args:
        kind: `Readiness`, `Liveness` or `Startup`, for the words of events.
        probe: The probe.
        request: The container.
        tell: Told the verdict after the thresholds and the words of a failure; False ends the probing.
    """
    period = float(probe.get("periodSeconds") or 10)
    good, bad = int(probe.get("successThreshold") or 1), int(probe.get("failureThreshold") or 3)
    successes = failures = 0
    await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
    while True:
        succeeded, words = await check(probe, request)
        successes, failures = (successes + 1, 0) if succeeded else (0, failures + 1)
        if succeeded and successes == good and not await tell(True, ""):
            return
        if failures >= bad and not await tell(False, f"{kind} probe failed: {words}"):
            return
        await asyncio.sleep(period)
