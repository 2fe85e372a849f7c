"""Services of a project, service accounts, members of policies, and the data sources."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mlp_helpers.sandbox.terraform.errors import ApiError
from tests.sandbox.terraform.conftest import Terraform, World

IDENTITY = """
resource "google_project_service" "secrets" {
  service            = "secretmanager.googleapis.com"
  disable_on_destroy = true
}

resource "google_service_account" "nodes" {
  account_id   = "mlp-dev-nodes"
  display_name = "Nodes"
}

resource "google_project_iam_member" "nodes" {
  for_each = toset([
    "roles/container.defaultNodeServiceAccount", "roles/monitoring.metricWriter", "roles/logging.logWriter",
  ])

  project = "mlp-sandbox"
  role    = each.value
  member  = google_service_account.nodes.member
}

resource "google_project_iam_member" "sometimes" {
  project = "mlp-sandbox"
  role    = "roles/viewer"
  member  = "user:Ada@example.com"
}

resource "google_service_account_iam_member" "act" {
  service_account_id = google_service_account.nodes.name
  role               = "roles/iam.serviceAccountUser"
  member             = "group:ml-team@example.com"
}

data "google_project" "this" {}

data "google_client_config" "this" {}

output "number" {
  value = data.google_project.this.number
}

output "region" {
  value = data.google_client_config.this.region
}
"""


def bindings(world: World) -> dict[str, list[str]]:
    policy = world.google.call("POST", "/cloudresourcemanager/v1/projects/mlp-sandbox:getIamPolicy", {})
    return {each["role"]: each["members"] for each in policy.get("bindings", [])}


def test_identities_and_their_roles(terraform: Terraform, world: World) -> None:
    terraform.apply(IDENTITY)
    member = "serviceAccount:mlp-dev-nodes@mlp-sandbox.iam.gserviceaccount.com"
    assert member in bindings(world)["roles/logging.logWriter"]
    assert terraform.run("output", "-raw", "number").stdout == "100000000001"
    assert terraform.run("output", "-raw", "region").stdout == "us-central1"
    account = terraform.resources()["google_service_account.nodes"]
    assert account["member"] == member

    terraform.apply(IDENTITY.replace('"Nodes"', '"Nodes of the platform"'))
    terraform.write(IDENTITY.replace("mlp-dev-nodes", "mlp-dev-other"))
    assert terraform.plan()["google_service_account.nodes"] == (["delete", "create"], [["account_id"]])

    terraform.run("state", "rm", "google_project_iam_member.nodes", "google_service_account.nodes")
    terraform.run("import", "-input=false", "google_service_account.nodes", account["id"])
    address = 'google_project_iam_member.nodes["roles/logging.logWriter"]'
    terraform.run("import", "-input=false", address, f"mlp-sandbox roles/logging.logWriter {member}")
    terraform.apply(IDENTITY)
    terraform.destroy()
    assert member not in str(bindings(world))
    service = world.google.call("GET", "/serviceusage/v1/projects/mlp-sandbox/services/secretmanager.googleapis.com")
    assert service["state"] == "DISABLED"


def test_a_member_taken_away_by_hand_is_given_back(terraform: Terraform, world: World) -> None:
    text = """
resource "google_project_iam_member" "m" {
  project = "mlp-sandbox"
  role    = "roles/gkehub.viewer"
  member  = "user:ada@example.com"
}
"""
    terraform.apply(text)
    policy = world.google.call("POST", "/cloudresourcemanager/v1/projects/mlp-sandbox:getIamPolicy", {})
    kept = [each for each in policy["bindings"] if each["role"] != "roles/gkehub.viewer"]
    body = {"policy": {**policy, "bindings": kept}}
    world.google.call("POST", "/cloudresourcemanager/v1/projects/mlp-sandbox:setIamPolicy", body)
    assert terraform.plan() == {"google_project_iam_member.m": (["create"], [])}
    terraform.apply(text)
    terraform.destroy()


def test_many_members_of_one_role_and_those_of_others_are_kept(terraform: Terraform, world: World) -> None:
    """Ten calls of Terraform and some of another program change one policy at once; the etag keeps them all."""
    url = "/cloudresourcemanager/v1/projects/mlp-sandbox"
    role = "roles/monitoring.viewer"

    def add(number: int) -> None:
        while True:
            policy = world.google.call("POST", f"{url}:getIamPolicy", {})
            found = [each for each in policy.get("bindings", []) if each["role"] != role]
            members = next((each["members"] for each in policy.get("bindings", []) if each["role"] == role), [])
            wanted = {"role": role, "members": [*members, f"user:other{number}@example.com"]}
            try:
                world.google.call("POST", f"{url}:setIamPolicy", {"policy": {**policy, "bindings": [*found, wanted]}})
                return
            except ApiError as error:
                if error.status != 409:
                    raise

    text = f"""
resource "google_project_iam_member" "m" {{
  count   = 10
  project = "mlp-sandbox"
  role    = "{role}"
  member  = "user:ada${{count.index}}@example.com"
}}
"""
    terraform.write(text)
    terraform.init()
    with ThreadPoolExecutor(1) as pool:
        others = pool.map(add, range(30))
        terraform.run("apply", "-auto-approve", "-no-color")
        list(others)
    assert len(bindings(world)[role]) == 40
    terraform.destroy()
    assert len(bindings(world)[role]) == 30
