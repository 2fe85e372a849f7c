"""The server is killed in the middle of everything, and the next one shows what was promised."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from google.auth.exceptions import TransportError
from google.cloud import storage
from google.oauth2.credentials import Credentials
from requests.exceptions import ConnectionError as NoConnection

from tests.sandbox.google.conftest import PROJECT

SERVER = """
import asyncio, sys
from pathlib import Path
from mlp_helpers.sandbox.google.server import GoogleServer
from mlp_helpers.sandbox.identities import Identities
from tests.sandbox.google.conftest import RecordingHost

async def main() -> None:
    home = Path(sys.argv[1])
    identities = Identities(home / "state.db")
    google = GoogleServer(home, identities=identities, clusters=RecordingHost())
    await google.start()
    print(google.http_url, identities.issue("owner@example.com", is_admin=True), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Server:
    """A server in a process of its own."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-c", SERVER, str(home)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        url, token = self.process.stdout.readline().split()
        self.client = storage.Client(
            project=PROJECT, credentials=Credentials(token), client_options={"api_endpoint": url}
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_every_write_that_was_answered_is_there_after_a_kill(home: Path) -> None:
    first = Server(home)
    bucket = first.client.create_bucket("killed-bucket")
    answered: list[int] = []

    def write() -> None:
        try:
            for number in range(10_000):
                bucket.blob(f"{number:05d}").upload_from_string(b"x" * 5000, retry=None)
                answered.append(number)
                if number == 50:
                    enough.set()
        except (NoConnection, TransportError, OSError):
            return

    enough = threading.Event()
    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(30)
    first.kill()
    writer.join(10)

    second = Server(home)
    try:
        kept = second.client.bucket("killed-bucket")
        names = {blob.name for blob in kept.list_blobs()}
        assert {f"{number:05d}" for number in answered} <= names
        assert all(len(kept.blob(name).download_as_bytes()) == 5000 for name in sorted(names)[-5:])
        files = sum(1 for _ in (home / "google" / "storage" / "contents").glob("*/*"))
        assert files == len(names)
    finally:
        second.kill()
