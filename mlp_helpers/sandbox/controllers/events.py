"""Events: what happened to an object, for people; the same thing again only raises a count."""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import aiohttp

from mlp_helpers.sandbox.controllers.client import ApiError, Client, NotFoundError
from mlp_helpers.sandbox.controllers.conditions import timestamp

_REMEMBERED = 1000

_log = logging.getLogger(__name__)


class EventRecorder:
    """Writes events in the name of one component.

    Args:
        client: The component's client.
        component: `kubelet`, `deployment-controller`, ...
        host: The node, for what nodes say.
    """

    def __init__(self, client: Client, component: str, *, host: str = "") -> None:
        self._client, self._component, self._host = client, component, host
        self._known: OrderedDict[tuple[str, ...], tuple[str, str, int]] = OrderedDict()

    async def normal(self, obj: Mapping[str, Any], reason: str, message: str, *, field_path: str = "") -> None:
        """Something that is as it should be."""
        await self._record(obj, "Normal", reason, message, field_path)

    async def warning(self, obj: Mapping[str, Any], reason: str, message: str, *, field_path: str = "") -> None:
        """Something that a person may have to look at."""
        await self._record(obj, "Warning", reason, message, field_path)

    async def _record(self, obj: Mapping[str, Any], kind: str, reason: str, message: str, field_path: str) -> None:
        metadata = obj["metadata"]
        key = (metadata.get("uid", metadata["name"]), kind, reason, message, field_path)
        try:
            if known := self._known.get(key):
                await self._count(key, *known)
            else:
                await self._create(key, obj, kind, reason, message, field_path)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            # An event is a courtesy: the namespace may be ending, the server away. The work goes on.
            _log.debug("event %s of %s not written: %s", reason, metadata["name"], error)

    async def _count(self, key: tuple[str, ...], namespace: str, name: str, count: int) -> None:
        resource = await self._client.resource("v1", "Event")
        try:
            change = {"count": count + 1, "lastTimestamp": timestamp()}
            await self._client.patch(resource, name, namespace, change)
        except NotFoundError:
            del self._known[key]  # its hour is over; the next one begins anew
        else:
            self._known[key] = (namespace, name, count + 1)

    async def _create(
        self, key: tuple[str, ...], obj: Mapping[str, Any], kind: str, reason: str, message: str, field_path: str
    ) -> None:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"  # where cluster-scoped objects' events live
        name = f"{metadata['name']}.{secrets.token_hex(8)}"
        involved = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
        involved |= {
            part: metadata[part] for part in ("name", "namespace", "uid", "resourceVersion") if part in metadata
        }
        now = timestamp()
        source = {"component": self._component}
        await self._client.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": involved | ({"fieldPath": field_path} if field_path else {}),
                "reason": reason,
                "message": message,
                "type": kind,
                "count": 1,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "source": source | ({"host": self._host} if self._host else {}),
                "reportingComponent": self._component,
                "reportingInstance": self._host,
            }
        )
        self._known[key] = (namespace, name, 1)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
