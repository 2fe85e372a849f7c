"""The configuration repository, against the emulated GitHub through the real client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from github import Auth, Github

from mlp_helpers.errors import ServiceError
from mlp_helpers.github import BranchProtection, ConfigRepository, blob_sha
from mlp_helpers.sandbox.github.store import READ_ONLY, Account
from tests.sandbox.github.running import Running

NAME = "mlp-sandbox/mlp-configsync"
ACCOUNTS = {
    "full-token": Account("mlp-sandbox", ("repo", "delete_repo")),
    "weak-token": Account("mlp-sandbox", ("repo",)),
    "read-token": Account("mlp-sandbox", (READ_ONLY,)),
    "ada-token": Account("ada", ("repo",)),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "home", ACCOUNTS.get) as running:
        yield running


def _client(server: Running, token: str = "full-token") -> Github:
    return Github(
        base_url=f"{server.url}/api/v3",
        auth=Auth.Token(token),
        seconds_between_requests=0,
        seconds_between_writes=0,
        retry=None,
    )


def _open(server: Running, token: str = "full-token", name: str = NAME) -> ConfigRepository:
    return ConfigRepository(_client(server, token), name)


@pytest.fixture
def repository(server: Running) -> ConfigRepository:
    found = _open(server)
    found.create()
    return found


def _commits(server: Running, branch: str) -> list[str]:
    return [each.commit.message for each in _client(server).get_repo(NAME).get_commits(sha=branch)]


def test_repository_is_created_once_and_deleted_once(server: Running) -> None:
    repository = _open(server)
    assert not repository.exists()
    assert [repository.create(description="Platform"), repository.create()] == [True, False]
    assert repository.exists()
    assert repository.read("README.md", "main").startswith(b"# mlp-configsync")
    assert [repository.delete(), repository.delete()] == [True, False]


def test_repository_of_an_organization(server: Running) -> None:
    repository = _open(server, name="mlp-sandbox-org/shared")
    assert repository.create(visibility="public")
    assert repository.files("main") == ["README.md"]


def test_seeding_makes_one_commit(server: Running, repository: ConfigRepository) -> None:
    files = {f"clusters/dev/{number}.yaml": f"number: {number}\n" for number in range(30)}
    result = repository.seed("main", {**files, "logo.png": bytes(range(256))}, "Configure dev")
    assert result.changed
    assert result.commit == repository.head("main")
    assert _commits(server, "main") == ["Configure dev", "Initial commit"]
    assert repository.read("clusters/dev/7.yaml", "main") == b"number: 7\n"
    assert repository.read("logo.png", "main") == bytes(range(256))


def test_seeding_the_same_content_again_makes_no_commit(server: Running, repository: ConfigRepository) -> None:
    first = repository.seed("main", {"a.yaml": "a: 1\n"}, "Configure")
    second = repository.seed("main", {"a.yaml": b"a: 1\n"}, "Configure again")
    assert (second.commit, second.changed) == (first.commit, False)
    assert len(_commits(server, "main")) == 2


def test_seeding_keeps_what_it_was_not_given(repository: ConfigRepository) -> None:
    repository.seed("main", {"teams/ml-team/dev/a.yaml": "a: 1\n", "clusters/dev/old.yaml": "x: 1\n"}, "First")
    repository.seed("main", {"clusters/dev/new.yaml": "x: 2\n"}, "Second", replace_under=("clusters/dev/",))
    assert repository.files("main") == ["README.md", "clusters/dev/new.yaml", "teams/ml-team/dev/a.yaml"]
    assert repository.files("main", under="teams/") == ["teams/ml-team/dev/a.yaml"]


def test_replacing_everything_under_a_folder_with_nothing_empties_it(repository: ConfigRepository) -> None:
    repository.seed("main", {"clusters/dev/a.yaml": "x: 1\n"}, "First")
    assert repository.seed("main", {}, "Clear", replace_under=("clusters/",)).changed
    assert repository.files("main") == ["README.md"]


def test_branch_that_is_not_there_starts_from_the_default_branch(server: Running, repository: ConfigRepository) -> None:
    result = repository.seed("env/dev", {"a.yaml": "a: 1\n"}, "Configure")
    assert result.changed
    assert repository.files("env/dev") == ["README.md", "a.yaml"]
    assert repository.files("main") == ["README.md"]
    assert repository.seed("staging", {}, "Nothing").changed
    assert repository.head("staging") == repository.head("main")


def test_empty_repository_can_be_seeded(server: Running) -> None:
    _client(server).get_user().create_repo("mlp-configsync")
    repository = _open(server)
    result = repository.seed("dev", {"a.yaml": "a: 1\n"}, "Configure")
    assert result.commit == repository.head("dev")
    assert _commits(server, "dev") == ["Configure", "Initial commit"]


def test_seeding_while_others_commit_loses_neither(server: Running, repository: ConfigRepository) -> None:
    def write(name: str) -> None:
        _open(server).seed("main", {f"{name}.yaml": "a: 1\n"}, f"Add {name}")

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repository.files("main") == ["README.md", "a.yaml", "b.yaml"]


def test_commit_writes_and_removes_in_one_commit(server: Running, repository: ConfigRepository) -> None:
    result = repository.commit_files("main", {"a.yaml": "a: 1\n", "README.md": None, "absent": None}, "Change")
    assert result.changed
    assert repository.files("main") == ["a.yaml"]
    assert not repository.commit_files("main", {"absent": None}, "Nothing").changed


def test_change_goes_through_review(server: Running, repository: ConfigRepository) -> None:
    repository.seed("dev", {}, "Start")
    repository.commit_files("dev", {"a.yaml": "a: 1\n"}, "Add a")
    opened = repository.open_pull_request("dev", "main", title="Promote", body="Tested")
    assert (opened.state, opened.is_mergeable, opened.source, opened.target) == ("open", True, "dev", "main")
    assert repository.open_pull_request("dev", "main", title="Again").number == opened.number
    merged = repository.merge(opened)
    assert merged == repository.head("main")
    assert repository.merge(opened.number) == merged
    assert repository.pull_request(opened.number).state == "merged"
    assert repository.read("a.yaml", "main") == b"a: 1\n"


def test_protection_and_rulesets_are_read_together(server: Running, repository: ConfigRepository) -> None:
    assert repository.protection("main") == BranchProtection()
    remote = _client(server).get_repo(NAME)
    remote.get_branch("main").edit_protection(enforce_admins=True, strict=False, contexts=["vet"])
    ruleset = {
        "name": "upper",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": []}},
        "rules": [{"type": "pull_request", "parameters": {"required_approving_review_count": 2}}],
    }
    remote.requester.requestJsonAndCheck("POST", f"{remote.url}/rulesets", input=ruleset)
    found = repository.protection("main")
    assert (found.needs_pull_request, found.approvals, found.checks) == (True, 2, ("vet",))
    assert (found.binds_administrators, found.refuses_force_push, found.refuses_deletion) == (True, True, True)


def test_token_scopes_are_checked(server: Running) -> None:
    assert _open(server).missing_scopes() == ()
    assert _open(server, "weak-token").missing_scopes() == ("delete_repo",)
    assert _open(server, "read-token").missing_scopes() == ()


def test_blob_sha_is_gits() -> None:
    assert blob_sha(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def _refusal(call: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        call()
    assert "token-" not in str(error.value)
    return error.value


def test_expired_token_is_explained(server: Running) -> None:
    error = _refusal(_open(server, "ghp-expired").exists)
    assert "expired" in error.why
    assert "Bad credentials" in error.why
    assert "ghp-expired" not in str(error)
    assert "github.token_file" in error.fix


def test_missing_scope_is_explained(server: Running, repository: ConfigRepository) -> None:
    error = _refusal(_open(server, "weak-token").delete)
    assert "needs one of the scopes [delete_repo]; the token has [repo]" in error.why


def test_read_only_token_is_explained(server: Running, repository: ConfigRepository) -> None:
    error = _refusal(lambda: _open(server, "read-token").seed("main", {"a": "b"}, "Add"))
    assert "Contents" in error.fix


def test_repository_out_of_sight_is_explained(server: Running, repository: ConfigRepository) -> None:
    error = _refusal(lambda: _open(server, "ada-token").head("main"))
    assert "does not exist, or the token may not see it" in error.why


def test_missing_file_is_explained(repository: ConfigRepository) -> None:
    assert "absent.yaml is not in the branch main" in _refusal(lambda: repository.read("absent.yaml", "main")).what


def test_protected_branch_is_explained(server: Running, repository: ConfigRepository) -> None:
    guard = {"enforce_admins": True, "required_approving_review_count": 0}
    _client(server).get_repo(NAME).get_branch("main").edit_protection(**guard)
    error = _refusal(lambda: repository.seed("main", {"a.yaml": "a: 1\n"}, "Add"))
    assert error.why.startswith("The branch is protected.")
    assert "open a pull request" in error.fix


def test_conflict_is_explained(repository: ConfigRepository) -> None:
    repository.seed("dev", {"a.yaml": "a: 1\n"}, "Add a")
    repository.commit_files("main", {"a.yaml": "a: 2\n"}, "Add another a")
    opened = repository.open_pull_request("dev", "main", title="Promote")
    assert opened.is_mergeable is False
    assert "conflicts" in _refusal(lambda: repository.merge(opened)).fix


def test_pull_request_without_commits_is_explained(repository: ConfigRepository) -> None:
    repository.seed("dev", {}, "Start")
    error = _refusal(lambda: repository.open_pull_request("dev", "main", title="Nothing"))
    assert "No commits between main and dev" in error.why


def test_free_plan_is_explained(tmp_path: Path) -> None:
    from mlp_helpers.github_errors import explaining

    with Running(tmp_path / "free", ACCOUNTS.get, plans={"mlp-sandbox": "free"}) as server:
        repository = _open(server)
        repository.create()
        branch = _client(server).get_repo(NAME).get_branch("main")
        with pytest.raises(ServiceError, match="needs a paid plan"), explaining("It cannot be protected"):
            branch.edit_protection(enforce_admins=True)
        assert repository.protection("main") == BranchProtection()


def test_exhausted_rate_is_explained(tmp_path: Path) -> None:
    with Running(tmp_path / "busy", ACCOUNTS.get, calls_per_hour=1) as server:
        repository = _open(server)
        repository.exists()
        error = _refusal(repository.exists)
    assert "used up its calls" in error.why
    assert "UTC" in error.fix


def test_silent_server_is_explained(server: Running) -> None:
    repository = _open(server)
    server.stop()
    error = _refusal(repository.exists)
    server.start()
    assert "does not answer" in error.why
