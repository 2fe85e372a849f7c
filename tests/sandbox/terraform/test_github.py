"""The configuration repository, its branches and their protection."""

from __future__ import annotations

from tests.sandbox.terraform.conftest import Terraform, World

REPOSITORY = """
resource "github_repository" "this" {
  name               = "mlp-configsync"
  description        = "Configuration"
  visibility         = "private"
  auto_init          = true
  archive_on_destroy = false
  has_issues         = false
  has_wiki           = false
  topics             = ["mlp-workbook", "gke"]
  allow_rebase_merge = false
}

resource "github_branch_default" "this" {
  repository = github_repository.this.name
  branch     = "dev"
  rename     = true
}

resource "github_branch" "prod" {
  repository    = github_repository.this.name
  branch        = "prod"
  source_branch = github_branch_default.this.branch
}

resource "github_repository_ruleset" "prod" {
  name        = "promotion"
  repository  = github_repository.this.name
  target      = "branch"
  enforcement = "active"

  conditions {
    ref_name {
      include = ["refs/heads/prod"]
      exclude = []
    }
  }

  rules {
    deletion         = true
    non_fast_forward = true

    pull_request {
      required_approving_review_count = 1
      allowed_merge_methods           = ["merge"]
    }
  }

  depends_on = [github_branch.prod]
}

resource "github_branch_protection_v3" "dev" {
  repository     = github_repository.this.name
  branch         = github_branch_default.this.branch
  enforce_admins = false

  required_status_checks {
    strict = true
    checks = ["vet", "lint:42"]
  }

  required_pull_request_reviews {
    required_approving_review_count = 2
    dismiss_stale_reviews           = true
  }
}

data "github_repository" "this" {
  name       = github_repository.this.name
  depends_on = [github_branch_default.this]
}

output "default_branch" {
  value = data.github_repository.this.default_branch
}
"""
PATH = "/repos/mlp-sandbox/mlp-configsync"


def test_a_repository_with_branches_and_protection(terraform: Terraform, world: World) -> None:
    terraform.apply(REPOSITORY)
    repository = world.github.call("GET", PATH)
    assert (repository["default_branch"], repository["topics"], repository["private"]) == (
        "dev",
        ["gke", "mlp-workbook"],
        True,
    )
    assert terraform.run("output", "-raw", "default_branch").stdout == "dev"
    assert world.github.call("GET", f"{PATH}/git/ref/heads/prod")["object"]["type"] == "commit"
    (ruleset,) = world.github.call("GET", f"{PATH}/rulesets")["items"]
    rules = world.github.call("GET", f"{PATH}/rulesets/{ruleset['id']}")["rules"]
    assert {rule["type"] for rule in rules} == {"deletion", "non_fast_forward", "pull_request"}

    # Someone takes the protection away and describes the repository anew.
    world.github.call("DELETE", f"{PATH}/rulesets/{ruleset['id']}")
    world.github.call("PATCH", PATH, {"description": "Changed by hand"})
    assert terraform.plan() == {
        "github_repository.this": (["update"], []),
        "github_repository_ruleset.prod": (["create"], []),
    }
    terraform.apply(REPOSITORY.replace("required_approving_review_count = 1", "required_approving_review_count = 0"))

    terraform.run("state", "rm", "github_repository.this", "github_branch.prod", "github_branch_protection_v3.dev")
    terraform.run("import", "-input=false", "github_repository.this", "mlp-configsync")
    terraform.run("import", "-input=false", "github_branch.prod", "mlp-configsync:prod:dev")
    terraform.run("import", "-input=false", "github_branch_protection_v3.dev", "mlp-configsync:dev")
    changes = terraform.plan()
    assert changes == {"github_repository.this": (["update"], [])}  # auto_init is read at creation only
    terraform.destroy()
    assert world.github.find(PATH) is None


def test_archive_instead_of_delete(terraform: Terraform, world: World) -> None:
    terraform.apply('resource "github_repository" "r" {\n  name = "kept"\n  archive_on_destroy = true\n}\n')
    terraform.destroy()
    assert world.github.call("GET", "/repos/mlp-sandbox/kept")["archived"] is True


def test_a_repository_of_an_organisation_is_renamed_in_place(terraform: Terraform, world: World) -> None:
    header = terraform_header_for("mlp-sandbox-org")
    text = 'resource "github_repository" "r" {\n  name = "first"\n  vulnerability_alerts = true\n}\n'
    terraform.write(text, header=header)
    terraform.init()
    terraform.run("apply", "-auto-approve", "-no-color")
    terraform.expect_no_changes()
    terraform.write(text.replace("first", "second"), header=header)
    assert terraform.plan() == {"github_repository.r": (["update"], [])}
    terraform.run("apply", "-auto-approve", "-no-color")
    terraform.expect_no_changes()
    assert world.github.call("GET", "/repos/mlp-sandbox-org/second")["name"] == "second"
    terraform.destroy()


def terraform_header_for(owner: str) -> str:
    from tests.sandbox.terraform.conftest import HEADER

    return HEADER.replace('provider "github" {}', f'provider "github" {{\n  owner = "{owner}"\n}}')
