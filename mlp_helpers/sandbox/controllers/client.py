"""An asynchronous client of the Kubernetes API: objects are dicts, kinds come from discovery."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from mlp_helpers.sandbox.controllers.kubeconfig import read_connection

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_REQUEST_SECONDS = 60.0


class ApiError(Exception):
    """The API server refused; carries its Status.

    Args:
        status: The Status object as the server sent it.
    """

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(status.get("message") or status.get("reason") or "unknown error")
        self.status = dict(status)
        self.code = int(status.get("code") or 0)
        self.reason = str(status.get("reason") or "")


class NotFoundError(ApiError):
    """404: no such object, or no such resource."""


class ConflictError(ApiError):
    """409: somebody else changed the object first, or owns the field."""


class AlreadyExistsError(ConflictError):
    """409, reason AlreadyExists."""


class ForbiddenError(ApiError):
    """403: access control or admission said no."""


class ExpiredError(ApiError):
    """410: the resource version is too old; list again."""


class UnknownKindError(Exception):
    """The API server does not serve this kind (its CRD may come later)."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f'no matches for kind "{kind}" in version "{api_version}"')
        self.api_version, self.kind = api_version, kind


_CHILDREN: dict[int, type[ApiError]] = {
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
}


def error_of(status: Mapping[str, Any]) -> ApiError:
    """The exception for a Status."""
    if status.get("reason") == "AlreadyExists":
        return AlreadyExistsError(status)
    return _CHILDREN.get(int(status.get("code") or 0), ApiError)(status)


