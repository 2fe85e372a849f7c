"""IAM's API: service accounts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlp_helpers.sandbox.google.admission import Admission, ProjectService
from mlp_helpers.sandbox.google.calls import Call, Json, Route
from mlp_helpers.sandbox.google.iam.store import AccountStore, ServiceAccount


class IamService(ProjectService):
    """Identity and Access Management."""

    name = "iam.googleapis.com"

    def __init__(self, admission: Admission, store: AccountStore) -> None:
        super().__init__(admission)
        self.store = store

    def routes(self) -> Sequence[Route]:
        accounts = "/v1/projects/{project}/serviceAccounts"
        account = f"{accounts}/{{account}}"
        return (
            Route("POST", accounts, self._create, "iam.serviceAccounts.create"),
            Route("GET", accounts, self._list, "iam.serviceAccounts.list"),
            Route("POST", f"{account}:getIamPolicy", self._get_policy, "iam.serviceAccounts.getIamPolicy"),
            Route("POST", f"{account}:setIamPolicy", self._set_policy, "iam.serviceAccounts.setIamPolicy"),
            Route("POST", f"{account}:testIamPermissions", self._test_permissions),
            Route("POST", f"{account}:enable", self._enable, "iam.serviceAccounts.enable"),
            Route("POST", f"{account}:disable", self._disable, "iam.serviceAccounts.disable"),
            Route("GET", account, self._get, "iam.serviceAccounts.get"),
            Route("PATCH", account, self._patch, "iam.serviceAccounts.update"),
            Route("DELETE", account, self._delete, "iam.serviceAccounts.delete"),
        )

    async def admit(self, call: Call, route: Route, values: Mapping[str, str]) -> None:
        """`-` means "the project that the account is in"."""
        if values["project"] == "-":
            values = {**values, "project": self.store.get("-", values.get("account", "")).project}
        await super().admit(call, route, values)

    def _account(self, project: str, name: str) -> ServiceAccount:
        return self.store.get("-" if project == "-" else self.admission.projects.get(project).id, name)

    async def _create(self, call: Call, project: str) -> Json:
        body = await call.json()
        settings = body.get("serviceAccount") or {}
        account = self.store.create(
            self.admission.projects.get(project).id,
            str(body.get("accountId", "")),
            display_name=settings.get("displayName", ""),
            description=settings.get("description", ""),
        )
        return self._shown(account)

    async def _list(self, call: Call, project: str) -> Json:
        accounts = self.store.all(self.admission.projects.get(project).id)
        return {"accounts": [self._shown(account) for account in accounts]}

    async def _get(self, call: Call, project: str, account: str) -> Json:
        return self._shown(self._account(project, account))

    async def _patch(self, call: Call, project: str, account: str) -> Json:
        body, found = await call.json(), self._account(project, account)
        settings = body.get("serviceAccount") or {}
        mask = body.get("updateMask") or ",".join(settings)
        if "displayName" in mask or "display_name" in mask:
            found = replace(found, display_name=settings.get("displayName", ""))
        if "description" in mask:
            found = replace(found, description=settings.get("description", ""))
        return self._shown(self.store.write(found))

    async def _enable(self, call: Call, project: str, account: str) -> Json:
        self.store.write(replace(self._account(project, account), disabled=False))
        return {}

    async def _disable(self, call: Call, project: str, account: str) -> Json:
        self.store.write(replace(self._account(project, account), disabled=True))
        return {}

    async def _delete(self, call: Call, project: str, account: str) -> Json:
        self.store.delete(self._account(project, account))
        return {}

    async def _get_policy(self, call: Call, project: str, account: str) -> Json:
        return self.store.policy(self._account(project, account))

    async def _set_policy(self, call: Call, project: str, account: str) -> Json:
        return self.store.set_policy(self._account(project, account), (await call.json()).get("policy") or {})

    async def _test_permissions(self, call: Call, project: str, account: str) -> Json:
        found = self._account(project, account)
        asked = (await call.json()).get("permissions") or []
        policy = self.store.policy(found)
        held = [one for one in asked if self.admission.permits(call.identity, one, found.project, policy)]
        return {"permissions": held} if held else {}

    def _shown(self, account: ServiceAccount) -> Json:
        shown: Json = {
            "name": f"projects/{account.project}/serviceAccounts/{account.email}",
            "projectId": account.project,
            "uniqueId": account.unique_id,
            "email": account.email,
            "etag": base64.b64encode(b"sandbox").decode(),
            "oauth2ClientId": account.unique_id,
        }
        optional = {
            "displayName": account.display_name,
            "description": account.description,
            "disabled": account.disabled,
        }
        return shown | {name: value for name, value in optional.items() if value}
