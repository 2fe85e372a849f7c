"""A running Google server with a cluster host that only remembers what it was asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.auth.credentials import Credentials
from google.cloud import storage
from google.oauth2.credentials import Credentials as TokenCredentials

from mlp_helpers.sandbox.google.clusters import ClusterEndpoint, ClusterSpec
from mlp_helpers.sandbox.google.server import GoogleServer
from mlp_helpers.sandbox.identities import Identities, Identity

PROJECT, NUMBER = "mlp-sandbox", "100000000001"
OWNER = "owner@example.com"


class RecordingHost:
    """A cluster host for tests."""

    def __init__(self) -> None:
        self.clusters: dict[str, ClusterSpec] = {}
        self.ensured: list[ClusterSpec] = []
        self.syncs: dict[str, Mapping[str, Any] | None] = {}
        self.failure = ""

    async def ensure(self, cluster: ClusterSpec) -> ClusterEndpoint:
        if self.failure:
            raise RuntimeError(self.failure)
        self.clusters[cluster.name] = cluster
        self.ensured.append(cluster)
        return ClusterEndpoint("127.0.0.1:6443", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")

    async def remove(self, name: str) -> None:
        self.clusters.pop(name, None)

    async def configure_sync(self, name: str, config_management: Mapping[str, Any] | None) -> None:
        self.syncs[name] = config_management

    async def sync_state(self, name: str) -> Mapping[str, Any]:
        return {"configSyncState": {"state": "CONFIG_SYNC_INSTALLED", "syncState": {"code": "SYNCED"}}}

    def kubeconfig(self, name: str, *, identity: Identity, token: str) -> str:
        named = {"name": name}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{**named, "cluster": {"server": "https://127.0.0.1:6443"}}],
            "users": [{**named, "user": {"token": token}}],
            "contexts": [{**named, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        return yaml.safe_dump(config)


class Sandbox:
    """A Google server on a loop of its own, so that synchronous clients can call it."""

    def __init__(self, home: Path, *, http_port: int = 0, grpc_port: int = 0, operation_seconds: float = 0.05) -> None:
        home.mkdir(exist_ok=True)
        self.home, self.host = home, RecordingHost()
        self.identities = Identities(home / "state.db")
        self.owner_token = self.identities.issue(OWNER, is_admin=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.google: GoogleServer = self.run(self._build(http_port, grpc_port, operation_seconds))
        self.run(self.google.start())

    async def _build(self, http_port: int, grpc_port: int, operation_seconds: float) -> GoogleServer:
        return GoogleServer(
            self.home,
            identities=self.identities,
            clusters=self.host,
            http_port=http_port,
            grpc_port=grpc_port,
            operation_seconds=operation_seconds,
        )

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def stop(self) -> None:
        self.run(self.google.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.identities.close()

    @property
    def url(self) -> str:
        return self.google.http_url

    def credentials(self, email: str = OWNER) -> Credentials:
        token = self.owner_token if email == OWNER else self.identities.issue(email)
        return TokenCredentials(token)

    def storage(self, email: str = OWNER) -> storage.Client:
        return storage.Client(
            project=PROJECT, credentials=self.credentials(email), client_options={"api_endpoint": self.url}
        )


@pytest.fixture(scope="session")
def session_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("google"))
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(session_sandbox: Sandbox) -> Sandbox:
    """The shared server; each test takes names of its own."""
    return session_sandbox


@pytest.fixture
def start_sandbox(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Starts servers of a test's own, on one home."""
    started: list[Sandbox] = []

    def start(**options: Any) -> Sandbox:
        started.append(Sandbox(tmp_path / "home", **options))
        return started[-1]

    yield start
    for sandbox in started:
        if sandbox._thread.is_alive():
            sandbox.stop()


@pytest.fixture
def bucket(sandbox: Sandbox, request: pytest.FixtureRequest) -> storage.Bucket:
    """A versioned bucket of the test's own."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower()[-50:].strip("-")
    made = sandbox.storage().bucket(f"t-{name}")
    made.versioning_enabled = True
    made.create(location="us-central1")
    return made
