"""Git over HTTP with the real git program."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from github.Repository import Repository

from tests.sandbox.github.conftest import Clients, Git
from tests.sandbox.github.running import Running


def test_push_is_seen_by_rest_and_the_reverse(git: Git, repository: Repository) -> None:
    git("clone", "-q", git.address(), "copy")
    pushed = git.commit("copy", "clusters/dev/a.yaml", "a: 1\n")
    git("push", "-q", "origin", "main", folder="copy")
    assert repository.get_branch("main").commit.sha == pushed
    made = repository.create_file("b.yaml", "Add b", "b: 2\n")["commit"].sha
    git("pull", "-q", folder="copy")
    assert git("rev-parse", "HEAD", folder="copy") == made


def test_first_push_to_an_empty_repository_sets_the_default_branch(git: Git, clients: Clients) -> None:
    repository = clients().get_user().create_repo("configuration")
    git("init", "-q", "-b", "dev", "copy")
    pushed = git.commit("copy", "a.yaml", "a: 1\n")
    git("push", "-q", git.address(), "dev", folder="copy")
    repository.update()
    assert repository.default_branch == "dev"
    git("clone", "-q", git.address(), "again")
    assert git("rev-parse", "HEAD", folder="again") == pushed


def test_large_push_arrives_whole(git: Git, repository: Repository, tmp_path: Path) -> None:
    git("clone", "-q", git.address(), "copy")
    (tmp_path / "work" / "copy" / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    for number in range(100):
        (tmp_path / "work" / "copy" / f"{number}.yaml").write_text(f"number: {number}\n" * 20)
    pushed = git.commit("copy", "a.yaml", "a: 1\n")
    git("-c", "http.postBuffer=65536", "push", "-q", "origin", "main", folder="copy")  # sent in chunks
    assert repository.get_branch("main").commit.sha == pushed
    assert repository.get_contents("large.bin").size == 256 * 20_000


def test_shallow_clone_that_is_behind_is_refused_and_one_that_is_not_may_push(git: Git, repository: Repository) -> None:
    for number in range(3):
        repository.create_file(f"{number}.yaml", "Add", "x")
    git("clone", "-q", "--depth", "1", git.address(), "copy")
    assert git("rev-list", "--count", "HEAD", folder="copy") == "1"
    pushed = git.commit("copy", "a.yaml", "a: 1\n")
    git("push", "-q", "origin", "main", folder="copy")
    assert repository.get_branch("main").commit.sha == pushed
    repository.create_file("b.yaml", "Add b", "b")
    git.commit("copy", "c.yaml", "c: 1\n")
    answer = git.run("push", "origin", "main", folder="copy")
    assert answer.returncode == 1
    assert "[rejected]" in answer.stderr
    assert "fetch first" in answer.stderr


def test_branch_with_a_slash_is_made_and_deleted(git: Git, repository: Repository) -> None:
    git("clone", "-q", git.address(), "copy")
    git("push", "-q", "origin", "main:refs/heads/change/quota", folder="copy")
    assert "change/quota" in {branch.name for branch in repository.get_branches()}
    git("push", "-q", "origin", ":change/quota", folder="copy")
    assert "change/quota" not in {branch.name for branch in repository.get_branches()}


def test_commit_can_be_fetched_by_its_sha(git: Git, repository: Repository) -> None:
    sha = repository.get_branch("main").commit.sha
    git("init", "-q", "copy")
    git("fetch", "-q", "--depth", "1", git.address(), sha, folder="copy")
    assert git("rev-parse", "FETCH_HEAD", folder="copy") == sha


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("wrong-token", "Invalid username or token"),
        ("ada-token", "Repository not found."),
    ],
)
def test_clone_of_a_private_repository_needs_the_right_token(
    git: Git, repository: Repository, token: str, said: str
) -> None:
    answer = git.run("clone", git.address(token), "copy")
    assert answer.returncode == 128
    assert said in answer.stderr


def test_clone_without_a_token_asks_for_one(git: Git, server: Running, repository: Repository) -> None:
    answer = git.run("clone", f"{server.url}/mlp-sandbox/configuration.git", "copy")
    assert "could not read Username" in answer.stderr
    repository.edit(visibility="public")
    git("clone", "-q", f"{server.url}/mlp-sandbox/configuration.git", "copy")


def test_bearer_token_is_taken(git: Git, server: Running, repository: Repository) -> None:
    url = f"{server.url}/mlp-sandbox/configuration"
    git("-c", "http.extraHeader=Authorization: Bearer read-token", "clone", "-q", url, "copy")


def test_read_only_token_clones_and_does_not_push(git: Git, repository: Repository) -> None:
    git("clone", "-q", git.address("read-token"), "copy")
    git.commit("copy", "a.yaml", "a: 1\n")
    answer = git.run("push", "origin", "main", folder="copy")
    assert answer.returncode == 128
    assert "Write access to repository not granted." in answer.stderr
    assert repository.get_commits().totalCount == 1


def test_archived_repository_takes_no_push(git: Git, repository: Repository) -> None:
    git("clone", "-q", git.address(), "copy")
    git.commit("copy", "a.yaml", "a: 1\n")
    repository.edit(archived=True)
    assert "archived so it is read-only" in git.run("push", "origin", "main", folder="copy").stderr


def test_protected_branch_refuses_a_push_and_says_why(git: Git, repository: Repository) -> None:
    git("clone", "-q", git.address(), "copy")
    before = repository.get_branch("main").commit.sha
    repository.get_branch("main").edit_protection(enforce_admins=True, required_approving_review_count=0)
    git.commit("copy", "a.yaml", "a: 1\n")
    answer = git.run("push", "origin", "main", "main:dev", folder="copy")
    assert answer.returncode == 1
    assert "GH006: Protected branch update failed for refs/heads/main." in answer.stderr
    assert "Changes must be made through a pull request." in answer.stderr
    assert "[remote rejected] main -> main" in answer.stderr
    assert repository.get_branch("main").commit.sha == before
    assert repository.get_branch("dev").commit.commit.message == "Write a.yaml"


def test_protected_branch_is_neither_forced_nor_deleted(git: Git, repository: Repository) -> None:
    git("clone", "-q", git.address(), "copy")
    git("push", "-q", "origin", "main:prod", folder="copy")
    repository.get_branch("prod").edit_protection(enforce_admins=False)
    git("commit", "-q", "--amend", "-m", "Other", folder="copy")
    forced = git.run("push", "--force", "origin", "main:prod", folder="copy")
    assert "Cannot force-push to this protected branch" in forced.stderr
    deleted = git.run("push", "origin", ":prod", folder="copy")
    assert "Cannot delete this protected branch" in deleted.stderr


def test_ruleset_refuses_a_push_and_says_why(git: Git, repository: Repository) -> None:
    git("clone", "-q", git.address(), "copy")
    repository.requester.requestJsonAndCheck(
        "POST",
        f"{repository.url}/rulesets",
        input={
            "name": "upper",
            "target": "branch",
            "enforcement": "active",
            "conditions": {"ref_name": {"include": ["refs/heads/release/*"], "exclude": []}},
            "rules": [{"type": "creation"}],
        },
    )
    answer = git.run("push", "origin", "main:release/1", folder="copy")
    assert "GH013: Repository rule violations found for refs/heads/release/1." in answer.stderr
    assert "creations being restricted" in answer.stderr
    git("push", "-q", "origin", "main:feature", folder="copy")


def test_clones_at_the_same_time(git: Git, repository: Repository) -> None:
    with ThreadPoolExecutor(4) as pool:
        copies = [pool.submit(git, "clone", "-q", git.address(), f"copy{number}") for number in range(4)]
    for copy in copies:
        copy.result()


def test_pushes_and_rest_commits_at_the_same_time_lose_nothing(git: Git, repository: Repository) -> None:
    for number in range(4):
        git("clone", "-q", git.address(), f"copy{number}")
        git("checkout", "-q", "-b", f"b{number}", folder=f"copy{number}")
        git.commit(f"copy{number}", f"{number}.yaml", "x: 1\n")
    with ThreadPoolExecutor(5) as pool:
        pushes = [pool.submit(git, "push", "-q", "origin", f"b{number}", folder=f"copy{number}") for number in range(4)]
        writes = pool.submit(lambda: [repository.create_file(f"f{number}", "Add", "x") for number in range(8)])
    for each in [*pushes, writes]:
        each.result()
    assert {branch.name for branch in repository.get_branches()} == {"main", "b0", "b1", "b2", "b3"}
    assert repository.get_commits().totalCount == 9
