"""kill -9 at any moment: a restart serves whole repositories, and what was answered is there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from github import Auth, Github

from mlp_helpers.github import ConfigRepository

PROGRAM = """
import asyncio, sys
from pathlib import Path
from mlp_helpers.sandbox.github.server import GitHubServer
from mlp_helpers.sandbox.github.store import Account

async def main():
    account = Account("mlp-sandbox", ("repo", "delete_repo"))
    server = GitHubServer(Path(sys.argv[1]), tokens={"token": account}.get)
    await server.start()
    print(server.url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Process:
    """A server in a process of its own."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(home)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        url = self._process.stdout.readline().strip()
        self.client = Github(
            base_url=f"{url}/api/v3",
            auth=Auth.Token("token"),
            seconds_between_requests=0,
            seconds_between_writes=0,
            retry=None,
            timeout=5,
        )

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.7])
def test_what_was_answered_survives_a_kill(tmp_path: Path, seconds: float) -> None:
    answered: dict[str, str] = {}
    server = Process(tmp_path)

    def write() -> None:
        for number in range(1000):
            name = f"mlp-sandbox/r{number % 3}"
            repository = ConfigRepository(server.client, name)
            try:
                repository.create()
                answered[name] = repository.seed("dev", {f"{number}.yaml": "a: 1\n"}, f"Commit {number}").commit
            except Exception:
                return  # the server is gone

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(seconds)
    server.kill()
    writer.join()

    again = Process(tmp_path)
    try:
        for bare in (tmp_path / "github" / "repositories").glob("*/*.git"):
            assert subprocess.run(["git", "-C", str(bare), "fsck", "--strict"], capture_output=True).returncode == 0
        for name, commit in answered.items():
            found = ConfigRepository(again.client, name)
            compared = again.client.get_repo(name).compare(commit, "dev")
            assert compared.behind_by == 0  # at most one commit more, whose answer was cut off
            assert found.seed("dev", {"after.yaml": "a: 1\n"}, "After").changed
    finally:
        again.kill()
