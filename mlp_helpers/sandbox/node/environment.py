"""The environment of a container, from its spec and from what the spec refers to."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.controllers.client import Object
from mlp_helpers.sandbox.controllers.quantities import parse_quantity
from mlp_helpers.sandbox.node.lookup import Lookup

_REFERENCE = re.compile(r"\$\$|\$\((?P<name>[^()]+)\)")
_SUBSCRIPT = re.compile(r"metadata\.(?P<map>labels|annotations)\['(?P<key>.+)'\]")
_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")


class ContainerConfigError(Exception):
    """The container refers to something that is not there; becomes CreateContainerConfigError."""


def base_environment(home: Path) -> dict[str, str]:
    """What an image would bring: a PATH that finds this Python first, a home, and the machine's language."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "HOME": str(home)} | {name: os.environ[name] for name in _KEPT if name in os.environ}


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; what is not known stays, and `$$` is a dollar sign."""

    def value(found: re.Match[str]) -> str:
        return "$" if found["name"] is None else known.get(found["name"], found[0])

    return _REFERENCE.sub(value, text)


def field_value(pod: Mapping[str, Any], path: str, host_ip: str = "127.0.0.1") -> str:
    """The value of a fieldRef.

    Raises:
        ContainerConfigError: The downward API does not offer this path.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    if found := _SUBSCRIPT.fullmatch(path):
        return str((metadata.get(found["map"]) or {}).get(found["key"], ""))
    values = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "metadata.labels": _as_lines(metadata.get("labels")),
        "metadata.annotations": _as_lines(metadata.get("annotations")),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
        "status.podIP": "127.0.0.1",
        "status.podIPs": "127.0.0.1",
    }
    if path not in values:
        raise ContainerConfigError(f"unsupported fieldPath: {path}")
    return str(values[path])


def _as_lines(values: Mapping[str, str] | None) -> str:
    return "\n".join(f'{key}="{value}"' for key, value in sorted((values or {}).items()))


def resource_value(
    pod: Mapping[str, Any], container: Mapping[str, Any], ref: Mapping[str, Any], allocatable: Mapping[str, str]
) -> str:
    """The value of a resourceFieldRef: a limit that is not set is what the node has."""
    if ref.get("containerName"):
        container = next(one for one in pod["spec"]["containers"] if one["name"] == ref["containerName"])
    which, _, name = ref["resource"].partition(".")
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    chosen = requests.get(name, limits.get(name, "0")) if which == "requests" else limits.get(name)
    amount = parse_quantity(chosen if chosen is not None else allocatable.get(name, "0"))
    divisor = parse_quantity(ref.get("divisor") or "1") or Decimal(1)
    return str((amount / divisor).to_integral_value(ROUND_CEILING))


class EnvironmentReader:
    """Works out `env` and `envFrom`."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def read(
        self,
        pod: Mapping[str, Any],
        container: Mapping[str, Any],
        given: Mapping[str, str],
        allocatable: Mapping[str, str],
    ) -> dict[str, str]:
        """The environment of a container.

        Args:
            pod: The pod.
            container: One of its containers.
            given: What is there before; the container's own values win.
            allocatable: What the node has, for limits that are not set.

        Raises:
            ContainerConfigError: A ConfigMap, a Secret or a key is missing.
        """
        namespace = pod["metadata"]["namespace"]
        known = dict(given) | await self._service_variables(namespace)
        for source in container.get("envFrom") or ():
            known |= await self._all_of(source, namespace)
        for variable in container.get("env") or ():
            value = await self._value(variable, pod, container, allocatable)
            if value is not None:
                known[variable["name"]] = expand(value, known)
        return known

    async def _value(
        self,
        variable: Mapping[str, Any],
        pod: Mapping[str, Any],
        container: Mapping[str, Any],
        allocatable: Mapping[str, str],
    ) -> str | None:
        source = variable.get("valueFrom") or {}
        if "fieldRef" in source:
            return field_value(pod, source["fieldRef"]["fieldPath"])
        if "resourceFieldRef" in source:
            return resource_value(pod, container, source["resourceFieldRef"], allocatable)
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if field in source:
                return await self._key(kind, source[field], pod["metadata"]["namespace"])
        return str(variable.get("value") or "")

    async def _key(self, kind: str, ref: Mapping[str, Any], namespace: str) -> str | None:
        found = await self._lookup.find(kind, namespace, ref["name"])
        values = texts_of(found) if found is not None else {}
        if ref["key"] in values:
            return values[ref["key"]]
        if ref.get("optional"):
            return None
        if found is None:
            raise ContainerConfigError(f'{kind.lower()} "{ref["name"]}" not found')
        raise ContainerConfigError(f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}")

    async def _all_of(self, source: Mapping[str, Any], namespace: str) -> dict[str, str]:
        kind = "Secret" if "secretRef" in source else "ConfigMap"
        ref = source.get("secretRef") or source["configMapRef"]
        found = await self._lookup.find(kind, namespace, ref["name"])
        if found is None and not ref.get("optional"):
            raise ContainerConfigError(f'{kind.lower()} "{ref["name"]}" not found')
        prefix = source.get("prefix", "")
        return {prefix + key: value for key, value in (texts_of(found) if found else {}).items()}

    async def _service_variables(self, namespace: str) -> dict[str, str]:
        """`NAME_SERVICE_HOST` and `NAME_SERVICE_PORT`, with the ports that are real on this machine."""
        variables: dict[str, str] = {}
        for service in await self._lookup.services(namespace):
            ports = service["spec"].get("ports") or ()
            if service["spec"].get("clusterIP") in (None, "", "None") or not ports:
                continue
            name = service["metadata"]["name"]
            real = await self._lookup.real_port(name, ports[0]["port"], namespace)
            if real is not None:
                prefix = name.upper().replace("-", "_")
                variables |= {f"{prefix}_SERVICE_HOST": "127.0.0.1", f"{prefix}_SERVICE_PORT": str(real)}
        return variables


def contents_of(obj: Object) -> dict[str, bytes]:
    """The values of a ConfigMap or Secret."""
    if obj["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    binary = {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    return {key: value.encode() for key, value in (obj.get("data") or {}).items()} | binary


def texts_of(obj: Object) -> dict[str, str]:
    """The values as text, as an environment needs them."""
    return {key: value.decode(errors="replace") for key, value in contents_of(obj).items()}
