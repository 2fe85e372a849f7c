"""Resource Manager's API, v1 and v3: projects and their IAM policies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlp_helpers.sandbox.google.admission import ProjectService
from mlp_helpers.sandbox.google.calls import Call, Json, Route
from mlp_helpers.sandbox.google.errors import permission_denied
from mlp_helpers.sandbox.google.resourcemanager import errors
from mlp_helpers.sandbox.google.resourcemanager.store import Project


class ResourceManagerService(ProjectService):
    """Cloud Resource Manager; it answers in every project, enabled or not."""

    name = errors.SERVICE

    def routes(self) -> Sequence[Route]:
        common = [route for version in ("v1", "v3") for route in self._routes_of(version)]
        return (
            *common,
            Route("GET", "/v1/projects", self._list_v1),
            Route("POST", "/v1/projects", self._create),
            Route("GET", "/v1/projects/{project}", self._get_v1, "resourcemanager.projects.get"),
            Route("PUT", "/v1/projects/{project}", self._update_v1, "resourcemanager.projects.update"),
            Route("DELETE", "/v1/projects/{project}", self._delete, "resourcemanager.projects.delete"),
            Route("GET", "/v3/projects:search", self._search_v3),
            Route("POST", "/v3/projects", self._create),
            Route("GET", "/v3/projects/{project}", self._get_v3, "resourcemanager.projects.get"),
            Route("PATCH", "/v3/projects/{project}", self._update_v3, "resourcemanager.projects.update"),
            Route("DELETE", "/v3/projects/{project}", self._delete, "resourcemanager.projects.delete"),
        )

    def _routes_of(self, version: str) -> tuple[Route, ...]:
        project = f"/{version}/projects/{{project}}"
        return (
            Route("POST", f"{project}:getIamPolicy", self._get_policy, "resourcemanager.projects.getIamPolicy"),
            Route("POST", f"{project}:setIamPolicy", self._set_policy, "resourcemanager.projects.setIamPolicy"),
            Route("POST", f"{project}:testIamPermissions", self._test_permissions),
            Route("GET", f"/{version}/operations/{{operation}}", self._operation),
        )

    async def admit(self, call: Call, route: Route, values: Mapping[str, str]) -> None:
        if "project" not in values:
            return
        project = self.admission.projects.get(values["project"])
        if route.permission:
            resource = f"projects/{project.id}"
            self.admission.require(call.identity, route.permission, project.id, resource=resource, service=self.name)

    def _visible(self, call: Call) -> list[Project]:
        permission = "resourcemanager.projects.get"
        every = self.admission.projects.all()
        return [project for project in every if self.admission.permits(call.identity, permission, project.id)]

    async def _list_v1(self, call: Call) -> Json:
        wanted = re.findall(r"(?:projectId|id)[:=]\"?([\w-]+)", call.query.text("filter"))
        return {"projects": [_v1(project) for project in self._visible(call) if not wanted or project.id in wanted]}

    async def _search_v3(self, call: Call) -> Json:
        wanted = re.findall(r"(?:projectId|id)[:=]\"?([\w-]+)", call.query.text("query"))
        return {"projects": [_v3(project) for project in self._visible(call) if not wanted or project.id in wanted]}

    async def _get_v1(self, call: Call, project: str) -> Json:
        return _v1(self.admission.projects.get(project))

    async def _get_v3(self, call: Call, project: str) -> Json:
        return _v3(self.admission.projects.get(project))

    async def _create(self, call: Call) -> Json:
        """A new project; in the sandbox it is there at once, so its operation is done."""
        if not call.identity.is_admin:
            raise permission_denied("resourcemanager.projects.create", "organizations/0", self.name)
        body = await call.json()
        project = self.admission.projects.create(
            str(body.get("projectId", "")),
            display_name=str(body.get("displayName") or body.get("name") or ""),
            labels=body.get("labels"),
        )
        owner = {"role": "roles/owner", "members": [f"user:{call.identity.email}"]}
        self.admission.projects.set_policy(project.id, {"bindings": [owner]})
        return _finished(call, f"cp.{project.number}", project)

    async def _update_v1(self, call: Call, project: str) -> Json:
        body = await call.json()
        found = self.admission.projects.get(project)
        labels = body.get("labels") or {}
        return _v1(self.admission.projects.change(replace(found, display_name=body.get("name", ""), labels=labels)))

    async def _update_v3(self, call: Call, project: str) -> Json:
        body, found = await call.json(), self.admission.projects.get(project)
        mask = call.query.text("updateMask") or ",".join(body)
        if "displayName" in mask or "display_name" in mask:
            found = replace(found, display_name=body.get("displayName", ""))
        if "labels" in mask:
            found = replace(found, labels=body.get("labels") or {})
        return _finished(call, f"up.{found.number}", self.admission.projects.change(found))

    async def _delete(self, call: Call, project: str) -> Json:
        """Deletion is requested, as in the real service, where the project goes thirty days later."""
        found = self.admission.projects.get(project)
        deleted = self.admission.projects.change(replace(found, state="DELETE_REQUESTED"))
        return _finished(call, f"dp.{found.number}", deleted) if call.path.startswith("/v3") else {}

    async def _operation(self, call: Call, operation: str) -> Json:
        project = self.admission.projects.get(operation.partition(".")[2])
        return _finished(call, operation, project)

    async def _get_policy(self, call: Call, project: str) -> Json:
        return self.admission.projects.policy(project)

    async def _set_policy(self, call: Call, project: str) -> Json:
        body = await call.json()
        return self.admission.projects.set_policy(project, body.get("policy") or {})

    async def _test_permissions(self, call: Call, project: str) -> Json:
        asked = (await call.json()).get("permissions") or []
        held = [permission for permission in asked if self.admission.permits(call.identity, permission, project)]
        return {"permissions": held} if held else {}


def _finished(call: Call, name: str, project: Project) -> Json:
    shown = _v3(project) if call.path.startswith("/v3") else _v1(project)
    kind = "v3" if call.path.startswith("/v3") else "v1"
    response = {"@type": f"type.googleapis.com/google.cloud.resourcemanager.{kind}.Project", **shown}
    return {"name": f"operations/{name}", "done": True, "response": response}


def _v1(project: Project) -> Json:
    shown: Json = {
        "projectNumber": project.number,
        "projectId": project.id,
        "lifecycleState": project.state,
        "name": project.display_name,
        "createTime": project.created,
    }
    return shown | ({"labels": project.labels} if project.labels else {})


def _v3(project: Project) -> Json:
    shown: Json = {
        "name": f"projects/{project.number}",
        "projectId": project.id,
        "state": project.state,
        "displayName": project.display_name,
        "createTime": project.created,
        "updateTime": project.created,
        "etag": f'W/"{project.number}"',
    }
    return shown | ({"labels": project.labels} if project.labels else {})
