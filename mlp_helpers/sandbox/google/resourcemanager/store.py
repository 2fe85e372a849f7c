"""Projects and their IAM policies."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.errors import invalid_argument
from mlp_helpers.sandbox.google.policies import Policy, replaced, with_etag
from mlp_helpers.sandbox.google.resourcemanager import errors

_PROJECTS, _POLICIES = "projects", "project-policies"
_PROJECT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
SANDBOX_BILLING_ACCOUNT = "billingAccounts/000000-5A4DB0-000000"
_FIRST_NEW_NUMBER = 100000000100


@dataclass(frozen=True)
class Project:
    """A project; `number` is what fleets and identity pools call it by."""

    id: str
    number: str
    display_name: str
    created: str
    state: str = "ACTIVE"
    labels: dict[str, str] = field(default_factory=dict)
    billing_account: str = ""


class ProjectStore:
    """The projects of this sandbox."""

    def __init__(self, documents: Documents, projects: Mapping[str, str]) -> None:
        self._documents = documents
        for project_id, number in projects.items():
            if documents.get(_PROJECTS, project_id) is None:
                self._add(Project(project_id, number, project_id, _now(), billing_account=SANDBOX_BILLING_ACCOUNT))

    def find(self, project: str) -> Project | None:
        """A project by id or number."""
        if project.isdigit():
            return next((known for known in self.all() if known.number == project), None)
        body = self._documents.get(_PROJECTS, project)
        return Project(**body) if body else None

    def get(self, project: str) -> Project:
        """A project by id or number, or the real service's refusal."""
        found = self.find(project)
        if found is None:
            raise errors.project_not_found(project)
        return found

    def all(self) -> list[Project]:
        """All projects."""
        return [Project(**body) for _, body in self._documents.list(_PROJECTS)]

    def create(self, project_id: str, *, display_name: str = "", labels: Mapping[str, str] | None = None) -> Project:
        """A new project, without a billing account."""
        if not _PROJECT_ID.fullmatch(project_id):
            raise invalid_argument(
                "field [project_id] has issue [project_id contains invalid characters or has a wrong length]"
            )
        if self.find(project_id):
            raise errors.project_exists()
        numbers = [int(project.number) for project in self.all()]
        number = str(max([_FIRST_NEW_NUMBER - 1, *numbers]) + 1)
        return self._add(Project(project_id, number, display_name or project_id, _now(), labels=dict(labels or {})))

    def _add(self, project: Project) -> Project:
        self._documents.put(_PROJECTS, project.id, asdict(project))
        return project

    def change(self, project: Project) -> Project:
        """Write a project back."""
        return self._add(project)

    def policy(self, project: str) -> Policy:
        """A project's IAM policy."""
        return with_etag(self._documents.get(_POLICIES, self.get(project).id) or {"version": 1, "bindings": []})

    def set_policy(self, project: str, wanted: Mapping[str, object]) -> Policy:
        """Replace a project's IAM policy; an old etag is refused, so two writers cannot undo each other."""
        policy = replaced(self.policy(project), wanted, stale=errors.policy_changed())
        self._documents.put(_POLICIES, self.get(project).id, policy)
        return policy


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
