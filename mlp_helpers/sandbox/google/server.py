"""The HTTP server of all Google services: finds the service and the route, admits the call, sends the reply.

Clients take an endpoint with a path, so every service has a prefix of its own on one port: `http://127.0.0.1:P/gkehub`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import web

from mlp_helpers.sandbox.google.admission import Admission
from mlp_helpers.sandbox.google.calls import Call, FilePart, Reply
from mlp_helpers.sandbox.google.clusters import ClusterHost
from mlp_helpers.sandbox.google.dispatch import Dispatcher, Mount
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.resourcemanager.store import ProjectStore
from mlp_helpers.sandbox.google.serviceusage.store import ServiceStore
from mlp_helpers.sandbox.google.storage.routes import StorageService
from mlp_helpers.sandbox.identities import Identities

DEFAULT_PROJECTS: Mapping[str, str] = {"mlp-sandbox": "100000000001"}

_CHUNK_BYTES = 256 * 1024


class GoogleServer:
    """Every emulated Google service.

    Args:
        home: Folder of the sandbox; the services keep their stores in `home/google`.
        identities: Who may call.
        clusters: What runs the clusters that GKE is asked for.
        http_port: Port of the HTTP server; 0 takes a free one.
        grpc_port: Port of GKE's gRPC server; 0 takes a free one.
        operation_seconds: How long an operation runs at least.
        projects: Ids and numbers of the projects that there are from the start.
    """

    def __init__(
        self,
        home: Path,
        *,
        identities: Identities,
        clusters: ClusterHost,
        http_port: int = 0,
        grpc_port: int = 0,
        operation_seconds: float = 1.0,
        projects: Mapping[str, str] = DEFAULT_PROJECTS,
    ) -> None:
        folder = home / "google"
        self._http_port, self._grpc_port = http_port, grpc_port
        self._documents = Documents(folder / "control.db")
        self._projects = ProjectStore(self._documents, projects)
        self._admission = Admission(identities, self._projects, ServiceStore(self._documents, self._projects))
        self.storage = StorageService(folder / "storage", self._admission, self._answer)
        self._dispatcher = Dispatcher(self._admission, self._mounts(), resolve_pod=lambda call: call)
        self._runner: web.ServerRunner | None = None
        self.http_url = ""
        self.grpc_address = ""

    def _mounts(self) -> list[Mount]:
        """The services by prefix; objects at `/BUCKET/OBJECT` come last, for their path could be anything."""
        storage = [
            Mount(prefix, self.storage, self.storage.routes(), keeps_prefix=True)
            for prefix in ("/storage", "/upload", "/download", "/resumable", "/batch")
        ]
        return [*storage, Mount("", self.storage, self.storage.object_routes(), keeps_prefix=True)]

    async def _answer(self, call: Call) -> Reply:
        return await self._dispatcher.answer(call)

    async def start(self) -> None:
        """Listen."""
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._http_port).start()
        self._http_port = self._runner.addresses[0][1]
        self.http_url = f"http://127.0.0.1:{self._http_port}"

    async def stop(self) -> None:
        """Stop listening; what the stores hold stays."""
        if self._runner is not None:
            await self._runner.cleanup()
        self.storage.store.close()
        self._documents.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        chunks = request.content.iter_chunked(_CHUNK_BYTES)
        call = Call.to(request.method, request.raw_path, headers=headers, chunks=chunks, base_url=self.http_url)
        return await _send(request, await self._answer(call))


async def _send(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    if isinstance(reply.content, bytes):
        return web.Response(status=reply.status, body=reply.content, headers=reply.headers)
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = reply.content.length
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in _file_chunks(reply.content):
            await response.write(chunk)
    await response.write_eof()
    return response


async def _file_chunks(part: FilePart) -> AsyncIterator[bytes]:
    left = part.length
    with part.path.open("rb") as file:
        file.seek(part.start)
        while left and (chunk := file.read(min(_CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
