"""The metadata server that a pod sees: its token, its project, its zone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlp_helpers.sandbox.google.calls import Call, Reply, Route, Service, json_reply
from mlp_helpers.sandbox.google.credentials.service_account import TOKEN_SECONDS
from mlp_helpers.sandbox.google.errors import GoogleError
from mlp_helpers.sandbox.google.resourcemanager.store import Project, ProjectStore
from mlp_helpers.sandbox.identities import Identity

_FLAVOR = {"Metadata-Flavor": "Google"}
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_PROJECT_NUMBER = re.compile(r"principal://iam\.googleapis\.com/projects/(\d+)/")


class MetadataService(Service):
    """`/computeMetadata` under a pod's prefix; the caller is the pod's principal."""

    name = "metadata.google.internal"

    def __init__(self, projects: ProjectStore, *, default_project: str) -> None:
        self._projects, self._default_project = projects, default_project

    def routes(self) -> tuple[Route, ...]:
        account = "/v1/instance/service-accounts/{account}"
        return (
            Route("GET", "/", self._root),
            Route("GET", "/v1/", self._root),
            Route("GET", "/v1/universe/universe-domain", self._universe),
            Route("GET", "/v1/project/project-id", self._project_id),
            Route("GET", "/v1/project/numeric-project-id", self._project_number),
            Route("GET", "/v1/instance/service-accounts/", self._accounts),
            Route("GET", f"{account}/", self._account),
            Route("GET", f"{account}/email", self._email),
            Route("GET", f"{account}/scopes", self._scopes),
            Route("GET", f"{account}/token", self._token),
        )

    async def admit(self, call: Call, route: Route, values: Mapping[str, str]) -> None:
        """The real server asks for this header, so that a tricked browser gets nothing."""
        if call.headers.get("metadata-flavor") != "Google":
            raise GoogleError("PERMISSION_DENIED", "Missing Metadata-Flavor:Google header.")

    def error_reply(self, call: Call, error: GoogleError) -> Reply:
        status = 404 if error.code == 501 else error.code
        return Reply(status, error.message.encode(), {"Content-Type": "text/plain", **_FLAVOR})

    def _project(self, identity: Identity) -> Project:
        match = _PROJECT_NUMBER.match(identity.email)
        return self._projects.get(match[1] if match else self._default_project)

    async def _root(self, call: Call) -> Reply:
        return _text("instance/\nproject/\nuniverse/\n")

    async def _universe(self, call: Call) -> Reply:
        return _text("googleapis.com")

    async def _project_id(self, call: Call) -> Reply:
        return _text(self._project(call.identity).id)

    async def _project_number(self, call: Call) -> Reply:
        return _text(self._project(call.identity).number)

    async def _accounts(self, call: Call) -> Reply:
        return _text("default/\n")

    async def _account(self, call: Call, account: str) -> Reply:
        if not call.query.flag("recursive"):
            return _text("email\nscopes\ntoken\n")
        return json_reply({"aliases": ["default"], "email": self._pool(call), "scopes": _SCOPES}, headers=_FLAVOR)

    async def _email(self, call: Call, account: str) -> Reply:
        return _text(self._pool(call))

    def _pool(self, call: Call) -> str:
        """What GKE shows as the e-mail of a workload without a Google service account: its identity pool."""
        return f"{self._project(call.identity).id}.svc.id.goog"

    async def _scopes(self, call: Call, account: str) -> Reply:
        return _text("\n".join(_SCOPES))

    async def _token(self, call: Call, account: str) -> Reply:
        token = call.headers["authorization"].partition(" ")[2]
        return json_reply({"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}, headers=_FLAVOR)


def _text(text: str) -> Reply:
    return Reply(200, text.encode(), {"Content-Type": "application/text", **_FLAVOR})
