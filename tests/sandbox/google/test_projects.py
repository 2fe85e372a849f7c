"""Projects, policies, enabled APIs, service accounts, billing: over REST, as Terraform speaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from mlp_helpers.waiting import Ready, Waiting, wait_for
from tests.sandbox.google.conftest import NUMBER, OWNER, PROJECT, Sandbox


class Api:
    """JSON calls as someone."""

    def __init__(self, sandbox: Sandbox, token: str) -> None:
        self._url, self._headers = sandbox.url, {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, body: Any = None, *, code: int = 200) -> Any:
        reply = requests.request(method, self._url + path, json=body, headers=self._headers, timeout=10)
        assert reply.status_code == code, reply.text
        return reply.json()

    def wait(self, path: str, *, done: str = "done") -> Any:
        """An operation when it has ended."""

        def look() -> Ready[Any] | Waiting:
            operation = self("GET", path)
            return Ready(operation) if operation.get(done) in (True, "DONE") else Waiting("running")

        return wait_for(look, path, timeout_seconds=10, first_pause_seconds=0.02)


@pytest.fixture
def api(sandbox: Sandbox) -> Api:
    return Api(sandbox, sandbox.owner_token)


@pytest.fixture
def as_other(sandbox: Sandbox) -> Callable[[str], Api]:
    return lambda email: Api(sandbox, sandbox.identities.issue(email))


def test_a_project_has_an_id_and_a_number(api: Api) -> None:
    assert api("GET", f"/cloudresourcemanager/v1/projects/{PROJECT}")["projectNumber"] == NUMBER
    assert api("GET", f"/cloudresourcemanager/v3/projects/{NUMBER}")["projectId"] == PROJECT
    missing = api("GET", "/cloudresourcemanager/v1/projects/missing-one", code=403)
    assert "or it may not exist" in missing["error"]["message"]


def test_a_project_is_created_once_and_owned_by_its_maker(api: Api) -> None:
    made = api("POST", "/cloudresourcemanager/v1/projects", {"projectId": "team-dev-1", "name": "Team dev"})
    assert made["done"]
    assert made["response"]["projectId"] == "team-dev-1"
    assert api("GET", f"/cloudresourcemanager/v1/{made['name']}")["done"]
    api("POST", "/cloudresourcemanager/v1/projects", {"projectId": "team-dev-1"}, code=409)
    policy = api("POST", "/cloudresourcemanager/v1/projects/team-dev-1:getIamPolicy")
    assert policy["bindings"] == [{"role": "roles/owner", "members": [f"user:{OWNER}"]}]
    services = api("GET", "/serviceusage/v1/projects/team-dev-1/services?filter=state:ENABLED")["services"]
    assert "storage.googleapis.com" in {service["config"]["name"] for service in services}


def test_a_policy_written_from_an_old_reading_is_refused(api: Api) -> None:
    path = f"/cloudresourcemanager/v1/projects/{PROJECT}"
    policy = api("POST", f"{path}:getIamPolicy")
    bindings = [*policy["bindings"], {"role": "roles/viewer", "members": ["user:a@example.com"]}]
    written = api("POST", f"{path}:setIamPolicy", {"policy": {"bindings": bindings, "etag": policy["etag"]}})
    assert written["etag"] != policy["etag"]
    stale = api("POST", f"{path}:setIamPolicy", {"policy": {"bindings": [], "etag": policy["etag"]}}, code=409)
    assert stale["error"]["status"] == "ABORTED"


def test_what_a_caller_may_is_what_the_policy_gives(api: Api, as_other: Callable[[str], Api]) -> None:
    path = f"/cloudresourcemanager/v1/projects/{PROJECT}"
    viewer = as_other("gateway@example.com")
    asked = {"permissions": ["gkehub.gateway.get", "container.clusters.delete"]}
    assert viewer("POST", f"{path}:testIamPermissions", asked) == {}
    policy = api("POST", f"{path}:getIamPolicy")
    policy["bindings"].append({"role": "roles/gkehub.gatewayReader", "members": ["user:gateway@example.com"]})
    api("POST", f"{path}:setIamPolicy", {"policy": policy})
    assert viewer("POST", f"{path}:testIamPermissions", asked) == {"permissions": ["gkehub.gateway.get"]}
    denied = viewer("GET", path, code=403)["error"]
    assert denied["details"][0]["reason"] == "IAM_PERMISSION_DENIED"


def test_a_service_that_is_off_refuses_until_it_is_enabled(api: Api) -> None:
    api("POST", "/cloudresourcemanager/v1/projects", {"projectId": "fresh-project"})
    refused = api("GET", "/iam/v1/projects/fresh-project/serviceAccounts", code=403)["error"]
    assert refused["status"] == "PERMISSION_DENIED"
    assert refused["details"][0]["reason"] == "SERVICE_DISABLED"
    assert refused["details"][0]["metadata"]["service"] == "iam.googleapis.com"
    begun = api("POST", "/serviceusage/v1/projects/fresh-project/services/iam.googleapis.com:enable", {})
    ended = api.wait(f"/serviceusage/v1/{begun['name']}")
    assert ended["response"]["service"]["state"] == "ENABLED"
    assert api("GET", "/iam/v1/projects/fresh-project/serviceAccounts")["accounts"] == []
    again = api("POST", "/serviceusage/v1/projects/fresh-project/services/iam.googleapis.com:enable", {})
    assert (again["name"], again["done"]) == ("operations/noop.DONE_OPERATION", True)


def test_many_services_are_enabled_with_what_they_need_and_disabled_with_care(api: Api) -> None:
    api("POST", "/cloudresourcemanager/v1/projects", {"projectId": "batch-project"})
    services = "/serviceusage/v1/projects/batch-project/services"
    begun = api("POST", f"{services}:batchEnable", {"serviceIds": ["container.googleapis.com", "mesh.googleapis.com"]})
    assert len(api.wait(f"/serviceusage/v1/{begun['name']}")["response"]["services"]) == 2
    assert api("GET", f"{services}/compute.googleapis.com")["state"] == "ENABLED"
    refused = api("POST", f"{services}/compute.googleapis.com:disable", {}, code=400)["error"]
    assert "is depended on by" in refused["message"]
    api("POST", f"{services}/compute.googleapis.com:disable", {"disableDependentServices": True})
    assert api("GET", f"{services}/container.googleapis.com")["state"] == "DISABLED"
    unknown = api("POST", f"{services}/nothing.googleapis.com:enable", {}, code=403)["error"]
    assert "Not found or permission denied for service(s)" in unknown["message"]


def enable(api: Api, *services: str, project: str = PROJECT) -> None:
    path = f"/serviceusage/v1/projects/{project}/services:batchEnable"
    begun = api("POST", path, {"serviceIds": [f"{service}.googleapis.com" for service in services]})
    if not begun["done"]:
        api.wait(f"/serviceusage/v1/{begun['name']}")


def test_a_service_account_lives_and_is_found_without_its_project(api: Api) -> None:
    enable(api, "iam")
    accounts = f"/iam/v1/projects/{PROJECT}/serviceAccounts"
    made = api("POST", accounts, {"accountId": "ml-nodes", "serviceAccount": {"displayName": "Nodes"}})
    assert made["email"] == f"ml-nodes@{PROJECT}.iam.gserviceaccount.com"
    api("POST", accounts, {"accountId": "ml-nodes"}, code=409)
    api("POST", accounts, {"accountId": "x"}, code=400)
    assert api("GET", f"/iam/v1/projects/-/serviceAccounts/{made['email']}")["uniqueId"] == made["uniqueId"]
    changed = {"serviceAccount": {"displayName": "Machines"}, "updateMask": "displayName"}
    assert api("PATCH", f"{accounts}/{made['email']}", changed)["displayName"] == "Machines"
    policy = {"policy": {"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": ["user:a@example.com"]}]}}
    assert api("POST", f"{accounts}/{made['email']}:setIamPolicy", policy)["bindings"]
    api("DELETE", f"{accounts}/{made['email']}")
    api("GET", f"{accounts}/{made['email']}", code=404)


def test_billing_is_linked(api: Api) -> None:
    assert api("GET", f"/cloudbilling/v1/projects/{PROJECT}/billingInfo")["billingEnabled"]
    api("POST", "/cloudresourcemanager/v1/projects", {"projectId": "unpaid-project"})
    path = "/cloudbilling/v1/projects/unpaid-project/billingInfo"
    assert not api("GET", path)["billingEnabled"]
    account = api("GET", "/cloudbilling/v1/billingAccounts")["billingAccounts"][0]["name"]
    assert api("PUT", path, {"billingAccountName": account})["billingEnabled"]


def test_only_an_owner_makes_identities(api: Api, sandbox: Sandbox) -> None:
    made = api("POST", "/sandbox/identities", {"email": "made@example.com", "groups": ["team@example.com"]})
    assert sandbox.identities.authenticate(made["token"]).groups == ("team@example.com",)  # type: ignore[union-attr]
    Api(sandbox, made["token"])("POST", "/sandbox/identities", {"email": "b@example.com"}, code=403)
    Api(sandbox, "nobody")("POST", "/sandbox/identities", {"email": "b@example.com"}, code=401)


def test_unknown_calls_say_that_they_are_not_emulated(api: Api) -> None:
    read = api("GET", f"/iam/v1/projects/{PROJECT}/roles", code=501)["error"]
    write = api("POST", f"/iam/v1/projects/{PROJECT}/roles", {}, code=400)["error"]
    nowhere = api("POST", "/pubsub/v1/topics", {}, code=400)["error"]
    assert read["message"] == f"not emulated in the sandbox: GET /iam/v1/projects/{PROJECT}/roles"
    assert write["message"].startswith("not emulated in the sandbox: POST")
    assert nowhere["message"].startswith("not emulated in the sandbox: POST")
