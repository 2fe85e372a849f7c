mock_provider "github" {}

variables {
  name         = "mlp-configsync"
  environments = ["dev", "staging", "prod"]
}

run "each_environment_has_a_branch_and_the_first_is_the_default" {
  command = plan

  assert {
    condition     = output.default_branch == "dev"
    error_message = "Work begins in the first environment."
  }
  assert {
    condition     = toset(keys(github_branch.this)) == toset(["staging", "prod"])
    error_message = "The other environments have a branch each."
  }
  assert {
    condition     = length(github_repository_ruleset.this) == 0
    error_message = "Protection comes after the first commit, which it would refuse."
  }
}

run "one_environment_is_enough" {
  command = plan

  variables {
    environments = ["dev"]
  }
}

run "protection_names_its_branch_only" {
  command = plan

  variables {
    protected_environments = ["prod"]
  }

  assert {
    condition     = github_repository_ruleset.this["prod"].conditions[0].ref_name[0].include == tolist(["refs/heads/prod"])
    error_message = "Other branches stay open."
  }
}

run "an_unknown_environment_cannot_be_protected" {
  command = plan

  variables {
    protected_environments = ["production"]
  }

  expect_failures = [var.protected_environments]
}
