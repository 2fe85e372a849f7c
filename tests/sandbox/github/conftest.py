"""A GitHub of its own for each test, and real clients for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from github import Auth, Github
from github.Repository import Repository

from mlp_helpers.sandbox.github.store import READ_ONLY, Account
from tests.sandbox.github.running import Running

ACCOUNTS = {
    "full-token": Account("mlp-sandbox", ("repo", "delete_repo", "workflow")),
    "no-delete-token": Account("mlp-sandbox", ("repo",)),
    "read-token": Account("mlp-sandbox", (READ_ONLY,)),
    "ada-token": Account("ada", ("repo",)),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "home", ACCOUNTS.get) as running:
        yield running


class Clients:
    """PyGithub for each account."""

    def __init__(self, server: Running) -> None:
        self._server = server

    def __call__(self, token: str = "full-token") -> Github:
        return Github(
            base_url=f"{self._server.url}/api/v3",
            auth=Auth.Token(token),
            seconds_between_requests=0,
            seconds_between_writes=0,
            retry=None,
        )


@pytest.fixture
def clients(server: Running) -> Clients:
    return Clients(server)


@pytest.fixture
def repository(clients: Clients) -> Repository:
    return clients().get_user().create_repo("configuration", private=True, auto_init=True)


class Git:
    """The real git program in a folder, asking nobody for a password."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._url = folder, url

    def address(self, token: str = "full-token", name: str = "mlp-sandbox/configuration") -> str:
        return f"{self._url.replace('://', f'://token:{token}@')}/{name}.git"

    def run(self, *arguments: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
        names = (f"GIT_{role}_{part}" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL"))
        identity = dict.fromkeys(names, "ada@example.com")
        return subprocess.run(
            ["git", "-c", "protocol.version=2", *arguments],
            cwd=self._folder / folder,
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._folder),
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_CONFIG_NOSYSTEM": "1",
                "LC_ALL": "C",
                **identity,
            },
        )

    def __call__(self, *arguments: str, folder: str = ".") -> str:
        answer = self.run(*arguments, folder=folder)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def commit(self, folder: str, path: str, text: str) -> str:
        """Write a file and commit it."""
        file = self._folder / folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self("add", ".", folder=folder)
        self("commit", "-q", "-m", f"Write {path}", folder=folder)
        return self("rev-parse", "HEAD", folder=folder)


@pytest.fixture
def git(server: Running, tmp_path: Path) -> Git:
    folder = tmp_path / "work"
    folder.mkdir()
    return Git(folder, server.url)
