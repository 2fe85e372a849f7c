"""The way through the API server to pods: their logs by way of their node, and their ports by reverse proxy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from mlp_helpers.sandbox.kubernetes.errors import ApiError, bad_request, not_found
from mlp_helpers.sandbox.kubernetes.store import Store

__all__ = ["Proxy"]

Object = dict[str, Any]

PORTS_ANNOTATION = "sandbox.mlp/ports"
_LOG_OPTIONS = ("follow", "tailLines", "previous", "timestamps", "sinceSeconds", "sinceTime", "limitBytes")
_CHUNK = 64 * 1024
# Headers about one connection, not about the message; and the one that is a secret of this server's.
_NOT_FORWARDED = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"),
    *("upgrade", "host", "authorization", "content-length", "accept-encoding"),
}
_NOT_RETURNED = _NOT_FORWARDED - {"host", "authorization", "content-length", "accept-encoding"} | {"content-length"}


class Proxy:
    """Forwards requests to nodes and pods on this machine.

    Args:
        store: Where pods, nodes and services are.
        kubelet_token: File with the token that nodes expect.
    """

    def __init__(self, store: Store, *, kubelet_token: Path) -> None:
        self._store, self._kubelet_token = store, kubelet_token
        self._client: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End all forwarding."""
        if self._client is not None:
            await self._client.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            timeout = aiohttp.ClientTimeout(total=None, connect=10)
            self._client = aiohttp.ClientSession(
                timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._client

    # -- logs

    async def logs(self, request: web.Request, namespace: str, name: str) -> web.StreamResponse:
        """Answer pods/NAME/log from the pod's node.

        Raises:
            ApiError: No such pod, container or node, or the node refuses.
        """
        pod = self._pod(namespace, name)
        container = _container(pod, request.query.get("container", ""))
        node = pod["spec"].get("nodeName")
        if not node:
            return web.Response(status=204)
        options = {key: request.query[key] for key in _LOG_OPTIONS if key in request.query}
        path = f"/containerLogs/{namespace}/{name}/{container}"
        return await self._forward_to_node(request, node, path, options)

    async def node(self, request: web.Request, name: str, path: str) -> web.StreamResponse:
        """Answer nodes/NAME/proxy from the node itself.

        Raises:
            ApiError: No such node, or it refuses.
        """
        return await self._forward_to_node(request, name, path, request.query)

    async def _forward_to_node(
        self, request: web.Request, node: str, path: str, options: Mapping[str, str]
    ) -> web.StreamResponse:
        url = f"http://127.0.0.1:{self._kubelet_port(node)}{path}"
        headers = {"Authorization": f"Bearer {self._kubelet_token.read_text().strip()}"}
        try:
            async with self._session().get(url, params=dict(options), headers=headers) as answer:
                if answer.status >= 400:
                    raise _node_refused(answer.status, await answer.text())
                response = web.StreamResponse(headers={"Content-Type": answer.content_type})
                return await _copy(answer, request, response)
        except aiohttp.ClientConnectionError as error:
            raise _unreachable(f"Get {url!r}: {error}") from error

    def _kubelet_port(self, node: str) -> int:
        found = self._store.get("nodes", "", node)
        if found is None:
            raise not_found("pods", node)  # a real server's words; it means the node
        endpoint = (found.get("status") or {}).get("daemonEndpoints", {}).get("kubeletEndpoint", {})
        if not endpoint.get("Port"):
            raise _unreachable(f'node "{node}" has no kubelet endpoint')
        return int(endpoint["Port"])

    def require_node(self, namespace: str, name: str) -> None:
        """Refuse what needs the node of a pod that has none.

        Raises:
            ApiError: 404 of the pod or its node, 400 for a pod without one.
        """
        node = self._pod(namespace, name)["spec"].get("nodeName")
        if not node:
            raise bad_request(f"pod {name} does not have a host assigned")
        self._kubelet_port(node)

    def _pod(self, namespace: str, name: str) -> Object:
        pod = self._store.get("pods", namespace, name)
        if pod is None:
            raise not_found("pods", name)
        return pod

    # -- ports

    async def pod(self, request: web.Request, namespace: str, name: str, path: str) -> web.StreamResponse:
        """Forward to a port of a pod; `name` may be NAME, NAME:PORT or SCHEME:NAME:PORT.

        Raises:
            ApiError: No such pod or port, or nobody listens.
        """
        name, port = _name_and_port(name)
        pod = self._pod(namespace, name)
        return await self._forward(request, _real_port(pod, _container_port(pod, port)), path)

    async def service(self, request: web.Request, namespace: str, name: str, path: str) -> web.StreamResponse:
        """Forward to a port of one of a service's pods.

        Raises:
            ApiError: No such service or port, or no pod is ready.
        """
        name, port = _name_and_port(name)
        service = self._store.get("services", namespace, name)
        if service is None:
            raise not_found("services", name)
        chosen = _service_port(service, port)
        for pod in self._backends(service, namespace):
            target = chosen.get("targetPort") or chosen["port"]
            real = _real_port(pod, _container_port(pod, str(target)))
            return await self._forward(request, real, path)
        raise _unreachable(f'no endpoints available for service "{name}"')

    def _backends(self, service: Object, namespace: str) -> Iterable[Object]:
        """The ready pods of a service: those of its EndpointSlices, else those that its selector finds."""
        label = "kubernetes.io/service-name"
        name = service["metadata"]["name"]
        slices = [
            one
            for one in self._store.list("endpointslices.discovery.k8s.io", namespace)
            if (one["metadata"].get("labels") or {}).get(label) == name
        ]
        for endpoint in (one for part in slices for one in part.get("endpoints") or ()):
            reference = endpoint.get("targetRef") or {}
            ready = (endpoint.get("conditions") or {}).get("ready", True)
            pod = (
                self._store.get("pods", namespace, reference.get("name", ""))
                if reference.get("kind") == "Pod"
                else None
            )
            if ready and pod is not None:
                yield pod
        selector = service["spec"].get("selector")
        if slices or not selector:
            return
        for pod in self._store.list("pods", namespace):
            labels = pod["metadata"].get("labels") or {}
            running = (pod.get("status") or {}).get("phase") == "Running"
            if running and all(labels.get(key) == value for key, value in selector.items()):
                yield pod

    async def _forward(self, request: web.Request, port: int, path: str) -> web.StreamResponse:
        url = f"http://127.0.0.1:{port}{path}"
        if request.query_string:
            url += f"?{request.query_string}"
        headers = CIMultiDict(
            (key, value) for key, value in request.headers.items() if key.lower() not in _NOT_FORWARDED
        )
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._forward_websocket(request, url, headers)
            body = request.content.iter_chunked(_CHUNK) if request.body_exists else None
            async with self._session().request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                returned = CIMultiDict(
                    (key, value) for key, value in answer.headers.items() if key.lower() not in _NOT_RETURNED
                )
                response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=returned)
                if answer.content_length is not None and request.method != "HEAD":
                    response.content_length = answer.content_length
                return await _copy(answer, request, response)
        except aiohttp.ClientConnectionError as error:
            raise _unreachable(f"error trying to reach service: {error}") from error

    async def _forward_websocket(self, request: web.Request, url: str, headers: CIMultiDict[str]) -> web.StreamResponse:
        protocols = [one.strip() for one in headers.popall("Sec-WebSocket-Protocol", []) for one in one.split(",")]
        for key in [key for key in headers if key.lower().startswith("sec-websocket-")]:
            headers.popall(key, None)
        async with self._session().ws_connect(url, headers=headers, protocols=protocols, max_msg_size=0) as behind:
            chosen = [behind.protocol] if behind.protocol else []
            front = web.WebSocketResponse(protocols=chosen, max_msg_size=0)
            await front.prepare(request)
            pumps = [asyncio.ensure_future(_pump(front, behind)), asyncio.ensure_future(_pump(behind, front))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await behind.close()
                await front.close()
        return front


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pump(source: Socket, target: Socket) -> None:
    async for message in source:
        if message.type == aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type == aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)


