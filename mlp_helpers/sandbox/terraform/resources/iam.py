"""Identity: google_service_account, and members of roles of projects, service accounts and buckets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from mlp_helpers.sandbox.terraform.api import Json, Services, quoted
from mlp_helpers.sandbox.terraform.bodies import Shape
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.base import Resource
from mlp_helpers.sandbox.terraform.resources.rest import RestResource, argument
from mlp_helpers.sandbox.terraform.rules import Rules, matches, names_the_same
from mlp_helpers.sandbox.terraform.values import Values

_IAM = "/iam/v1"
_CONFLICTS_BEFORE_GIVING_UP = 10


class ServiceAccount(RestResource):
    """google_service_account."""

    service = _IAM
    collection = "projects/{project}/serviceAccounts"
    name_argument = "email"
    shape = Shape(
        names={"email": "email"}, local=frozenset({"project", "account_id", "member", "create_ignore_already_exists"})
    )
    rules = Rules(
        immutable=frozenset({"account_id", "project"}),
        from_provider=("project",),
        checks=(
            matches(
                "account_id",
                r"[a-z]([-a-z0-9]{4,28}[a-z0-9])",
                "must have 6 to 30 lower-case letters, digits and hyphens, begin with a letter, not end with a hyphen",
            ),
        ),
    )

    def identity(self, values: Values) -> Values:
        email = values.get("email") or self.fill("{account_id}@{project}.iam.gserviceaccount.com", values)
        name = f"projects/{values['project']}/serviceAccounts/{email}"
        return {
            "id": name,
            "name": name,
            "email": email,
            "member": f"serviceAccount:{email}",
            "account_id": email.split("@")[0],
        }

    def create(self, services: Services, values: Values) -> Values:
        account = {"displayName": values.get("display_name") or "", "description": values.get("description") or ""}
        body = {"accountId": values["account_id"], "serviceAccount": account}
        try:
            services.google.call("POST", f"{_IAM}/{self.fill(self.collection, values)}", body)
        except ApiError as error:
            if error.status != 409 or not values.get("create_ignore_already_exists"):
                raise
        identity = self.identity(values)
        if values.get("disabled"):
            services.google.call("POST", f"{self.url(identity | {'project': values['project']})}:disable", {})
        return identity

    def state(self, body: Json, seed: Values) -> Values:
        return super().state(body, seed) | self.identity(seed)

    def update(self, services: Services, prior: Values, values: Values) -> None:
        if bool(prior.get("disabled")) != bool(values.get("disabled")):
            services.google.call("POST", f"{self.url(prior)}:{'disable' if values.get('disabled') else 'enable'}", {})
        fields = {
            api: values.get(name) or ""
            for name, api in (("display_name", "displayName"), ("description", "description"))
            if (values.get(name) or "") != (prior.get(name) or "")
        }
        if fields:
            body = {"serviceAccount": fields, "updateMask": ",".join(sorted(fields))}
            services.google.call("PATCH", self.url(prior), body)

    def imported(self, identifier: str, provider: Any) -> Values:
        email = identifier.rsplit("/", 1)[-1]
        if "@" not in email:
            raise ProviderError(
                "Import id is not valid", f'"{identifier}" is no projects/PROJECT/serviceAccounts/EMAIL.'
            )
        parts = identifier.split("/")
        project = parts[1] if parts[0] == "projects" else email.split("@")[1].split(".")[0]
        return {"project": project, "email": email, "account_id": email.split("@")[0]}


class IamMember(Resource):
    """A member of a role of one resource's policy, changed under the policy's etag so that other members stay."""

    target_argument: ClassVar[str]

    def target(self, values: Values) -> str:
        """What the policy belongs to, as it stands in the id."""
        return str(values[self.target_argument])

    def get_policy(self, services: Services, target: str) -> Json:
        """The policy as it is."""
        raise NotImplementedError

    def set_policy(self, services: Services, target: str, policy: Json) -> None:
        """Replace the policy; the service refuses a stale etag."""
        raise NotImplementedError

    def identity(self, values: Values) -> Values:
        condition = argument(values, "condition").get("title")
        parts = [self.target(values), values["role"], values["member"], *([condition] if condition else [])]
        return {"id": "/".join(parts)}

    def create(self, services: Services, values: Values) -> Values:
        def add(bindings: list[Json]) -> None:
            binding = _find(bindings, values)
            if binding is None:
                condition = argument(values, "condition")
                bindings.append(
                    {
                        "role": values["role"],
                        "members": [values["member"]],
                        **({"condition": _plain(condition)} if condition else {}),
                    }
                )
            elif not _has(binding, values["member"]):
                binding["members"].append(values["member"])

        self._change(services, self.target(values), add)
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        try:
            policy = self.get_policy(services, self.target(state))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        binding = _find(policy.get("bindings", []), state)
        if binding is None or not _has(binding, state["member"]):
            return None
        return state | {"etag": policy.get("etag", "")}

    def delete(self, services: Services, state: Values) -> None:
        def drop(bindings: list[Json]) -> None:
            binding = _find(bindings, state)
            if binding is not None:
                binding["members"] = [
                    member for member in binding["members"] if not _same_member(member, state["member"])
                ]

        try:
            self._change(services, self.target(state), drop)
        except ApiError as error:
            if error.status != 404:
                raise

    def imported(self, identifier: str, provider: Any) -> Values:
        parts = identifier.split(" ")
        if len(parts) != 3:
            raise ProviderError("Import id is not valid", f'"{identifier}" is no "RESOURCE ROLE MEMBER".')
        return {self.target_argument: parts[0], "role": parts[1], "member": parts[2]}

    def _change(self, services: Services, target: str, change: Callable[[list[Json]], None]) -> None:
        with services.lock(f"policy {target}"):
            for attempt in range(_CONFLICTS_BEFORE_GIVING_UP):
                policy = self.get_policy(services, target)
                bindings = policy.setdefault("bindings", [])
                change(bindings)
                policy["bindings"] = [binding for binding in bindings if binding["members"]]
                if any("condition" in binding for binding in policy["bindings"]):
                    policy["version"] = 3
                try:
                    self.set_policy(services, target, policy)
                    return
                except ApiError as error:
                    # 409 and 412: someone else changed the policy in between; look again.
                    if error.status not in (409, 412) or attempt == _CONFLICTS_BEFORE_GIVING_UP - 1:
                        raise


_MEMBER_RULES = Rules(
    immutable=frozenset({"role", "member", "condition"}),
    equal={"member": lambda left, right: _same_member(left, right)},
    checks=(
        matches(
            "role",
            r"(roles/[\w.]+|(projects|organizations)/[^/]+/roles/[\w.]+)",
            "must be roles/NAME or a custom role's full name",
        ),
        matches(
            "member",
            r"(allUsers|allAuthenticatedUsers|(user|group|domain|serviceAccount|principal|principalSet|projectOwner|projectEditor|projectViewer|iamMember|deleted):.+|principal(Set)?://.+)",
            "must begin with a kind, such as user:, group:, serviceAccount: or principal://",
        ),
    ),
)


class ProjectIamMember(IamMember):
    """google_project_iam_member."""

    target_argument = "project"
    rules = Rules(
        immutable=_MEMBER_RULES.immutable | {"project"}, equal=_MEMBER_RULES.equal, checks=_MEMBER_RULES.checks
    )

    def get_policy(self, services: Services, target: str) -> Json:
        body = {"options": {"requestedPolicyVersion": 3}}
        return services.google.call("POST", f"/cloudresourcemanager/v1/projects/{quoted(target)}:getIamPolicy", body)

    def set_policy(self, services: Services, target: str, policy: Json) -> None:
        services.google.call(
            "POST", f"/cloudresourcemanager/v1/projects/{quoted(target)}:setIamPolicy", {"policy": policy}
        )


class ServiceAccountIamMember(IamMember):
    """google_service_account_iam_member."""

    target_argument = "service_account_id"
    rules = Rules(
        immutable=_MEMBER_RULES.immutable | {"service_account_id"},
        equal={**_MEMBER_RULES.equal, "service_account_id": names_the_same},
        checks=(
            *_MEMBER_RULES.checks,
            matches(
                "service_account_id",
                r"projects/[^/]+/serviceAccounts/[^/]+",
                "must be projects/PROJECT/serviceAccounts/EMAIL",
            ),
        ),
    )

    def get_policy(self, services: Services, target: str) -> Json:
        return services.google.call(
            "POST", f"{_IAM}/{target}:getIamPolicy", {}, **{"options.requestedPolicyVersion": "3"}
        )

    def set_policy(self, services: Services, target: str, policy: Json) -> None:
        services.google.call("POST", f"{_IAM}/{target}:setIamPolicy", {"policy": policy})


class BucketIamMember(IamMember):
    """google_storage_bucket_iam_member."""

    target_argument = "bucket"
    rules = Rules(
        immutable=_MEMBER_RULES.immutable | {"bucket"},
        equal={**_MEMBER_RULES.equal, "bucket": names_the_same},
        checks=_MEMBER_RULES.checks,
    )

    def target(self, values: Values) -> str:
        return f"b/{str(values['bucket']).removeprefix('b/')}"

    def get_policy(self, services: Services, target: str) -> Json:
        return services.google.call("GET", f"/storage/v1/{target}/iam", optionsRequestedPolicyVersion="3")

    def set_policy(self, services: Services, target: str, policy: Json) -> None:
        services.google.call("PUT", f"/storage/v1/{target}/iam", policy)


def _find(bindings: list[Json], values: Values) -> Json | None:
    condition = _plain(argument(values, "condition"))
    return next(
        (b for b in bindings if b["role"] == values["role"] and _plain(b.get("condition") or {}) == condition), None
    )


def _plain(condition: Values) -> Json:
    return {name: value for name, value in condition.items() if value}


def _has(binding: Json, member: str) -> bool:
    return any(_same_member(one, member) for one in binding.get("members", []))


def _same_member(left: str, right: str) -> bool:
    """People's and robots' e-mails are the same in any case; principals are not."""
    if left.startswith("principal"):
        return left == right
    return left.lower() == right.lower()
