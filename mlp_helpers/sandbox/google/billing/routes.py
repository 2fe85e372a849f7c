"""Cloud Billing's API: the link between a project and a billing account, kept with the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlp_helpers.sandbox.google.admission import ProjectService
from mlp_helpers.sandbox.google.calls import Call, Json, Route
from mlp_helpers.sandbox.google.resourcemanager.store import SANDBOX_BILLING_ACCOUNT, Project


class BillingService(ProjectService):
    """Cloud Billing."""

    name = "cloudbilling.googleapis.com"

    def routes(self) -> Sequence[Route]:
        info = "/v1/projects/{project}/billingInfo"
        return (
            Route("GET", info, self._get, "resourcemanager.projects.get"),
            Route("PUT", info, self._put, "resourcemanager.projects.createBillingAssignment"),
            Route("GET", "/v1/billingAccounts", self._accounts),
        )

    async def _get(self, call: Call, project: str) -> Json:
        return _shown(self.admission.projects.get(project))

    async def _put(self, call: Call, project: str) -> Json:
        account = str((await call.json()).get("billingAccountName", ""))
        return _shown(
            self.admission.projects.change(replace(self.admission.projects.get(project), billing_account=account))
        )

    async def _accounts(self, call: Call) -> Json:
        account = {"name": SANDBOX_BILLING_ACCOUNT, "open": True, "displayName": "The sandbox's billing account"}
        return {"billingAccounts": [account]}


def _shown(project: Project) -> Json:
    return {
        "name": f"projects/{project.id}/billingInfo",
        "projectId": project.id,
        "billingAccountName": project.billing_account,
        "billingEnabled": bool(project.billing_account),
    }
