"""What a pod refers to and the kubelet looks up: ConfigMaps, Secrets, Services, tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.controllers.client import Client, NotFoundError, Object

_HOST = re.compile(
    r"(?P<name>[a-z]([-a-z0-9]*[a-z0-9])?)(\.(?P<namespace>[a-z0-9]([-a-z0-9]*[a-z0-9])?))?(\.svc(\.cluster\.local)?)?\.?"
)
_ADDRESS = re.compile(r"(?<![\w.-])(?P<host>[a-z]([-a-z0-9.]*[a-z0-9])?):(?P<port>\d{2,5})(?!\d)")


class Lookup:
    """Reads through the node's own client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """A core object, or None."""
        try:
            return await self._client.get(await self._client.resource("v1", kind), name, namespace)
        except NotFoundError:
            return None

    async def services(self, namespace: str) -> list[Object]:
        """The Services of a namespace."""
        items, _ = await self._client.list(await self._client.resource("v1", "Service"), namespace)
        return items

    async def token(
        self, namespace: str, account: str, *, pod: Mapping[str, Any], audience: str = "", seconds: int = 3607
    ) -> str:
        """A token of a service account, bound to a pod."""
        resource = await self._client.resource("v1", "ServiceAccount")
        metadata = pod["metadata"]
        spec: Object = {
            "audiences": [audience] if audience else [],
            "expirationSeconds": seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]},
        }
        if not audience:
            del spec["audiences"]
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}
        made = await self._client.raw("POST", resource.path(namespace, account, "token"), body=request)
        return str(made["status"]["token"])

    async def real_port(self, host: str, port: int, namespace: str, *, condition: str = "ready") -> int | None:
        """The port of this machine behind a Service's name and port; None if there is no such Service or no pod yet.

        Args:
            host: Name of the Service, alone or with its namespace and domain.
            port: The Service's port.
            namespace: Where a name alone is looked for.
            condition: What an endpoint must be: `ready` (which a Service may claim early) or `serving`.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return None
        name, namespace = found["name"], found["namespace"] or namespace
        service = await self.find("Service", namespace, name)
        entry = next((one for one in (service or {"spec": {}})["spec"].get("ports") or () if one["port"] == port), None)
        if entry is None:
            return None
        resource = await self._client.resource("discovery.k8s.io/v1", "EndpointSlice")
        slices, _ = await self._client.list(resource, namespace, label_selector=f"kubernetes.io/service-name={name}")
        return slice_port(slices, entry.get("name", ""), condition)

    async def with_real_addresses(self, text: str, namespace: str) -> str:
        """A text with every `SERVICE:PORT` that can be resolved replaced by where it really is."""
        for found in list(_ADDRESS.finditer(text)):
            real = await self.real_port(found["host"], int(found["port"]), namespace)
            if real is not None:
                text = text.replace(found[0], f"127.0.0.1:{real}")
        return text


def slice_port(slices: list[Object], name: str, condition: str = "ready") -> int | None:
    """The port of that name at an endpoint of which the condition holds."""
    for one in slices:
        if any((endpoint.get("conditions") or {}).get(condition, True) for endpoint in one.get("endpoints") or ()):
            for port in one.get("ports") or ():
                if (port.get("name") or "") == name:
                    return int(port["port"])
    return None