@dataclass(frozen=True)
class Resource:
    """A kind as the API server serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`, ..."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of a collection, an object or its subresource."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{quote(namespace)}")
        parts += [self.plural, *(quote(part) for part in (name, subresource) if part)]
        return "/".join(parts)


class Client:
    """Talks to one API server as one user.

    Args:
        kubeconfig: A file or its content; the current context counts.
        user_agent: Who calls; up to the first `/` it is the default field manager.
    """

    def __init__(self, kubeconfig: Path | Mapping[str, object], *, user_agent: str) -> None:
        self._connection = read_connection(kubeconfig)
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._resources: dict[tuple[str, str], Resource] = {}

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._connection.server

    @property
    def authority(self) -> str:
        """The certificate that the API server is trusted by, as PEM text."""
        return self._connection.authority

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # Kinds

    async def resource(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind.

        Raises:
            UnknownKindError: The server does not serve it now.
        """
        if (api_version, kind) not in self._resources:
            await self._discover(api_version)
        try:
            return self._resources[api_version, kind]
        except KeyError:
            raise UnknownKindError(api_version, kind) from None

    async def resource_of(self, obj: Mapping[str, Any]) -> Resource:
        """The resource of an object, by its apiVersion and kind."""
        return await self.resource(str(obj["apiVersion"]), str(obj["kind"]))

    async def _discover(self, api_version: str) -> None:
        group, _, version = api_version.rpartition("/")
        try:
            found = await self.raw("GET", f"/apis/{group}/{version}" if group else f"/api/{version}")
        except NotFoundError:
            return
        for entry in found["resources"]:
            if "/" not in entry["name"]:
                resource = Resource(group, version, entry["name"], entry["kind"], bool(entry["namespaced"]))
                self._resources[api_version, resource.kind] = resource

    async def all_resources(self, *, verbs: tuple[str, ...] = ("list", "watch", "delete")) -> list[Resource]:
        """Every resource that allows the verbs, each in its preferred version; always asks the server."""
        found: list[Resource] = []
        for path in ("/api", "/apis"):
            answer = await self.raw("GET", path, headers={"Accept": _DISCOVERY})
            for group in answer["items"]:
                found += _preferred(group, set(verbs))
        self._resources |= {(resource.api_version, resource.kind): resource for resource in found}
        return found

    # Objects

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """Read one object."""
        return await self.raw("GET", resource.path(namespace, name))

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> tuple[list[Object], str]:
        """The objects of a kind and the resource version to watch from."""
        params = _selectors(label_selector, field_selector)
        found = await self.raw("GET", resource.path(namespace), params=params)
        # The items of a list of built-in kinds do not say what they are.
        said = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**said, **item} for item in found.get("items") or []], found["metadata"].get("resourceVersion", "")

    async def create(self, obj: Mapping[str, Any]) -> Object:
        """Create an object."""
        resource = await self.resource_of(obj)
        return await self.raw("POST", resource.path(obj["metadata"].get("namespace", "")), body=obj)

    async def replace(self, obj: Mapping[str, Any]) -> Object:
        """Replace an object; a stale resourceVersion in it is a ConflictError."""
        return await self._put(obj, "")

    async def replace_status(self, obj: Mapping[str, Any]) -> Object:
        """Replace the status of an object."""
        return await self._put(obj, "status")

    async def _put(self, obj: Mapping[str, Any], subresource: str) -> Object:
        resource, metadata = await self.resource_of(obj), obj["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"], subresource)
        return await self.raw("PUT", path, body=obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        patch: object,
        *,
        content_type: str = MERGE,
        subresource: str = "",
    ) -> Object:
        """Change parts of an object."""
        path = resource.path(namespace, name, subresource)
        return await self.raw("PATCH", path, body=patch, headers={"Content-Type": content_type})

    async def apply(self, obj: Mapping[str, Any], *, manager: str, force: bool = True, subresource: str = "") -> Object:
        """Server-side apply as a field manager."""
        resource, metadata = await self.resource_of(obj), obj["metadata"]
        return await self.raw(
            "PATCH",
            resource.path(metadata.get("namespace", ""), metadata["name"], subresource),
            body=obj,
            params={"fieldManager": manager, "force": "true" if force else "false"},
            headers={"Content-Type": APPLY},
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        propagation: str = "Background",
        uid: str = "",
        grace_seconds: int | None = None,
    ) -> None:
        """Ask for the end of an object; with a uid only of that very one."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self.raw("DELETE", resource.path(namespace, name), body=options)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
    ) -> AsyncIterator[tuple[str, Object]]:
        """Changes after a resource version, as (type, object), until the server ends the watch.

        Types are ADDED, MODIFIED, DELETED and BOOKMARK (whose object has only a resource version).

        Raises:
            ExpiredError: The version is too old: list again.
        """
        params = _selectors(label_selector, field_selector) | {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_seconds),
        }
        # A dead server must not hold the watch for ever: the server's own end comes first if it lives.
        timeout = aiohttp.ClientTimeout(total=timeout_seconds + 30, sock_connect=10)
        async with self._request("GET", resource.path(namespace), params=params, timeout=timeout) as response:
            if response.status >= 400:
                raise error_of(await _status_of(response))
            async for line in _lines(response.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise error_of(event["object"])
                yield event["type"], event["object"]

    # The wire

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        """One request with a JSON answer.

        Raises:
            ApiError: The server answered with an error Status.
            aiohttp.ClientError: No answer.
        """
        async with self._request(method, path, params=params, body=body, headers=headers) as response:
            if response.status >= 400:
                raise error_of(await _status_of(response))
            answer: Object = json.loads(await response.read())
            return answer

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.client._RequestContextManager:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        sent = {"Accept": "application/json", "User-Agent": self._user_agent}
        if token := self._connection.bearer():
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        return self._session.request(
            method,
            self._connection.server + path,
            params=params,
            data=None if body is None else json.dumps(body).encode(),
            headers=sent | dict(headers or {}),
            ssl=self._connection.tls if self._connection.tls is not None else True,
            timeout=timeout or aiohttp.ClientTimeout(total=_REQUEST_SECONDS, sock_connect=10),
        )


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in given.items() if value}


def _preferred(group: Mapping[str, Any], verbs: set[str]) -> list[Resource]:
    """The resources of a group that allow the verbs; of several versions the first, which is the preferred one."""
    found: dict[str, Resource] = {}
    name = group["metadata"].get("name", "")
    for version in group["versions"]:
        for entry in version.get("resources") or []:
            if verbs <= set(entry["verbs"]):
                resource = Resource(
                    name,
                    version["version"],
                    entry["resource"],
                    entry["responseKind"]["kind"],
                    entry["scope"] == "Namespaced",
                )
                found.setdefault(resource.plural, resource)
    return list(found.values())


async def _status_of(response: aiohttp.ClientResponse) -> Object:
    """The Status of a failed answer; a proxy or a path outside the API answers in plain text."""
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    return {"kind": "Status", "code": response.status, "reason": response.reason, "message": text.strip()}


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length (the reader's own limit is below the size of a large object)."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        rest += chunk
        if b"\n" not in chunk:
            continue
        *lines, tail = bytes(rest).split(b"\n")
        rest = bytearray(tail)
        for line in lines:
            if line:
                yield line
