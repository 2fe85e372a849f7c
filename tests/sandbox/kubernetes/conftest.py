"""A running API server for the tests that talk to one as clients do."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlp_helpers.sandbox.kubernetes.server import ApiServer
from tests.sandbox.kubernetes.replay import Caller
from tests.sandbox.kubernetes.running import running, write_kubeconfig

Kubectl = Callable[..., subprocess.CompletedProcess[str]]
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One server for a file of tests; each has a namespace of its own."""
    with running(tmp_path_factory.mktemp("cluster") / "c", disabled_admission=["ServiceAccount"]) as started:
        yield started


@pytest.fixture(scope="module")
def kubeconfig(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The administrator's kubeconfig."""
    return write_kubeconfig(server, tmp_path_factory.mktemp("kubeconfig") / "admin")


def _binaries() -> list[str]:
    """The kubectl of the machine and the one that this project installs, where they differ."""
    bundled = Path(sys.executable).with_name("kubectl")
    found = [str(bundled)] if bundled.exists() else []
    path = os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if part != str(bundled.parent))
    system = shutil.which("kubectl", path=path)
    return found + ([system] if system else [])


@pytest.fixture(scope="module", params=_binaries() or [None], ids=lambda one: "none" if one is None else one)
def binary(request: pytest.FixtureRequest) -> str:
    """Each kubectl there is."""
    if request.param is None:
        pytest.skip("there is no kubectl")
    return str(request.param)


@pytest.fixture
def namespace(api: Callable[..., Any]) -> str:
    """A namespace of the test's own."""
    name = f"test-{next(_NUMBERS)}"
    api("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def kubectl(binary: str, kubeconfig: Path, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Runs kubectl in the test's namespace; fails if it fails, unless told not to check."""
    cache = tmp_path_factory.getbasetemp() / "kubectl-cache"
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(cache)}

    def run(*arguments: str, manifest: Any = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [binary, "--namespace", namespace, *arguments],
            input=None if manifest is None else json.dumps(manifest),
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def api(server: ApiServer) -> Callable[..., Any]:
    """Sends a request with a JSON body; returns the body of the answer, refuses answers that are errors."""
    caller = Caller(server.url)

    def send(method: str, path: str, body: Any = None, *, user: str = "admin", expect: int = 0, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = caller.send({"method": method, "path": path, "body": body, "user": user, "headers": named})
        assert answer.status == expect if expect else answer.status < 400, answer.body
        return answer.body

    return send
