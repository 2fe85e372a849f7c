"""Pull requests, reviews, protection and rulesets as PyGithub sees them."""

from __future__ import annotations

from typing import Any

import pytest
from github import GithubException, UnknownObjectException
from github.PullRequest import PullRequest
from github.Repository import Repository

from tests.sandbox.github.conftest import Clients


@pytest.fixture
def pull(repository: Repository) -> PullRequest:
    repository.create_git_ref("refs/heads/dev", repository.get_branch("main").commit.sha)
    repository.create_file("clusters/a.yaml", "Add a", "a: 1\nb: 2\n", branch="dev")
    return repository.create_pull(base="main", head="dev", title="Promote dev", body="Why not")


def _ruleset(repository: Repository, rules: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    body = {
        "name": "upper",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": rules,
        **more,
    }
    found: dict[str, Any] = repository.requester.requestJsonAndCheck("POST", f"{repository.url}/rulesets", input=body)[
        1
    ]
    return found


def _message(error: pytest.ExceptionInfo[GithubException]) -> tuple[int, str]:
    return error.value.status, str(error.value.data["message"])


def test_pull_request_shows_what_it_brings(pull: PullRequest) -> None:
    assert (pull.number, pull.state, pull.mergeable, pull.mergeable_state) == (1, "open", True, "clean")
    assert (pull.head.ref, pull.base.ref, pull.commits, pull.additions) == ("dev", "main", 1, 2)
    file = next(iter(pull.get_files()))
    assert (file.filename, file.status, file.patch) == ("clusters/a.yaml", "added", "@@ -0,0 +1,2 @@\n+a: 1\n+b: 2")
    assert [commit.commit.message for commit in pull.get_commits()] == ["Add a"]


def test_merge_makes_a_commit_with_two_parents(repository: Repository, pull: PullRequest) -> None:
    done = pull.merge()
    commit = repository.get_commit("main")
    assert done.merged
    assert commit.sha == done.sha
    assert [parent.sha for parent in commit.parents] == [pull.base.sha, pull.head.sha]
    assert commit.commit.message == "Merge pull request #1 from mlp-sandbox/dev\n\nPromote dev"
    again = repository.get_pull(1)
    assert (again.state, again.merged, again.merge_commit_sha) == ("closed", True, done.sha)
    with pytest.raises(GithubException) as error:
        again.merge()
    assert _message(error) == (405, "Pull Request is not mergeable")


def test_squash_makes_a_commit_with_one_parent(repository: Repository, pull: PullRequest) -> None:
    pull.merge(merge_method="squash", commit_title="Promote")
    commit = repository.get_commit("main")
    assert len(commit.parents) == 1
    assert commit.commit.message == "Promote\n\nWhy not"


def test_merged_branch_goes_where_the_repository_wants_that(repository: Repository, pull: PullRequest) -> None:
    repository.edit(delete_branch_on_merge=True)
    pull.merge()
    assert [branch.name for branch in repository.get_branches()] == ["main"]
    assert next(iter(repository.get_pull(1).get_files())).filename == "clusters/a.yaml"


def test_conflict_cannot_be_merged(repository: Repository, pull: PullRequest) -> None:
    repository.create_file("clusters/a.yaml", "Add another a", "a: 3\n")
    assert repository.get_pull(1).mergeable_state == "dirty"
    with pytest.raises(GithubException) as error:
        pull.merge()
    assert _message(error) == (405, "Pull Request is not mergeable")


def test_merge_is_refused_when_the_head_is_not_the_one_seen(repository: Repository, pull: PullRequest) -> None:
    repository.create_file("more.yaml", "More", "x", branch="dev")
    with pytest.raises(GithubException) as error:
        pull.merge(sha=pull.head.sha)
    assert error.value.status == 409


def test_second_pull_request_of_the_same_branches_is_refused(repository: Repository, pull: PullRequest) -> None:
    with pytest.raises(GithubException) as error:
        repository.create_pull(base="main", head="dev", title="Again")
    assert error.value.data["errors"][0]["message"] == "A pull request already exists for mlp-sandbox:dev."


def test_pull_request_needs_commits(repository: Repository) -> None:
    repository.create_git_ref("refs/heads/dev", repository.get_branch("main").commit.sha)
    with pytest.raises(GithubException) as error:
        repository.create_pull(base="main", head="dev", title="Nothing")
    assert error.value.data["errors"][0]["message"] == "No commits between main and dev"


def test_pull_request_closes_when_its_branch_goes_and_is_merged_when_its_commits_arrive(
    repository: Repository, pull: PullRequest
) -> None:
    repository.get_git_ref("heads/main").edit(pull.head.sha)
    assert repository.get_pull(1).merged
    repository.create_git_ref("refs/heads/other", pull.head.sha)
    repository.create_file("o.yaml", "Other", "x", branch="other")
    repository.create_pull(base="main", head="other", title="Other")
    repository.get_git_ref("heads/other").delete()
    second = repository.get_pull(2)
    assert (second.state, second.merged) == ("closed", False)
    assert [each.number for each in repository.get_pulls(state="all")] == [2, 1]
    assert repository.get_pulls().totalCount == 0


def test_protection_reads_as_it_was_written(repository: Repository) -> None:
    branch = repository.get_branch("main")
    branch.edit_protection(
        strict=True,
        contexts=["vet"],
        enforce_admins=True,
        required_approving_review_count=2,
        dismiss_stale_reviews=True,
    )
    found = branch.get_protection()
    assert found.enforce_admins
    assert (found.required_status_checks.strict, found.required_status_checks.contexts) == (True, ["vet"])
    reviews = found.required_pull_request_reviews
    assert (reviews.required_approving_review_count, reviews.dismiss_stale_reviews) == (2, True)
    branch.remove_admin_enforcement()
    branch.remove_required_pull_request_reviews()
    assert not branch.get_protection().enforce_admins
    branch.remove_protection()
    with pytest.raises(GithubException) as error:
        branch.get_protection()
    assert _message(error) == (404, "Branch not protected")


def test_protected_branch_moves_by_pull_request_only(repository: Repository, pull: PullRequest) -> None:
    repository.get_branch("main").edit_protection(enforce_admins=True, required_approving_review_count=0)
    with pytest.raises(GithubException) as error:
        repository.create_file("x", "Directly", "x")
    assert _message(error) == (409, "Changes must be made through a pull request.")
    with pytest.raises(GithubException) as error:
        repository.get_git_ref("heads/main").edit(pull.head.sha)
    assert _message(error) == (422, "Changes must be made through a pull request.")
    assert pull.merge().merged


def test_administrator_passes_protection_that_does_not_bind_administrators(repository: Repository) -> None:
    repository.get_branch("main").edit_protection(enforce_admins=False, required_approving_review_count=1)
    repository.create_file("x", "Directly", "x")


def test_review_by_another_person_lets_a_merge_through(
    clients: Clients, repository: Repository, pull: PullRequest
) -> None:
    repository.get_branch("main").edit_protection(enforce_admins=True, required_approving_review_count=1)
    assert repository.get_pull(1).mergeable_state == "blocked"
    with pytest.raises(GithubException) as error:
        pull.merge()
    assert _message(error) == (405, "At least 1 approving review is required by reviewers with write access.")
    with pytest.raises(GithubException) as error:
        pull.create_review(event="APPROVE")
    assert _message(error) == (422, "Can not approve your own pull request")
    repository.add_to_collaborators("ada", "push")
    clients("ada-token").get_repo(repository.full_name).get_pull(1).create_review(event="APPROVE")
    assert [(review.user.login, review.state) for review in pull.get_reviews()] == [("ada", "APPROVED")]
    assert pull.merge().merged


def test_required_check_must_have_passed(repository: Repository, pull: PullRequest) -> None:
    repository.get_branch("main").edit_protection(strict=False, contexts=["vet"], enforce_admins=True)
    with pytest.raises(GithubException) as error:
        pull.merge()
    assert _message(error) == (405, 'Required status check "vet" is expected.')
    head = repository.get_commit(pull.head.sha)
    head.create_status("success", context="vet")
    assert head.get_combined_status().state == "success"
    assert pull.merge().merged


def test_ruleset_is_made_changed_and_removed(repository: Repository) -> None:
    made = _ruleset(repository, [{"type": "deletion"}])
    ask = repository.requester.requestJsonAndCheck
    url = f"{repository.url}/rulesets/{made['id']}"
    ask("PUT", url, input={**made, "rules": [{"type": "non_fast_forward"}]})
    assert ask("GET", url)[1]["rules"] == [{"type": "non_fast_forward"}]
    assert [each["name"] for each in ask("GET", f"{repository.url}/rulesets")[1]] == ["upper"]
    assert [each["type"] for each in ask("GET", f"{repository.url}/rules/branches/main")[1]] == ["non_fast_forward"]
    ask("DELETE", url)
    with pytest.raises(UnknownObjectException):
        ask("GET", url)


def test_ruleset_binds_administrators_unless_they_are_named(repository: Repository) -> None:
    rules = [{"type": "pull_request", "parameters": {"required_approving_review_count": 0}}]
    made = _ruleset(repository, rules)
    with pytest.raises(GithubException) as error:
        repository.create_file("x", "Directly", "x")
    assert error.value.status == 409
    assert "Changes must be made through a pull request." in error.value.data["message"]
    bypass = [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}]
    repository.requester.requestJsonAndCheck(
        "PUT", f"{repository.url}/rulesets/{made['id']}", input={"bypass_actors": bypass}
    )
    repository.create_file("x", "Directly", "x")


