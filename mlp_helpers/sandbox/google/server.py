"""The HTTP server of all Google services: finds the service and the route, admits the call, sends the reply.

Clients take an endpoint with a path, so every service has a prefix of its own on one port: `http://127.0.0.1:P/gkehub`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from aiohttp import web

from mlp_helpers.sandbox.google.admission import Admission
from mlp_helpers.sandbox.google.billing.routes import BillingService
from mlp_helpers.sandbox.google.calls import Call, FilePart, Reply, Service
from mlp_helpers.sandbox.google.clusters import ClusterHost
from mlp_helpers.sandbox.google.compute.routes import ComputeService
from mlp_helpers.sandbox.google.compute.store import ComputeStore
from mlp_helpers.sandbox.google.container.grpc_server import GrpcServer
from mlp_helpers.sandbox.google.container.handlers import ContainerHandlers
from mlp_helpers.sandbox.google.container.operations import ClusterOperations
from mlp_helpers.sandbox.google.container.rest import ContainerService
from mlp_helpers.sandbox.google.container.store import ContainerStore
from mlp_helpers.sandbox.google.credentials.identities import SandboxService
from mlp_helpers.sandbox.google.credentials.metadata import MetadataService
from mlp_helpers.sandbox.google.credentials.pods import PodIdentities
from mlp_helpers.sandbox.google.credentials.service_account import Robot, ServiceAccountKey, TokenService
from mlp_helpers.sandbox.google.dispatch import Dispatcher, Mount
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.gateway.routes import GatewayService
from mlp_helpers.sandbox.google.hub.features import FeatureRules
from mlp_helpers.sandbox.google.hub.operations import HubOperations
from mlp_helpers.sandbox.google.hub.registration import Registration
from mlp_helpers.sandbox.google.hub.routes import HubService
from mlp_helpers.sandbox.google.hub.store import HubStore
from mlp_helpers.sandbox.google.iam.routes import IamService
from mlp_helpers.sandbox.google.iam.store import AccountStore
from mlp_helpers.sandbox.google.resourcemanager.routes import ResourceManagerService
from mlp_helpers.sandbox.google.resourcemanager.store import ProjectStore
from mlp_helpers.sandbox.google.serviceusage.routes import ServiceUsageService
from mlp_helpers.sandbox.google.serviceusage.store import ServiceStore
from mlp_helpers.sandbox.google.storage.routes import StorageService
from mlp_helpers.sandbox.identities import Identities

DEFAULT_PROJECTS: Mapping[str, str] = {"mlp-sandbox": "100000000001"}

_CHUNK_BYTES = 256 * 1024
_QUICK_SHARE = 0.2
"""Networks and APIs take a part of the time that a cluster takes."""


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
        self._documents = documents = Documents(folder / "control.db")
        self.key = ServiceAccountKey(home / "credentials" / "service-account.json", project=next(iter(projects)))
        robot = Robot(self.key, identities)
        self.projects = ProjectStore(documents, projects)
        enabled = ServiceStore(documents, self.projects)
        admission = Admission(identities, self.projects, enabled, identity_of_jwt=robot.identity_of_jwt)
        quick = operation_seconds * _QUICK_SHARE

        self._pods = PodIdentities(documents, identities, empty_folder=folder / "no-gcloud")
        self.storage = StorageService(folder / "storage", admission, self._answer)
        self.network = ComputeStore(documents)
        self._service_usage = ServiceUsageService(admission, documents, seconds=quick)
        clusters_store = ContainerStore(documents)
        self._compute = ComputeService(
            admission, documents, self.network, seconds=quick, size_of_group=clusters_store.size_of_group
        )
        self.network.users_of.append(clusters_store.users_of)
        self._container = ClusterOperations(documents, clusters_store, clusters, seconds=operation_seconds)
        handlers = ContainerHandlers(admission, documents, clusters_store, self._container, self.network)
        self._grpc = GrpcServer(handlers, admission)
        hub_store = HubStore(documents)
        rules = FeatureRules(hub_store, self.projects)
        self._hub = HubOperations(documents, hub_store, rules, clusters, seconds=operation_seconds)
        hub = HubService(admission, hub_store, clusters_store, self._hub, clusters)
        registration = Registration(hub_store, self._hub, clusters_store, self.projects)
        self._container.announce = registration.cluster_changed
        gateway = GatewayService(admission, hub_store, clusters_store, clusters, access_token=robot.access_token)
        services: dict[str, Service] = {
            "/token": TokenService(robot),
            "/computeMetadata": MetadataService(self.projects, default_project=next(iter(projects))),
            "/cloudresourcemanager": ResourceManagerService(admission),
            "/serviceusage": self._service_usage,
            "/iam": IamService(admission, AccountStore(documents)),
            "/compute": self._compute,
            "/cloudbilling": BillingService(admission),
            "/sandbox": SandboxService(identities),
            "/container": ContainerService(handlers),
            "/gkehub": hub,
            "/connectgateway": gateway,
        }
        self._dispatcher = Dispatcher(
            admission, _mounts(services, self.storage, at_root=(gateway, hub)), resolve_pod=self._pods.resolve
        )
        self._operations = [
            self._service_usage.operations,
            self._compute.operations,
            self._container.engine,
            self._hub.engine,
        ]
        self._runner: web.ServerRunner | None = None
        self.http_url = ""
        self.grpc_address = ""

    def pod_environment(self, principal: str) -> dict[str, str]:
        """Variables with which a pod's Google clients act as its principal.

        Args:
            principal: `principal://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/subject/ns/NS/sa/KSA`.
        """
        return self._pods.environment(principal, host=self.http_url.removeprefix("http://"))

    async def _answer(self, call: Call) -> Reply:
        return await self._dispatcher.answer(call)

    async def start(self) -> None:
        """Listen."""
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._http_port).start()
        self._http_port = self._runner.addresses[0][1]
        self.http_url = f"http://127.0.0.1:{self._http_port}"
        self._grpc_port = await self._grpc.start(self._grpc_port)
        self.grpc_address = f"127.0.0.1:{self._grpc_port}"
        self.key.write(f"{self.http_url}/token")
        for operations in self._operations:
            operations.resume()

    async def stop(self) -> None:
        """Stop listening; what the stores hold stays."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self._grpc.stop()
        for operations in self._operations:
            await operations.stop()
        self.storage.store.close()
        self._documents.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        chunks = request.content.iter_chunked(_CHUNK_BYTES)
        call = Call.to(request.method, request.raw_path, headers=headers, chunks=chunks, base_url=self.http_url)
        return await _send(request, await self._answer(call))


def _mounts(services: Mapping[str, Service], storage: StorageService, *, at_root: Sequence[Service]) -> list[Mount]:
    """The services by prefix; objects at `/BUCKET/OBJECT` come last, for their path could be anything."""
    mounts = [
        Mount(prefix, service, service.routes(), needs_token=prefix != "/token") for prefix, service in services.items()
    ]
    mounts += [
        Mount(prefix, storage, storage.routes(), keeps_prefix=True)
        for prefix in ("/storage", "/upload", "/download", "/resumable", "/batch")
    ]
    mounts += [
        Mount(f"/{version}", service, service.routes(), keeps_prefix=True)
        for service in at_root
        for version in ("v1", "v1beta", "v1beta1", "v1alpha")
    ]
    return [*mounts, Mount("", storage, storage.object_routes(), keeps_prefix=True)]


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
