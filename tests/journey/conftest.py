"""One platform for all journeys: built by the notebooks in a sandbox of its own, looked at with real clients."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlp_helpers.folders import PROJECT_FOLDER
from mlp_helpers.waiting import Ready, Waiting, wait_for

MLP = str(Path(sys.executable).with_name("mlp"))
STARTED_BY_US = ("MLP_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR", "KUBECONFIG", "GITHUB_TOKEN", "RAY_")


@dataclass
class Journey:
    """A platform in a home of its own, and the commands of a person who uses it."""

    home: Path
    run_folder: Path
    environment: dict[str, str]
    shell: dict[str, str] = field(default_factory=dict)

    def mlp(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """The command `mlp`."""
        return run([MLP, *arguments], self.environment, ok=ok)

    def kubectl(self, *arguments: str, ok: bool = True, kubeconfig: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl as a person has it after `eval "$(mlp env)"`."""
        variables = {**self.environment, **self.shell, **({"KUBECONFIG": kubeconfig} if kubeconfig else {})}
        return run([shutil.which("kubectl", path=variables["PATH"]) or "kubectl", *arguments], variables, ok=ok)

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get … -o json`."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)
        return found

    def eventually(self, what: str, condition: Callable[[], object], *, seconds: float = 60) -> None:
        """Wait until a condition holds."""

        def probe() -> Ready[None] | Waiting:
            seen = condition()
            return Ready(None) if seen is True else Waiting(str(seen))

        wait_for(probe, what, timeout_seconds=seconds, longest_pause_seconds=0.5)

    def processes(self) -> list[psutil.Process]:
        """Every process that this home's sandbox or its children started and that lives."""
        mark = str(self.home)
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                # Pods have an environment of their own, which names their folder below the home.
                if any(value == mark or f"{mark}/" in value for value in process.environ().values()):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [each for each in found if each.pid != os.getpid()]

    def expect_no_process(self, *, seconds: float = 10) -> None:
        """Fail if something of this home still runs; what does is ended."""
        try:
            self.eventually("everything to end", lambda: not (left := self.processes()) or str(left), seconds=seconds)
        finally:
            for process in self.processes():
                process.kill()


def run(command: list[str], environment: Mapping[str, str], *, ok: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is the message if it should have succeeded."""
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, timeout=600, cwd=PROJECT_FOLDER
    )
    assert not ok or done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The platform after notebook 05; stopped, and proven to be gone, at the end."""
    base = tmp_path_factory.mktemp("journey")
    home = base / "a home"  # with a space, as people have them
    clean = {name: value for name, value in os.environ.items() if not name.startswith(STARTED_BY_US)}
    environment = {**clean, "MLP_HOME": str(home), "MLP_CONFIG": str(base / "mlp.yaml"), "MLP_UI": "text"}
    made = Journey(home, base / "run", environment)
    try:
        made.mlp("run", "--to", "05", "--out", str(made.run_folder))
        made.shell = exports(made.mlp("env").stdout)
        yield made
    finally:
        made.mlp("sandbox", "stop", ok=False)
        made.expect_no_process()


def exports(text: str) -> dict[str, str]:
    """The variables in the output of `mlp env`."""
    words = [shlex.split(line)[1] for line in text.splitlines() if line.startswith("export ")]
    return dict(word.split("=", 1) for word in words)
