"""One emulated cluster's API server: HTTP over TLS on 127.0.0.1, everything it keeps in one folder."""

from __future__ import annotations

import os
import secrets
import ssl
from base64 import b64encode
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from mlp_helpers.sandbox.kubernetes import crds
from mlp_helpers.sandbox.kubernetes.access import Access, User
from mlp_helpers.sandbox.kubernetes.admission import Admission
from mlp_helpers.sandbox.kubernetes.bootstrap import initial_objects
from mlp_helpers.sandbox.kubernetes.certificates import ensure_certificates, write_private
from mlp_helpers.sandbox.kubernetes.deletions import Deletions
from mlp_helpers.sandbox.kubernetes.kinds import Registry
from mlp_helpers.sandbox.kubernetes.metadata import Clock, utc_now
from mlp_helpers.sandbox.kubernetes.objects import Objects, WriteOptions
from mlp_helpers.sandbox.kubernetes.proxy import Proxy
from mlp_helpers.sandbox.kubernetes.rbac import MASTERS
from mlp_helpers.sandbox.kubernetes.routes import Routes
from mlp_helpers.sandbox.kubernetes.store import Change, Store
from mlp_helpers.sandbox.kubernetes.tokens import Tokens

__all__ = ["ApiServer", "User"]

Object = dict[str, Any]

MAX_BODY_BYTES = 8 * 2**20
SHUTDOWN_SECONDS = 0.5  # aiohttp would wait a minute for open watches
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_ITSELF = User("system:apiserver", (MASTERS,))
_KUBERNETES_SERVICE: Object = {
    "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
    "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
}


def _nobody(_: str) -> User | None:
    return None


class _Cache:
    """Decoded lists of the resources that every request needs, until they change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lists: dict[str, list[Object]] = {}
        store.on_change(self._forget)

    def list(self, resource: str) -> list[Object]:
        if resource not in self._lists:
            self._lists[resource] = self._store.list(resource)
        return self._lists[resource]

    def _forget(self, resource: str, _: Change) -> None:
        self._lists.pop(resource, None)


class ApiServer:
    """The Kubernetes API of one emulated cluster.

    Args:
        folder: Holds the database, certificates and keys; made if absent.
        port: On 127.0.0.1; 0 for any free one.
        authenticate: The user behind a token that this server did not issue, or None.
        clock: The present.
        disabled_admission: Admission plugins that are not to run.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        authenticate: Callable[[str], User | None] = _nobody,
        clock: Clock = utc_now,
        disabled_admission: Collection[str] = (),
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._port = port
        self._certificates = ensure_certificates(folder)
        self.ca_certificate = self._certificates.ca
        self._store = Store(folder / "cluster.db")
        registry = Registry()
        for crd in self._store.list(crds.RESOURCE):
            registry.register(crd)
        self.tokens = Tokens(folder, self._store, clock=clock, others=authenticate)
        cache = _Cache(self._store)
        access = Access(cache.list, authenticate=self.tokens.authenticate)
        admission = Admission(self._store, registry, disabled=disabled_admission)
        self._objects = Objects(self._store, registry, admission=admission, access=access, clock=clock)
        deletions = Deletions(self._objects, admission=admission)
        self._proxy = Proxy(self._store, kubelet_token=_kubelet_token(folder))
        self._routes = Routes(
            self._store,
            registry,
            objects=self._objects,
            deletions=deletions,
            access=access,
            tokens=self.tokens,
            proxy=self._proxy,
        )
        self._registry = registry
        self._runner: web.AppRunner | None = None
        self._fill()

    @property
    def url(self) -> str:
        """Its address, once started."""
        return f"https://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Begin to serve."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._routes.handle)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificates.server, self._certificates.key)
        # Without handler_cancellation the handler of a watch outlives its client.
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop serving and close the database."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._proxy.close()
        self._store.close()

    def issue_token(self, user: str, groups: Sequence[str]) -> str:
        """A token for a user with groups, kept in the database; the same for the same ones."""
        return self.tokens.issue(user, groups)

    def kubeconfig(self, *, user: str, token: str, namespace: str = "default") -> dict[str, object]:
        """A kubeconfig for a user with a token."""
        authority = b64encode(self.ca_certificate.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        context = {"cluster": "cluster", "user": user, "namespace": namespace}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "cluster", "context": context}],
            "current-context": "cluster",
        }

    def _fill(self) -> None:
        """Create what every cluster has, unless it is there."""
        options = WriteOptions(_ITSELF, manager="kube-apiserver")
        with self._store.transaction():
            for name in _NAMESPACES:
                self._ensure({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "", options)
            for thing in initial_objects():
                self._ensure(thing, "", options)
            service = {"apiVersion": "v1", "kind": "Service", **_KUBERNETES_SERVICE}
            self._ensure(service, "default", options)

    def _ensure(self, thing: Object, namespace: str, options: WriteOptions) -> None:
        group, _, version = thing["apiVersion"].rpartition("/")
        kind = self._registry.by_kind(group, version, thing["kind"])
        if kind is not None and self._store.get(kind.storage_key, namespace, thing["metadata"]["name"]) is None:
            body = {**thing, "metadata": dict(thing["metadata"])}
            self._objects.create(kind, namespace, body, options)


def _kubelet_token(folder: Path) -> Path:
    """The file with the token that the nodes of this cluster expect."""
    path = folder / "kubelet-token"
    if not path.exists() or not os.path.getsize(path):
        write_private(path, secrets.token_urlsafe(24).encode())
    return path
