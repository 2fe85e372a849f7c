"""The server as a whole: what survives, what a page or a watch promises, and the way through it to pods."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mlp_helpers.sandbox.kubernetes.server import ApiServer

MERGE = "application/merge-patch+json"


class Session:
    """A client of one server."""

    def __init__(self, server: ApiServer, token: str = "") -> None:
        context = ssl.create_default_context(cafile=str(server.ca_certificate))
        headers = {"Authorization": f"Bearer {token or server.issue_token('admin', ['system:masters'])}"}
        self.url = server.url
        self.client = aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=context))

    async def call(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body)
        async with self.client.request(
            method, self.url + path, data=data, headers={"Content-Type": content_type}
        ) as answer:
            return await answer.json(content_type=None)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    made = ApiServer(tmp_path / "c", disabled_admission=["ServiceAccount"])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def session(server: ApiServer) -> AsyncIterator[Session]:
    made = Session(server)
    yield made
    await made.client.close()


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


async def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    first = ApiServer(tmp_path / "c")
    await first.start()
    token = first.issue_token("admin", ["system:masters"])
    session = Session(first, token)
    made = await session.call("POST", CONFIG_MAPS, config_map("a", k="v"))
    await session.client.close()
    await first.stop()
    second = ApiServer(tmp_path / "c")
    await second.start()
    assert second.issue_token("admin", ["system:masters"]) == token
    session = Session(second, token)
    assert await session.call("GET", f"{CONFIG_MAPS}/a") == made
    later = await session.call("POST", CONFIG_MAPS, config_map("b"))
    assert int(later["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    await session.client.close()
    await second.stop()


async def test_several_servers_in_one_process_know_nothing_of_each_other(tmp_path: Path) -> None:
    servers = [ApiServer(tmp_path / name) for name in ("a", "b")]
    for one in servers:
        await one.start()
    sessions = [Session(one) for one in servers]
    await sessions[0].call("POST", CONFIG_MAPS, config_map("only"))
    assert (await sessions[1].call("GET", f"{CONFIG_MAPS}/only"))["code"] == 404
    token = servers[0].issue_token("admin", ["system:masters"])
    stranger = Session(servers[1], token)
    assert (await stranger.call("GET", CONFIG_MAPS))["code"] == 401
    for session in (*sessions, stranger):
        await session.client.close()
    for one in servers:
        await one.stop()


async def test_a_server_is_ready_quickly(tmp_path: Path) -> None:
    start = time.perf_counter()
    server = ApiServer(tmp_path / "c")
    await server.start()
    seconds = time.perf_counter() - start
    await server.stop()
    assert seconds < 0.6


async def test_a_list_can_be_read_in_pages(session: Session) -> None:
    for name in "abcde":
        await session.call("POST", CONFIG_MAPS, config_map(name))
    names, token = [], ""
    while True:
        page = await session.call("GET", f"{CONFIG_MAPS}?limit=2&continue={token}")
        names += [one["metadata"]["name"] for one in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert names == list("abcde")


async def test_a_watch_resumes_without_losing_anything(session: Session) -> None:
    version = (await session.call("GET", CONFIG_MAPS))["metadata"]["resourceVersion"]
    await session.call("POST", CONFIG_MAPS, config_map("a"))
    await session.call("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": "v"}}, content_type=MERGE)
    await session.call("DELETE", f"{CONFIG_MAPS}/a")
    path = f"{session.url}{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion={version}"
    async with session.client.get(path) as answer:
        events = [json.loads(line)["type"] async for line in answer.content]
    assert events == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_bound_service_account_token_ends_with_its_pod_and_its_time(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    server = ApiServer(tmp_path / "c", clock=lambda: now)
    await server.start()
    session = Session(server)
    await session.call("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "ray"}})
    body = {"spec": {"expirationSeconds": 600}}
    token = (await session.call("POST", "/api/v1/namespaces/default/serviceaccounts/ray/token", body))["status"][
        "token"
    ]
    account = Session(server, token)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    who = (await account.call("POST", path, review))["status"]["userInfo"]
    assert who["username"] == "system:serviceaccount:default:ray"
    assert "system:serviceaccounts:default" in who["groups"]
    now += timedelta(seconds=601)
    assert (await account.call("POST", path, review))["code"] == 401
    for one in (session, account):
        await one.client.close()
    await server.stop()


async def test_a_namespace_goes_when_it_is_finalized(session: Session) -> None:
    await session.call("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    deleted = await session.call("DELETE", "/api/v1/namespaces/n")
    assert deleted["status"]["phase"] == "Terminating"
    refused = await session.call("POST", "/api/v1/namespaces/n/configmaps", config_map("a"))
    assert "because it is being terminated" in refused["message"]
    await session.call("PUT", "/api/v1/namespaces/n/finalize", {**deleted, "spec": {"finalizers": []}})
    assert (await session.call("GET", "/api/v1/namespaces/n"))["code"] == 404


async def test_a_pod_on_a_node_waits_for_its_node_to_end_it(session: Session) -> None:
    await session.call("POST", PODS, pod("p", {}, {"nodeName": "n1"}))
    marked = await session.call("DELETE", f"{PODS}/p")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert (await session.call("GET", f"{PODS}/p"))["metadata"]["deletionTimestamp"]
    await session.call("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
    assert (await session.call("GET", f"{PODS}/p"))["code"] == 404


async def test_events_are_the_same_objects_in_both_groups(session: Session) -> None:
    event = {
        "metadata": {"name": "e"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "note": "hello",
        "reason": "Tested",
        "type": "Normal",
        "action": "Test",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "test",
        "reportingInstance": "test-1",
    }
    made = await session.call("POST", "/apis/events.k8s.io/v1/namespaces/default/events", event)
    assert made["note"] == "hello"
    seen = await session.call("GET", "/api/v1/namespaces/default/events/e")
    assert (seen["message"], seen["involvedObject"]["name"]) == ("hello", "p")


# -- the way to pods


def pod(name: str, annotations: dict[str, str], spec: dict[str, Any] | None = None) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox", "ports": [{"name": "http", "containerPort": 8080}]}
    metadata = {"name": name, "labels": {"app": name}, "annotations": annotations}
    return {"metadata": metadata, "spec": {"containers": [container], **(spec or {})}}


@pytest.fixture
async def behind() -> AsyncIterator[int]:
    """An HTTP server such as a pod has one: shows what it was asked, streams, and echoes over WebSocket."""

    async def show(request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        shown = {"method": request.method, "path": request.path_qs, "body": body, "headers": dict(request.headers)}
        return web.json_response(shown, headers={"X-From": "pod"})

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(3):
            await response.write(f"{number}\n".encode())
            await asyncio.sleep(0.05)
        return response

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"echo {message.data}")
        return socket

    async def container_log(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.path} {request.query_string} {request.headers['Authorization'][:7]}\n")

    app = web.Application()
    app.router.add_get("/slow", slow)
    app.router.add_get("/echo", echo)
    app.router.add_get("/containerLogs/{rest:.*}", container_log)
    app.router.add_route("*", "/{rest:.*}", show)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_logs_come_from_the_node_of_the_pod(session: Session, behind: int) -> None:
    await session.call("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
    status = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": behind}}}}
    await session.call("PATCH", "/api/v1/nodes/n1/status", status, content_type=MERGE)
    await session.call("POST", PODS, pod("p", {}, {"nodeName": "n1"}))
    async with session.client.get(f"{session.url}{PODS}/p/log?tailLines=5&follow=true") as answer:
        text = await answer.text()
    assert text == "/containerLogs/default/p/c follow=true&tailLines=5 Bearer \n"


async def test_services_and_pods_are_reached_through_the_proxy(session: Session, behind: int) -> None:
    await session.call("POST", PODS, pod("p", {"sandbox.mlp/ports": json.dumps({"8080": behind})}))
    running = {"status": {"phase": "Running"}}
    await session.call("PATCH", f"{PODS}/p/status", running, content_type=MERGE)
    spec = {"selector": {"app": "p"}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]}
    await session.call("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "s"}, "spec": spec})
    root = f"{session.url}/api/v1/namespaces/default"
    for path in ("pods/p:8080/proxy", "services/s:web/proxy", "services/s:80/proxy", "services/http:s:web/proxy"):
        async with session.client.put(f"{root}/{path}/a/b?q=1", data=b"body") as answer:
            shown = await answer.json()
            assert answer.headers["X-From"] == "pod"
        assert (shown["method"], shown["path"], shown["body"]) == ("PUT", "/a/b?q=1", "body")
        assert "Authorization" not in shown["headers"]
    async with session.client.get(f"{root}/services/s:web/proxy/slow") as answer:
        assert await answer.text() == "0\n1\n2\n"
    async with session.client.ws_connect(f"{root}/services/s:web/proxy/echo") as socket:
        await socket.send_str("hi")
        assert (await socket.receive_str()) == "echo hi"


async def test_a_service_without_ready_pods_is_unavailable(session: Session) -> None:
    spec = {"selector": {"app": "none"}, "ports": [{"port": 80}]}
    await session.call("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "s"}, "spec": spec})
    refused = await session.call("GET", "/api/v1/namespaces/default/services/s:80/proxy/")
    assert refused["message"] == 'no endpoints available for service "s"'
