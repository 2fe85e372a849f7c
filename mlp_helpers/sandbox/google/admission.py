"""Who is let in: the token, the project, the API that must be enabled, the IAM permission. Every service asks here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlp_helpers.sandbox.google.calls import Call, Route, Service
from mlp_helpers.sandbox.google.errors import permission_denied, unauthenticated
from mlp_helpers.sandbox.google.policies import Policy, allows
from mlp_helpers.sandbox.google.resourcemanager.errors import consumer_invalid
from mlp_helpers.sandbox.google.resourcemanager.store import Project, ProjectStore
from mlp_helpers.sandbox.google.serviceusage.catalog import CATALOG
from mlp_helpers.sandbox.google.serviceusage.errors import service_disabled
from mlp_helpers.sandbox.google.serviceusage.store import ServiceStore
from mlp_helpers.sandbox.identities import Identities, Identity


class Admission:
    """The questions that a service asks before it answers a call."""

    def __init__(
        self,
        identities: Identities,
        projects: ProjectStore,
        services: ServiceStore,
        *,
        identity_of_jwt: Callable[[str], Identity | None],
    ) -> None:
        self._identities, self.projects, self.services = identities, projects, services
        self._identity_of_jwt = identity_of_jwt

    def identify(self, headers: Mapping[str, str]) -> Identity:
        """The caller behind the bearer token, or 401."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise unauthenticated()
        token = token.strip()
        is_jwt = token.count(".") == 2
        identity = self._identity_of_jwt(token) if is_jwt else self._identities.authenticate(token)
        if identity is None:
            raise unauthenticated()
        return identity

    def project(self, project: str, service: str) -> Project:
        """A project in which a service is enabled, or the 403 of one where it is not."""
        found = self.projects.find(project)
        if found is None:
            raise consumer_invalid(project, service)
        if not self.services.is_enabled(found.id, service):
            raise service_disabled(service, CATALOG[service].title, found.number)
        return found

    def permits(self, identity: Identity, permission: str, project: str, *policies: Policy) -> bool:
        """Whether the project's policy, or a nearer one, gives a permission."""
        return identity.is_admin or allows(identity, permission, [self.projects.policy(project), *policies])

    def require(self, identity: Identity, permission: str, project: str, *, resource: str, service: str) -> None:
        """Raise the service's 403 unless the project's policy gives the permission."""
        if not self.permits(identity, permission, project):
            raise permission_denied(permission, resource, service)


class ProjectService(Service):
    """A service whose paths name a project: the one place where its calls are admitted."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission

    async def admit(self, call: Call, route: Route, values: Mapping[str, str]) -> None:
        if "project" not in values:
            return
        project = self.admission.project(values["project"], self.name)
        if route.permission:
            resource = f"projects/{project.id}"
            self.admission.require(call.identity, route.permission, project.id, resource=resource, service=self.name)
