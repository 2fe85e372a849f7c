"""The nodes that a kubelet shows, kept present and well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import aiohttp

from mlp_helpers.sandbox.controllers.client import (
    AlreadyExistsError,
    ApiError,
    Client,
    NotFoundError,
    Object,
)
from mlp_helpers.sandbox.controllers.conditions import timestamp
from mlp_helpers.sandbox.node.specs import OURS, NodeSpec, node_object, node_status

_ALIVE_SECONDS = 30.0
_LEASE_SECONDS = 40
_LEASES = "kube-node-lease"

_log = logging.getLogger(__name__)


class Nodes:
    """Creates, refreshes and deletes Node objects.

    Args:
        client: The kubelet's client.
        nodes: The nodes at first.
    """

    def __init__(self, client: Client, nodes: Sequence[NodeSpec]) -> None:
        self._client = client
        self._specs = {spec.name: spec for spec in nodes}
        self._port = 0
        self._version = ""

    def has(self, name: str) -> bool:
        """Whether a node is one of ours."""
        return name in self._specs

    def allocatable_of(self, name: str) -> Mapping[str, str]:
        """What a node has for pods."""
        return self._specs[name].allocatable if name in self._specs else {}

    async def register(self, port: int) -> None:
        """Show the nodes, with the port that their logs are asked at; remove those of an earlier kubelet.

        With no nodes given the earlier ones stay until `replace` says otherwise.
        """
        self._port = port
        self._version = str((await self._client.raw("GET", "/version"))["gitVersion"])
        if self._specs:
            await self._remove_others()
        for spec in self._specs.values():
            await self._show(spec)

    async def replace(self, nodes: Sequence[NodeSpec]) -> set[str]:
        """Show these nodes instead.

        Returns:
            The names of nodes that are gone.
        """
        self._specs = {spec.name: spec for spec in nodes}
        for spec in nodes:
            await self._show(spec)
        return await self._remove_others()

    async def keep_alive(self) -> None:
        """Renew the nodes' leases and heartbeats until cancelled."""
        while True:
            await asyncio.sleep(_ALIVE_SECONDS)
            try:
                for spec in list(self._specs.values()):
                    await self._show(spec)
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.debug("nodes not refreshed: %s", error)

    async def _show(self, spec: NodeSpec) -> None:
        resource = await self._client.resource("v1", "Node")
        wanted = node_object(spec, port=self._port)
        try:
            found = await self._client.get(resource, spec.name)
            if not _shows(found, wanted):
                found = await self._client.patch(resource, spec.name, "", _change(found, wanted))
        except NotFoundError:
            found = await self._client.create(wanted)
        before = found.get("status") or {}
        status = node_status(spec, port=self._port, version=self._version, before=before, now=timestamp())
        await self._client.patch(resource, spec.name, "", {"status": status}, subresource="status")
        await self._renew_lease(found)

    async def _renew_lease(self, node: Object) -> None:
        name = node["metadata"]["name"]
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": timestamp().replace("Z", ".000000Z"),
        }
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
        resource = await self._client.resource("coordination.k8s.io/v1", "Lease")
        try:
            await self._client.patch(resource, name, _LEASES, {"spec": spec})
        except NotFoundError:
            metadata = {"name": name, "namespace": _LEASES, "ownerReferences": [owner]}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            try:
                await self._client.create(lease)
            except (AlreadyExistsError, NotFoundError) as error:
                _log.debug("no lease for %s: %s", name, error)

    async def _remove_others(self) -> set[str]:
        resource = await self._client.resource("v1", "Node")
        items, _ = await self._client.list(resource)
        ours = {item["metadata"]["name"] for item in items if OURS in (item["metadata"].get("annotations") or {})}
        gone = ours - set(self._specs)
        for name in gone:
            await self._client.delete(resource, name)
        return gone


def _shows(found: Object, wanted: Object) -> bool:
    labels, annotations = found["metadata"].get("labels") or {}, found["metadata"].get("annotations") or {}
    return bool(
        wanted["metadata"]["labels"].items() <= labels.items()
        and wanted["metadata"]["annotations"].items() <= annotations.items()
        and (found.get("spec") or {}).get("taints", []) == wanted["spec"].get("taints", [])
    )


def _change(found: Object, wanted: Object) -> Object:
    """Our labels and taints; what others added, and a cordon, stays."""
    metadata = {part: wanted["metadata"][part] for part in ("labels", "annotations")}
    return {"metadata": metadata, "spec": {"taints": wanted["spec"].get("taints")}}
