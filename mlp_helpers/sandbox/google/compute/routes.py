"""Compute Engine's API: insert, get, list, aggregated lists, change, delete; global, by region and by zone."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from mlp_helpers.sandbox.google.admission import Admission, ProjectService
from mlp_helpers.sandbox.google.calls import Call, Handler, Json, Reply, Route, json_reply
from mlp_helpers.sandbox.google.compute import errors
from mlp_helpers.sandbox.google.compute.locations import GLOBAL_QUOTAS, QUOTAS, REGIONS, region_of, zones_of
from mlp_helpers.sandbox.google.compute.rules import LINK
from mlp_helpers.sandbox.google.compute.store import KINDS, ComputeStore, Kind
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.errors import GoogleError, legacy_body
from mlp_helpers.sandbox.google.operations import Finish, Operation, Operations, moment

_WAIT_SECONDS = 110.0
_GROUPS_GET = "compute.instanceGroupManagers.get"
_GLOBAL = ("networks", "firewalls", "addresses", "networkEndpointGroups", "forwardingRules")
_REGIONAL = ("subnetworks", "routers", "addresses", "forwardingRules", "networkEndpointGroups")
_ZONAL = ("networkEndpointGroups", "instances", "disks", "reservations")
_READ_ONLY = {"instances", "disks", "reservations", "forwardingRules"}


class ComputeService(ProjectService):
    """Compute Engine."""

    name = "compute.googleapis.com"

    def __init__(
        self,
        admission: Admission,
        documents: Documents,
        store: ComputeStore,
        *,
        seconds: float,
        size_of_group: Callable[[str], int | None],
    ) -> None:
        super().__init__(admission)
        self._size_of_group = size_of_group
        self.store = store
        self.operations = Operations(
            documents,
            service="compute",
            seconds=seconds,
            new_name=lambda: f"operation-{time.time_ns() // 1_000_000}-{secrets.token_hex(6)}",
            work=self._work,
        )

    def routes(self) -> Sequence[Route]:
        project = "/v1/projects/{project}"
        routes = [
            Route("GET", project, self._get_project, "compute.projects.get"),
            Route("GET", f"{project}/regions", self._list_regions, "compute.regions.list"),
            Route("GET", f"{project}/regions/{{region}}", self._get_region, "compute.regions.get"),
            Route("GET", f"{project}/zones", self._list_zones, "compute.zones.list"),
            Route("GET", f"{project}/zones/{{zone}}", self._get_zone, "compute.zones.get"),
            Route("GET", f"{project}/zones/{{zone}}/instanceGroupManagers/{{name}}", self._get_group, _GROUPS_GET),
        ]
        for scope, plurals in (("global", _GLOBAL), ("regions/{region}", _REGIONAL), ("zones/{zone}", _ZONAL)):
            routes += self._operation_routes(f"{project}/{scope}/operations")
            for plural in plurals:
                routes += self._routes_of(f"{project}/{scope}/{plural}", KINDS[plural])
        for plural in dict.fromkeys((*_REGIONAL, *_ZONAL)):
            handler = self._aggregated(KINDS[plural])
            routes.append(Route("GET", f"{project}/aggregated/{plural}", handler, f"compute.{plural}.list"))
        return routes

    def _routes_of(self, collection: str, kind: Kind) -> list[Route]:
        one, permission = f"{collection}/{{name}}", f"compute.{kind.plural}"
        reads = [
            Route("GET", collection, self._list(kind), f"{permission}.list"),
            Route("GET", one, self._get(kind), f"{permission}.get"),
        ]
        if kind.plural in _READ_ONLY:
            return reads
        writes = [
            Route("POST", collection, self._insert(kind), f"{permission}.create"),
            Route("PATCH", one, self._change(kind, replace=False), f"{permission}.update"),
            Route("DELETE", one, self._delete(kind), f"{permission}.delete"),
        ]
        if kind.plural in ("routers", "firewalls"):
            writes.append(Route("PUT", one, self._change(kind, replace=True), f"{permission}.update"))
        if kind.plural == "subnetworks":
            writes += [
                Route("POST", f"{one}/expandIpCidrRange", self._expand, f"{permission}.expandIpCidrRange"),
                Route("POST", f"{one}/setPrivateIpGoogleAccess", self._set_private_access, f"{permission}.update"),
            ]
        return reads + writes

    def _operation_routes(self, collection: str) -> list[Route]:
        return [
            Route("GET", collection, self._list_operations, "compute.globalOperations.list"),
            Route("GET", f"{collection}/{{name}}", self._get_operation, "compute.globalOperations.get"),
            Route("POST", f"{collection}/{{name}}/wait", self._wait_operation, "compute.globalOperations.get"),
        ]

    def error_reply(self, call: Call, error: GoogleError) -> Reply:
        return json_reply(legacy_body(error), error.code)

    def _project(self, project: str) -> str:
        return self.admission.projects.get(project).id

    # Resources

    def _list(self, kind: Kind) -> Handler:
        async def handler(call: Call, project: str, **location: str) -> Json:
            scope = _scope(location)
            items = [
                item
                for item in self.store.within_scope(self._project(project), scope, kind.plural)
                if _matches(call, item)
            ]
            return _listed(f"compute#{kind.singular}List", f"{call.path}", items)

        return handler

    def _aggregated(self, kind: Kind) -> Handler:
        async def handler(call: Call, project: str) -> Json:
            items: dict[str, Any] = {}
            for scope, resource in self.store.everywhere(self._project(project), kind.plural):
                if _matches(call, resource):
                    items.setdefault(scope, {kind.plural: []})[kind.plural].append(resource)
            return {
                "kind": f"compute#{kind.singular}AggregatedList",
                "id": call.path.strip("/").removeprefix("v1/"),
                "items": items,
            }

        return handler

    def _get(self, kind: Kind) -> Handler:
        async def handler(call: Call, project: str, name: str, **location: str) -> Json:
            return self.store.get(self._path(project, location, kind, name))

        return handler

    def _insert(self, kind: Kind) -> Handler:
        async def handler(call: Call, project: str, **location: str) -> Json:
            project_id, scope = self._project(project), _scope(location)
            resource = self.store.check_new(project_id, scope, kind, await call.json())
            path = f"projects/{project_id}/{scope}/{kind.plural}/{resource['name']}"
            self._check_no_operation(path)
            return self._begin(call, "insert", path, resource=resource)

        return handler

    def _change(self, kind: Kind, *, replace: bool) -> Handler:
        async def handler(call: Call, project: str, name: str, **location: str) -> Json:
            path = self._path(project, location, kind, name)
            self._check_no_operation(path)
            changed = self.store.change(path, await call.json(), replace=replace)
            return self._begin(call, "update" if replace else "patch", path, resource=changed)

        return handler

    def _delete(self, kind: Kind) -> Handler:
        async def handler(call: Call, project: str, name: str, **location: str) -> Json:
            path = self._path(project, location, kind, name)
            self._check_no_operation(path)
            self.store.check_delete(path)
            return self._begin(call, "delete", path)

        return handler

    async def _expand(self, call: Call, project: str, region: str, name: str) -> Json:
        return await self._set(call, self._path(project, {"region": region}, KINDS["subnetworks"], name), "ipCidrRange")

    async def _set_private_access(self, call: Call, project: str, region: str, name: str) -> Json:
        path = self._path(project, {"region": region}, KINDS["subnetworks"], name)
        return await self._set(call, path, "privateIpGoogleAccess")

    async def _set(self, call: Call, path: str, field: str) -> Json:
        body, current = await call.json(), self.store.get(path)
        changed = self.store.change(path, {field: body.get(field), "fingerprint": current["fingerprint"]})
        return self._begin(call, "patch", path, resource=changed)

    def _path(self, project: str, location: dict[str, str], kind: Kind, name: str) -> str:
        return f"projects/{self._project(project)}/{_scope(location)}/{kind.plural}/{name}"

    # Operations

    def _check_no_operation(self, path: str) -> None:
        """Two changes of one resource do not run at once."""
        for operation in self.operations.all():
            if operation.target == path and not operation.is_done:
                raise errors.not_ready(path)

    def _begin(self, call: Call, kind: str, path: str, *, resource: Json | None = None) -> Json:
        arguments: Json = {"user": call.identity.email, "resource": resource}
        scope = path.rpartition("/")[0].rpartition("/")[0]
        return _shown(self.operations.begin(kind, scope=scope, target=path, arguments=arguments))

    async def _work(self, operation: Operation) -> Finish:
        """The change happens when the operation ends; what would forbid it may have come up since it began."""
        resource = operation.arguments["resource"]

        def finish() -> None:
            if operation.kind == "delete":
                if self.store.find(operation.target):
                    self.store.check_delete(operation.target)
                self.store.delete(operation.target)
            else:
                self.store.write(operation.target, resource)

        return finish

    async def _list_operations(self, call: Call, project: str, **location: str) -> Json:
        scope = f"projects/{self._project(project)}/{_scope(location)}"
        items = [_shown(operation) for operation in self.operations.all() if operation.scope == scope]
        return _listed("compute#operationList", call.path, items)

    async def _get_operation(self, call: Call, project: str, name: str, **location: str) -> Json:
        return self._found(self.operations.get(name), call)

    async def _wait_operation(self, call: Call, project: str, name: str, **location: str) -> Json:
        return self._found(await self.operations.wait(name, _WAIT_SECONDS), call)

    def _found(self, operation: Operation | None, call: Call) -> Json:
        if operation is None:
            raise errors.not_found(call.path.removeprefix("/v1/").removesuffix("/wait"))
        return _shown(operation)

    # Places

    async def _get_project(self, call: Call, project: str) -> Json:
        found = self.admission.projects.get(project)
        return {
            "kind": "compute#project",
            "id": found.number,
            "name": found.id,
            "defaultServiceAccount": f"{found.number}-compute@developer.gserviceaccount.com",
            "quotas": _quotas(GLOBAL_QUOTAS),
            "selfLink": f"{LINK}projects/{found.id}",
        }

    async def _list_regions(self, call: Call, project: str) -> Json:
        return _listed("compute#regionList", call.path, [_region(self._project(project), region) for region in REGIONS])

    async def _get_region(self, call: Call, project: str, region: str) -> Json:
        if region not in REGIONS:
            raise errors.not_found(f"projects/{project}/regions/{region}")
        return _region(self._project(project), region)

    async def _list_zones(self, call: Call, project: str) -> Json:
        zones = [_zone(self._project(project), zone) for region in REGIONS for zone in zones_of(region)]
        return _listed("compute#zoneList", call.path, [zone for zone in zones if _matches(call, zone)])

    async def _get_group(self, call: Call, project: str, zone: str, name: str) -> Json:
        """The machines of a node pool in a zone: the only place where the API shows how many there are."""
        path = f"projects/{self._project(project)}/zones/{zone}/instanceGroupManagers/{name}"
        size = self._size_of_group(path)
        if size is None:
            raise errors.not_found(path)
        return {
            "kind": "compute#instanceGroupManager",
            "name": name,
            "zone": f"{LINK}projects/{self._project(project)}/zones/{zone}",
            "instanceGroup": f"{LINK}{path.replace('/instanceGroupManagers/', '/instanceGroups/')}",
            "targetSize": size,
            "status": {"isStable": True},
            "selfLink": LINK + path,
        }

    async def _get_zone(self, call: Call, project: str, zone: str) -> Json:
        if not region_of(zone) or zone in REGIONS:
            raise errors.not_found(f"projects/{project}/zones/{zone}")
        return _zone(self._project(project), zone)


def _scope(location: dict[str, str]) -> str:
    for kind, name in location.items():
        known = name in REGIONS if kind == "region" else bool(region_of(name))
        if not known:
            raise errors.invalid(kind, name, f"Unknown {kind}.")
        return f"{kind}s/{name}"
    return "global"


def _matches(call: Call, resource: Json) -> bool:
    """The simple filters: `name=x`, `network eq y`, `name:x*`; others are refused, not ignored."""
    text = call.query.text("filter")
    if not text:
        return True
    match = re.fullmatch(r'\(?(\w+)\s*(=|:|eq)\s*\(?"?([^")]*?)"?\)?\)?', text.strip())
    if not match:
        raise errors.invalid("filter", text, "not emulated in the sandbox: this filter")
    value, wanted = str(resource.get(match[1], "")), match[3]
    if match[2] == "eq":
        return re.fullmatch(wanted, value) is not None
    return wanted.strip("*") in value if match[2] == ":" else value == wanted


def _listed(kind: str, path: str, items: list[Json]) -> Json:
    listed: Json = {"kind": kind, "id": path.removeprefix("/v1/"), "selfLink": LINK + path.removeprefix("/v1/")}
    return listed | ({"items": items} if items else {})


def _quotas(limits: Any) -> list[Json]:
    return [{"metric": metric, "limit": limit, "usage": 0.0} for metric, limit in limits.items()]


def _region(project: str, region: str) -> Json:
    zones = [f"{LINK}projects/{project}/zones/{zone}" for zone in zones_of(region)]
    return {
        "kind": "compute#region",
        "name": region,
        "description": region,
        "status": "UP",
        "zones": zones,
        "quotas": _quotas(QUOTAS),
        "selfLink": f"{LINK}projects/{project}/regions/{region}",
    }


def _zone(project: str, zone: str) -> Json:
    return {
        "kind": "compute#zone",
        "name": zone,
        "description": zone,
        "status": "UP",
        "region": f"{LINK}projects/{project}/regions/{region_of(zone)}",
        "selfLink": f"{LINK}projects/{project}/zones/{zone}",
    }


def _shown(operation: Operation) -> Json:
    shown: Json = {
        "kind": "compute#operation",
        "id": str(int(operation.started * 1e6)),
        "name": operation.name,
        "operationType": operation.kind,
        "targetLink": LINK + operation.target,
        "user": operation.arguments.get("user", ""),
        "status": "DONE" if operation.is_done else "RUNNING",
        "progress": 100 if operation.is_done else 0,
        "insertTime": moment(operation.started),
        "startTime": moment(operation.started),
        "selfLink": f"{LINK}{operation.scope}/operations/{operation.name}",
    }
    scope = operation.scope.split("/")[2:]
    if len(scope) == 2:
        shown[scope[0].removesuffix("s")] = LINK + operation.scope
    if operation.ended is not None:
        shown["endTime"] = moment(operation.ended)
    if operation.error:
        problem = {"code": operation.error["status"], "message": operation.error["message"]}
        shown |= {"error": {"errors": [problem]}, "httpErrorStatusCode": 400, "httpErrorMessage": "BAD REQUEST"}
    return shown
