"""What a cluster says about itself: versions, health, discovery and OpenAPI."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from mlp_helpers.sandbox.kubernetes import discovery, openapi
from mlp_helpers.sandbox.kubernetes.answers import answer
from mlp_helpers.sandbox.kubernetes.errors import plain_not_found
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry
from mlp_helpers.sandbox.kubernetes.negotiation import negotiate_discovery
from mlp_helpers.sandbox.kubernetes.table import table

__all__ = ["VERSION", "TableEvents", "missing", "respond"]

Object = dict[str, Any]

# Clients require every field; the release is that of the definitions in data/.
VERSION = {
    "major": "1",
    "minor": "37",
    "emulationMajor": "1",
    "emulationMinor": "37",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "36",
    "gitVersion": "v1.37.0",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_HEALTH = ("healthz", "livez", "readyz")
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def respond(request: web.Request, registry: Registry) -> web.Response:
    """Answer a path that is not a resource.

    Raises:
        ApiError: 406 for a form of discovery that the server does not have.
    """
    parts = [one for one in request.path.split("/") if one]
    match parts:
        case []:
            return answer({"paths": sorted(_paths(registry))})
        case ["version"]:
            return answer(VERSION)
        case [check, *_] if check in _HEALTH:
            verbose = "verbose" in request.query and check == parts[-1]
            return _text(f"[+]ping ok\n[+]storage ok\n{check} check passed\n" if verbose else "ok")
        case ["api"] | ["apis"]:
            return _roots(request, registry, core=parts == ["api"])
        case ["apis", group]:
            found = discovery.group(registry, group)
            return answer(found) if found else _no_page()
        case ["api" | "apis", *_]:
            group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
            found = discovery.resource_list(registry, group, version)
            return answer(found) if found else missing(registry, group)
        case ["openapi", "v3"]:
            return answer(openapi.index(registry))
        case ["openapi", "v3", "api" | "apis", *names]:
            return _openapi(request, registry, names)
    return _no_page()


def _roots(request: web.Request, registry: Registry, *, core: bool) -> web.Response:
    if negotiate_discovery(request.headers.get("Accept", ""), discovery.AGGREGATED):
        return answer(
            discovery.aggregated(registry, core=core), media_type=discovery.AGGREGATED, headers={"Vary": "Accept"}
        )
    if core:
        return answer(discovery.api_versions(request.host))
    return answer(discovery.group_list(registry))


def _openapi(request: web.Request, registry: Registry, names: list[str]) -> web.Response:
    group, version = ("", names[0]) if len(names) == 1 else (names[0], names[-1]) if names else ("", "")
    found = openapi.document(registry, group, version)
    if found is None:
        return web.Response(status=404)
    return answer(found, headers=_FOREVER if request.query.get("hash") else None)


def _paths(registry: Registry) -> set[str]:
    paths = {
        "/api",
        "/api/v1",
        "/apis",
        "/apis/",
        "/openapi/v3",
        "/openapi/v3/",
        "/version",
        *(f"/{one}" for one in _HEALTH),
    }
    for kind in registry.all():
        if kind.group:
            paths |= {f"/apis/{kind.group}", f"/apis/{kind.api_version}"}
    return paths


def missing(registry: Registry, group: str) -> web.Response:
    """The answer to a resource or version that does not exist: a real server's built-in groups have a Status for it.

    Raises:
        ApiError: 404, if the group is a built-in one.
    """
    if any(kind.built_in and kind.group == group for kind in registry.all()):
        raise plain_not_found()
    return _no_page()


def _no_page() -> web.Response:
    return _text("404 page not found\n", status=404)


def _text(text: str, *, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status)


class TableEvents:
    """Turns the objects of a watch into tables; only the first describes its columns."""

    def __init__(self, kind: Kind, include_object: str) -> None:
        self._kind, self._include, self._first = kind, include_object, True

    def __call__(self, thing: Object) -> Object:
        metadata = {"resourceVersion": thing["metadata"].get("resourceVersion", "")}
        first, self._first = self._first, False
        return table(self._kind, [thing], metadata, include_object=self._include, with_columns=first)