def test_rule_that_is_not_emulated_is_refused(repository: Repository) -> None:
    with pytest.raises(GithubException) as error:
        _ruleset(repository, [{"type": "merge_queue"}])
    assert _message(error) == (501, "not emulated in the sandbox: ruleset rule merge_queue")


def test_linear_history_takes_squashes_only(repository: Repository, pull: PullRequest) -> None:
    _ruleset(repository, [{"type": "required_linear_history"}])
    with pytest.raises(GithubException) as error:
        pull.merge()
    assert "This branch must not contain merge commits." in error.value.data["message"]
    assert pull.merge(merge_method="squash").merged


def test_ruleset_names_the_merge_methods_and_dismisses_stale_reviews(
    clients: Clients, repository: Repository, pull: PullRequest
) -> None:
    parameters = {
        "required_approving_review_count": 1,
        "dismiss_stale_reviews_on_push": True,
        "allowed_merge_methods": ["merge"],
    }
    _ruleset(repository, [{"type": "pull_request", "parameters": parameters}])
    repository.add_to_collaborators("ada", "push")
    reviewer = clients("ada-token").get_repo(repository.full_name).get_pull(1)
    reviewer.create_review(event="APPROVE")
    with pytest.raises(GithubException) as error:
        pull.merge(merge_method="squash")
    assert "The merge method squash is not allowed" in error.value.data["message"]
    repository.create_file("late.yaml", "Slip this in", "x", branch="dev")
    with pytest.raises(GithubException) as error:
        pull.merge()
    assert "At least 1 approving review is required" in error.value.data["message"]
    reviewer.create_review(event="APPROVE")
    assert pull.merge().merged
