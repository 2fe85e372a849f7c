"""Which APIs each project has enabled."""

from __future__ import annotations

from collections.abc import Iterable

from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.resourcemanager.store import ProjectStore
from mlp_helpers.sandbox.google.serviceusage import errors
from mlp_helpers.sandbox.google.serviceusage.catalog import ALWAYS_ANSWERING, CATALOG, ENABLED_AT_FIRST

_ENABLED = "enabled-services"


class ServiceStore:
    """Enabled APIs by project."""

    def __init__(self, documents: Documents, projects: ProjectStore) -> None:
        self._documents, self._projects = documents, projects

    def enabled(self, project: str) -> set[str]:
        """Names of the enabled APIs of a project."""
        body = self._documents.get(_ENABLED, self._projects.get(project).id)
        return set(body["services"] if body else ENABLED_AT_FIRST)

    def is_enabled(self, project: str, service: str) -> bool:
        """Whether calls to an API are answered in a project."""
        return service in ALWAYS_ANSWERING or service in self.enabled(project)

    def enable(self, project: str, services: Iterable[str]) -> None:
        """Enable APIs and what they need."""
        wanted = list(services)
        check_known(wanted)
        enabled = self.enabled(project)
        while wanted:
            service = wanted.pop()
            enabled.add(service)
            wanted += [needed for needed in CATALOG[service].needs if needed not in enabled]
        self._write(project, enabled)

    def disable(self, project: str, service: str, *, with_dependents: bool) -> None:
        """Disable an API; others that need it must go as well, or forbid it."""
        check_known([service])
        enabled = self.enabled(project)
        dependents = self._dependents(service, enabled)
        if dependents and not with_dependents:
            raise errors.has_dependents(service, sorted(dependents), self._projects.get(project).number)
        self._write(project, enabled - dependents - {service})

    def _dependents(self, service: str, enabled: set[str]) -> set[str]:
        found: set[str] = set()
        waiting = [service]
        while waiting:
            needed = waiting.pop()
            new = {name for name in enabled - found if needed in CATALOG[name].needs}
            found |= new
            waiting += new
        return found

    def _write(self, project: str, enabled: set[str]) -> None:
        self._documents.put(_ENABLED, self._projects.get(project).id, {"services": sorted(enabled)})


def check_known(services: Iterable[str]) -> None:
    """Refuse names that are no API."""
    for service in services:
        if service not in CATALOG:
            raise errors.service_not_found(service)
