resource "github_repository" "this" {
  name        = var.name
  description = var.description
  visibility  = var.visibility
  topics      = var.topics

  auto_init          = true                    # a branch needs a commit to start from
  archive_on_destroy = var.deletion_protection # protected: kept, read-only, instead of deleted

  has_issues   = false
  has_projects = false
  has_wiki     = false

  # A promotion is a pull request from one environment's branch to the next; merging must not delete the lower one, and
  # only a merge commit keeps the two comparable.
  delete_branch_on_merge = false
  allow_merge_commit     = true
  allow_rebase_merge     = false
  allow_squash_merge     = false

  lifecycle {
    ignore_changes = [auto_init] # only read at creation; an imported repository has none
  }
}

# The first branch may be called anything: that is a setting of the owner's account. Renamed, it leaves none over.
resource "github_branch_default" "this" {
  repository = github_repository.this.name
  branch     = var.environments[0]
  rename     = true
}

resource "github_branch" "this" {
  for_each = toset(slice(var.environments, 1, length(var.environments)))

  repository    = github_repository.this.name
  branch        = each.value
  source_branch = github_branch_default.this.branch

  lifecycle {
    ignore_changes = [source_branch] # only read at creation; a new first environment must not replace the others
  }
}

# A ruleset and not a branch protection: it is the maintained way, and both need a paid plan on private repositories.
resource "github_repository_ruleset" "this" {
  for_each = var.protected_environments

  name        = "promotion to ${each.value}"
  repository  = github_repository.this.name
  target      = "branch"
  enforcement = "active"

  conditions {
    ref_name {
      include = ["refs/heads/${each.value}"]
      exclude = []
    }
  }

  rules {
    deletion         = true
    non_fast_forward = true

    pull_request {
      required_approving_review_count = var.required_reviews
      dismiss_stale_reviews_on_push   = true
      allowed_merge_methods           = ["merge"]
    }
  }

  depends_on = [github_branch.this]
}