async def _copy(
    answer: aiohttp.ClientResponse, request: web.Request, response: web.StreamResponse
) -> web.StreamResponse:
    """Pass an answer on as it comes."""
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _container(pod: Object, wanted: str) -> str:
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers = [one["name"] for one in spec.get("containers") or ()]
    known = [*containers, *(one["name"] for one in spec.get("initContainers") or ())]
    if wanted:
        if wanted not in known:
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if len(containers) == 1 or default in containers:
        return str(default if default in containers else containers[0])
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]")


def _name_and_port(text: str) -> tuple[str, str]:
    parts = text.split(":")
    if len(parts) == 3:
        return parts[1], parts[2]
    return (parts[0], parts[1]) if len(parts) == 2 else (text, "")


def _container_port(pod: Object, wanted: str) -> int | None:
    """The number of a container port by number or name; without one, the pod's first."""
    ports = [port for one in pod["spec"].get("containers") or () for port in one.get("ports") or ()]
    if wanted.isdigit():
        return int(wanted)
    found = next((port for port in ports if not wanted or port.get("name") == wanted), None)
    return int(found["containerPort"]) if found else None


def _real_port(pod: Object, port: int | None) -> int:
    """The port on this machine behind a container port, as the node says."""
    text = (pod["metadata"].get("annotations") or {}).get(PORTS_ANNOTATION, "{}")
    real = json.loads(text).get(str(port))
    if real is None:
        name = pod["metadata"]["name"]
        raise _unreachable(f'error trying to reach service: pod "{name}" does not listen on port {port}')
    return int(real)


def _service_port(service: Object, wanted: str) -> Object:
    ports: list[Object] = list(service["spec"].get("ports") or ())
    for port in ports:
        if wanted in ("", port.get("name"), str(port["port"])):
            return port
    name = service["metadata"]["name"]
    raise _unreachable(f'no service port "{wanted}" found for service "{name}"')


def _unreachable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)


def _node_refused(status: int, text: str) -> ApiError:
    reason = {400: "BadRequest", 404: "NotFound", 403: "Forbidden"}.get(status, "InternalError")
    return ApiError(status, reason, text.strip() or f"the node answered with {status}")
