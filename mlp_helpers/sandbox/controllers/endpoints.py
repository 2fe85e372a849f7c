"""Endpoints and EndpointSlices: which pods stand behind a Service, and on which real ports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlp_helpers.sandbox.controllers.client import Client, NotFoundError, Object
from mlp_helpers.sandbox.controllers.loop import Key, Manager, key_of, own_key
from mlp_helpers.sandbox.controllers.pods import is_ready, owner_reference
from mlp_helpers.sandbox.controllers.selectors import matches

PORTS_ANNOTATION = "sandbox.mlp/ports"
"""On a pod: JSON, from container port to the port of this machine that it really listens on."""

_SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_OURS = "endpointslice-controller.k8s.io"

Ports = tuple[tuple[str, str, int], ...]
"""Name, protocol and real port, per port of a Service."""


def real_port(pod: Mapping[str, Any], port: int) -> int:
    """The port of this machine that stands for a container port; pods elsewhere have no annotation."""
    annotation = (pod["metadata"].get("annotations") or {}).get(PORTS_ANNOTATION)
    return int(json.loads(annotation).get(str(port), port)) if annotation else port


def target_port(service_port: Mapping[str, Any], pod: Mapping[str, Any]) -> int | None:
    """The container port that a Service's port leads to; a name must be one of the pod's."""
    target = service_port.get("targetPort") or service_port["port"]
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == target and port.get("protocol", "TCP") == service_port.get("protocol", "TCP"):
                return int(port["containerPort"])
    return None


def ports_of(service: Mapping[str, Any], pod: Mapping[str, Any]) -> Ports:
    """The real ports of a Service at one pod."""
    found = []
    for port in service["spec"].get("ports") or ():
        target = target_port(port, pod)
        if target is not None:
            found.append((port.get("name", ""), port.get("protocol", "TCP"), real_port(pod, target)))
    return tuple(found)


def by_ports(service: Mapping[str, Any], pods: Iterable[Object]) -> dict[Ports, list[Object]]:
    """The pods that a Service selects, grouped by their ports: one slice has one list of ports for all."""
    groups: dict[Ports, list[Object]] = {}
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        status, labels = pod.get("status") or {}, pod["metadata"].get("labels") or {}
        ended = status.get("phase") in ("Succeeded", "Failed")
        if status.get("podIP") and not ended and matches({"matchLabels": service["spec"]["selector"]}, labels):
            groups.setdefault(ports_of(service, pod), []).append(pod)
    return groups


def _target(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}


def slice_for(service: Object, ports: Ports, pods: Sequence[Object]) -> Object:
    """One EndpointSlice; its name follows from the Service and the ports, so that it is made only once."""
    name = service["metadata"]["name"]
    digest = hashlib.sha256(json.dumps(ports).encode()).hexdigest()[:5]
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    labels = {_SERVICE_NAME: name, _MANAGED_BY: _OURS, **(service["metadata"].get("labels") or {})}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{digest}",
            "namespace": service["metadata"]["namespace"],
            "labels": labels,
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod, always=always) for pod in pods],
        "ports": [{"name": port, "protocol": protocol, "port": number} for port, protocol, number in ports],
    }


def _endpoint(pod: Object, *, always: bool) -> Object:
    ready, ending = is_ready(pod), "deletionTimestamp" in pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": always or (ready and not ending), "serving": ready, "terminating": ending},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": _target(pod),
    }


def endpoints_for(service: Object, groups: Mapping[Ports, Sequence[Object]]) -> Object:
    """The older Endpoints object of the same."""
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    subsets = []
    for ports, pods in groups.items():
        living = [pod for pod in pods if always or "deletionTimestamp" not in pod["metadata"]]
        ready = [pod for pod in living if always or is_ready(pod)]
        subset: Object = {
            "addresses": [_address(pod) for pod in ready],
            "notReadyAddresses": [_address(pod) for pod in living if pod not in ready],
            "ports": [
                {**({"name": port} if port else {}), "port": number, "protocol": protocol}
                for port, protocol, number in ports
            ],
        }
        if living:
            subsets.append({field: value for field, value in subset.items() if value})
    metadata = {
        "name": service["metadata"]["name"],
        "namespace": service["metadata"]["namespace"],
        "labels": {
            **(service["metadata"].get("labels") or {}),
            "endpoints.kubernetes.io/managed-by": "endpoint-controller",
        },
    }
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata} | ({"subsets": subsets} if subsets else {})


def _address(pod: Object) -> Object:
    return {"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": _target(pod)}


class EndpointsController:
    """Keeps the slices and the Endpoints of every Service with a selector."""

    name = "endpointslice-controller"

    def __init__(self, manager: Manager) -> None:
        self._client: Client = manager.client
        self._services = manager.informer("v1", "Service")
        self._pods = manager.informer("v1", "Pod")
        self._slices = manager.informer("discovery.k8s.io/v1", "EndpointSlice")
        self._endpoints = manager.informer("v1", "Endpoints")
        manager.register(
            self,
            {
                self._services: own_key,
                self._pods: self._services_of,
                self._slices: _service_of_slice,
                self._endpoints: own_key,
            },
        )

    def _services_of(self, pod: Object) -> Iterable[Key]:
        labels = pod["metadata"].get("labels") or {}
        for service in self._services.list(pod["metadata"]["namespace"]):
            selector = service["spec"].get("selector")
            if selector and matches({"matchLabels": selector}, labels):
                yield key_of(service)

    async def reconcile(self, key: Key) -> float | None:
        service = self._services.get(key[1], key[0])
        if service is None:
            await self._forget(key)
            return None
        if not service["spec"].get("selector"):
            return None  # whoever made it manages its endpoints
        groups = by_ports(service, self._pods.list(key[0]))
        wanted = [slice_for(service, ports, pods) for ports, pods in groups.items()]
        names = {one["metadata"]["name"] for one in wanted}
        for one in wanted:
            await self._write(one, self._slices.get(one["metadata"]["name"], key[0]))
        for one in self._slices.list(key[0]):
            labels = one["metadata"].get("labels") or {}
            is_ours = labels.get(_SERVICE_NAME) == key[1] and labels.get(_MANAGED_BY) == _OURS
            if is_ours and one["metadata"]["name"] not in names:
                await self._delete("discovery.k8s.io/v1", "EndpointSlice", key_of(one))
        await self._write(endpoints_for(service, groups), self._endpoints.get(key[1], key[0]))
        return None

    async def _write(self, wanted: Object, found: Object | None) -> None:
        if found is None:
            await self._client.create(wanted)
        elif any(found.get(part) != wanted.get(part) for part in ("endpoints", "ports", "subsets")):
            metadata = {**wanted["metadata"], "resourceVersion": found["metadata"]["resourceVersion"]}
            await self._client.replace({**wanted, "metadata": metadata})

    async def _forget(self, key: Key) -> None:
        """Slices go with their owner; Endpoints have none."""
        found = self._endpoints.get(key[1], key[0])
        labels = (found or {"metadata": {}})["metadata"].get("labels") or {}
        if labels.get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
            await self._delete("v1", "Endpoints", key)

    async def _delete(self, api_version: str, kind: str, key: Key) -> None:
        resource = await self._client.resource(api_version, kind)
        try:
            await self._client.delete(resource, key[1], key[0])
        except NotFoundError:
            return


def _service_of_slice(found: Object) -> Iterable[Key]:
    name = (found["metadata"].get("labels") or {}).get(_SERVICE_NAME)
    return [(found["metadata"]["namespace"], name)] if name else []
