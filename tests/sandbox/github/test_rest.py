"""The REST API as PyGithub sees it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from github import GithubException, InputGitTreeElement, UnknownObjectException
from github.Repository import Repository

from mlp_helpers.sandbox.github.store import Account
from tests.sandbox.github.conftest import ACCOUNTS, Clients
from tests.sandbox.github.running import Running


def _call(
    url: str,
    method: str,
    path: str,
    token: str = "full-token",
    body: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    sent = {"Authorization": f"Bearer {token}", **(headers or {})} if token else dict(headers or {})
    connection.request(method, f"/api/v3{path}", json.dumps(body) if body is not None else None, sent)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(text) if text else None


def _refused(error: pytest.ExceptionInfo[GithubException]) -> tuple[int, str]:
    return error.value.status, str(error.value.data["message"])


def test_repository_with_auto_init_has_a_first_commit_with_a_readme(repository: Repository) -> None:
    assert repository.get_contents("README.md").decoded_content == b"# configuration\n"
    assert [commit.commit.message for commit in repository.get_commits()] == ["Initial commit"]
    assert repository.private
    assert repository.default_branch == "main"


def test_repository_without_auto_init_is_empty(clients: Clients) -> None:
    repository = clients().get_user().create_repo("bare")
    with pytest.raises(GithubException) as error:
        repository.create_git_blob("text", "utf-8")
    assert _refused(error) == (409, "Git Repository is empty.")


def test_repository_in_an_organization(clients: Clients) -> None:
    organization = clients().get_organization("mlp-sandbox-org")
    created = organization.create_repo("team", private=True, auto_init=True)
    assert created.full_name == "mlp-sandbox-org/team"
    assert created.owner.type == "Organization"
    assert [each.name for each in organization.get_repos()] == ["team"]


def test_name_can_be_taken_once(clients: Clients, repository: Repository) -> None:
    with pytest.raises(GithubException) as error:
        clients().get_user().create_repo("Configuration")
    assert error.value.status == 422
    assert error.value.data["errors"][0]["message"] == "name already exists on this account"


@pytest.mark.parametrize(("token", "message"), [("wrong", "Bad credentials"), ("", "Requires authentication")])
def test_token_must_be_known(server: Running, repository: Repository, token: str, message: str) -> None:
    status, _, body = _call(server.url, "GET", "/user", token)
    assert (status, body["message"]) == (401, message)


def test_private_repository_does_not_exist_for_others(clients: Clients, repository: Repository) -> None:
    with pytest.raises(UnknownObjectException):
        clients("ada-token").get_repo("mlp-sandbox/configuration")


def test_collaborator_gets_in(clients: Clients, repository: Repository) -> None:
    repository.add_to_collaborators("ada", "pull")
    seen = clients("ada-token").get_repo("mlp-sandbox/configuration")
    assert (seen.permissions.pull, seen.permissions.push) == (True, False)
    assert repository.get_collaborator_permission("ada") == "read"


def test_read_only_token_reads_and_does_not_write(clients: Clients, repository: Repository) -> None:
    seen = clients("read-token").get_repo("mlp-sandbox/configuration")
    assert seen.get_contents("README.md").path == "README.md"
    with pytest.raises(GithubException) as error:
        seen.create_file("x", "message", "x")
    assert _refused(error) == (403, "Resource not accessible by personal access token")


def test_deleting_needs_its_own_scope(clients: Clients, repository: Repository) -> None:
    with pytest.raises(GithubException) as error:
        clients("no-delete-token").get_repo("mlp-sandbox/configuration").delete()
    assert _refused(error) == (403, "Must have admin rights to Repository.")
    repository.delete()
    with pytest.raises(UnknownObjectException):
        clients().get_repo("mlp-sandbox/configuration")


def test_scopes_are_told(clients: Clients, server: Running) -> None:
    client = clients()
    client.get_user().login  # noqa: B018 - the attribute makes the call
    assert client.oauth_scopes == ["repo", "delete_repo", "workflow"]
    _, headers, _ = _call(server.url, "GET", "/user", "read-token")
    assert "x-oauth-scopes" not in headers


def test_tree_through_the_git_data_api(repository: Repository) -> None:
    head = repository.get_git_ref("heads/main").object.sha
    base = repository.get_git_commit(head)
    blob = repository.create_git_blob("a: 1\n", "utf-8")
    entries = [
        InputGitTreeElement("clusters/dev/a.yaml", "100644", "blob", sha=blob.sha),
        InputGitTreeElement("clusters/dev/b.yaml", "100644", "blob", content="b: 2\n"),
        InputGitTreeElement("README.md", "100644", "blob", sha=None),
    ]
    tree = repository.create_git_tree(entries, base_tree=base.tree)
    commit = repository.create_git_commit("Configure", tree, [base])
    repository.get_git_ref("heads/main").edit(commit.sha)
    found = {entry.path for entry in repository.get_git_tree("main", recursive=True).tree if entry.type == "blob"}
    assert found == {"clusters/dev/a.yaml", "clusters/dev/b.yaml"}
    assert repository.get_commit("main").commit.message == "Configure"
    assert {file.filename for file in repository.get_commit(commit.sha).files} == {*found, "README.md"}


def test_ref_moves_forward_only_unless_forced(repository: Repository) -> None:
    first = repository.get_branch("main").commit.sha
    repository.create_file("a.txt", "Add", "a")
    ref = repository.get_git_ref("heads/main")
    with pytest.raises(GithubException) as error:
        ref.edit(first)
    assert _refused(error) == (422, "Update is not a fast forward")
    ref.edit(first, force=True)
    assert repository.get_branch("main").commit.sha == first


def test_ref_is_made_once(repository: Repository) -> None:
    sha = repository.get_branch("main").commit.sha
    repository.create_git_ref("refs/heads/dev", sha)
    with pytest.raises(GithubException) as error:
        repository.create_git_ref("refs/heads/dev", sha)
    assert _refused(error) == (422, "Reference already exists")
    with pytest.raises(GithubException) as error:
        repository.create_git_ref("refs/heads/other", "0" * 39 + "1")
    assert _refused(error) == (422, "Object does not exist")


def test_branch_name_may_hold_a_slash(repository: Repository) -> None:
    sha = repository.get_branch("main").commit.sha
    repository.create_git_ref("refs/heads/change/quota", sha)
    repository.create_file("teams/a.yaml", "Add", "a", branch="change/quota")
    assert repository.get_branch("change/quota").commit.commit.message == "Add"
    assert repository.get_contents("teams/a.yaml", ref="change/quota").decoded_content == b"a"
    repository.get_branch("change/quota").edit_protection(enforce_admins=True)
    assert repository.get_branch("change/quota").protected
    assert [branch.name for branch in repository.get_branches()] == ["change/quota", "main"]


def test_escaped_slash_in_a_branch_name_means_the_same(server: Running, repository: Repository) -> None:
    repository.create_git_ref("refs/heads/change/quota", repository.get_branch("main").commit.sha)
    status, _, body = _call(server.url, "GET", "/repos/mlp-sandbox/configuration/branches/change%2Fquota")
    assert (status, body["name"]) == (200, "change/quota")


def test_file_is_changed_against_what_the_caller_saw(repository: Repository) -> None:
    made = repository.create_file("a.txt", "Add", "one")["content"]
    repository.update_file("a.txt", "Change", "two", made.sha)
    with pytest.raises(GithubException) as error:
        repository.update_file("a.txt", "Change again", "three", made.sha)
    assert error.value.status == 409
    with pytest.raises(GithubException) as error:
        repository.create_file("a.txt", "Add again", "four")
    assert _refused(error) == (422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    repository.delete_file("a.txt", "Remove", repository.get_contents("a.txt").sha)
    with pytest.raises(UnknownObjectException):
        repository.get_contents("a.txt")


def test_renaming_a_branch_takes_protection_and_default_along(repository: Repository) -> None:
    repository.get_branch("main").edit_protection(enforce_admins=True)
    assert repository.rename_branch("main", "dev")
    repository.update()
    assert repository.default_branch == "dev"
    assert [(branch.name, branch.protected) for branch in repository.get_branches()] == [("dev", True)]


def test_default_branch_must_exist(repository: Repository) -> None:
    with pytest.raises(GithubException) as error:
        repository.edit(default_branch="dev")
    assert error.value.status == 422
    repository.create_git_ref("refs/heads/dev", repository.get_branch("main").commit.sha)
    repository.edit(default_branch="dev")
    assert repository.get_contents("README.md").path == "README.md"
    with pytest.raises(GithubException) as error:
        repository.get_git_ref("heads/dev").delete()
    assert _refused(error) == (422, "Cannot delete the default branch")


def test_archived_repository_is_read_only_until_it_comes_back(repository: Repository) -> None:
    repository.edit(archived=True)
    with pytest.raises(GithubException) as error:
        repository.create_file("a", "m", "a")
    assert _refused(error) == (403, "Repository was archived so is read-only.")
    repository.edit(archived=False)
    repository.create_file("a", "m", "a")


def test_settings_topics_and_alerts(repository: Repository) -> None:
    repository.edit(description="Platform", visibility="public", delete_branch_on_merge=True)
    repository.replace_topics(["config-sync", "mlp"])
    assert not repository.get_vulnerability_alert()
    repository.enable_vulnerability_alert()
    repository.update()
    assert (repository.description, repository.private, repository.delete_branch_on_merge) == ("Platform", False, True)
    assert repository.get_topics() == ["config-sync", "mlp"]
    assert repository.get_vulnerability_alert()


def test_renamed_repository_keeps_its_content(clients: Clients, repository: Repository) -> None:
    repository.edit(name="renamed")
    assert clients().get_repo("mlp-sandbox/renamed").get_contents("README.md").size > 0


def test_deploy_key(repository: Repository) -> None:
    key = repository.create_key("sync", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ", read_only=True)
    assert [each.title for each in repository.get_keys()] == ["sync"]
    key.delete()
    assert repository.get_keys().totalCount == 0


def test_webhooks_and_pages_are_not_there(repository: Repository, server: Running) -> None:
    assert _call(server.url, "GET", "/repos/mlp-sandbox/configuration/hooks")[0] == 404
    assert _call(server.url, "GET", "/repos/mlp-sandbox/configuration/pages")[0] == 404


def test_unknown_call_says_that_it_is_not_emulated(server: Running, repository: Repository) -> None:
    status, _, body = _call(server.url, "GET", "/repos/mlp-sandbox/configuration/actions/runs")
    assert status == 501
    assert body["message"].startswith("not emulated in the sandbox: GET /api/v3/repos/")


def test_lists_come_in_pages(repository: Repository, server: Running) -> None:
    sha = repository.get_branch("main").commit.sha
    for number in range(35):
        repository.create_git_ref(f"refs/heads/b{number:02}", sha)
    assert len(list(repository.get_branches())) == 36
    _, headers, body = _call(server.url, "GET", "/repos/mlp-sandbox/configuration/branches?per_page=10&page=2")
    assert len(body) == 10
    links = {part.split('rel="')[1].rstrip('"'): part.split(">")[0] for part in headers["link"].split(", ")}
    assert set(links) == {"prev", "first", "next", "last"}
    assert links["last"].endswith("per_page=10&page=4")


def test_known_answer_is_not_sent_again_and_costs_nothing(repository: Repository, server: Running) -> None:
    path = "/repos/mlp-sandbox/configuration"
    _, first, _ = _call(server.url, "GET", path)
    status, again, body = _call(server.url, "GET", path, headers={"If-None-Match": first["etag"]})
    assert (status, body) == (304, None)
    assert again["x-ratelimit-remaining"] == first["x-ratelimit-remaining"]
    repository.edit(description="changed")
    assert _call(server.url, "GET", path, headers={"If-None-Match": first["etag"]})[0] == 200


def test_rate_limit_ends(tmp_path: Path) -> None:
    with Running(tmp_path / "home", ACCOUNTS.get, calls_per_hour=2) as server:
        remaining = [_call(server.url, "GET", "/user")[1]["x-ratelimit-remaining"] for _ in range(2)]
        status, headers, body = _call(server.url, "GET", "/user")
    assert remaining == ["1", "0"]
    assert (status, headers["x-ratelimit-remaining"]) == (403, "0")
    assert body["message"].startswith("API rate limit exceeded")


def test_everything_outlives_a_restart(server: Running, clients: Clients, repository: Repository) -> None:
    repository.get_branch("main").edit_protection(enforce_admins=True, required_approving_review_count=1)
    repository.create_git_ref("refs/heads/dev", repository.get_branch("main").commit.sha)
    server.restart()
    again = clients().get_repo("mlp-sandbox/configuration")
    assert again.id == repository.id
    assert again.get_branch("main").get_protection().enforce_admins
    assert {branch.name for branch in again.get_branches()} == {"dev", "main"}


def test_kill_between_the_two_stores_is_mended(server: Running, clients: Clients, repository: Repository) -> None:
    server.stop()
    folder = server.home / "github" / "repositories" / "mlp-sandbox"
    (folder / "configuration.git").rename(folder / "half-renamed.git")
    (folder / "half-renamed.git" / "refs" / "heads" / "main.lock").touch()
    (folder / "nobody.git").mkdir()
    (folder / "unready.new").mkdir()
    server.start()
    assert [path.name for path in folder.iterdir()] == ["configuration.git"]
    again = clients().get_repo("mlp-sandbox/configuration")
    again.create_file("a.txt", "Add", "a")
    assert again.get_contents("a.txt").size == 1


def test_free_plan_has_no_protection_of_private_repositories(tmp_path: Path) -> None:
    accounts = {"token": Account("mlp-sandbox", ("repo",))}
    with Running(tmp_path / "home", accounts.get, plans={"mlp-sandbox": "free"}) as server:
        _call(server.url, "POST", "/user/repos", "token", {"name": "r", "private": True, "auto_init": True})
        protection = {
            "required_status_checks": None,
            "enforce_admins": True,
            "required_pull_request_reviews": None,
            "restrictions": None,
        }
        path = "/repos/mlp-sandbox/r/branches/main/protection"
        status, _, body = _call(server.url, "PUT", path, "token", protection)
        assert status == 403
        assert body["message"].startswith("Upgrade to GitHub Pro or make this repository public")
        _call(server.url, "PATCH", "/repos/mlp-sandbox/r", "token", {"visibility": "public"})
        assert _call(server.url, "PUT", path, "token", protection)[0] == 200
