"""How long the workbook takes, and how long its floor: the same work, each piece started by hand, one after another.

    make bench

Both run in sandboxes of their own, one after the other, warm. The floor starts the same sandbox, runs the same
Terraform commands, starts the same Ray nodes, submits the same job and runs as many empty notebooks: what the workbook
adds to that is ours to keep small. Times on a shared machine are noisy: compare the columns of one run, not two runs.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlp_helpers.folders import PROJECT_FOLDER

STATIONS = ("sandbox", "provision", "gitops", "ray", "job", "clean up", "notebooks")
OF_NOTEBOOK = {
    "00_start_here": "sandbox",
    "01_configure": "notebooks",
    "02_provision": "provision",
    "03_gitops": "gitops",
    "04_team_space": "ray",
    "05_ray_job": "job",
    "99_clean_up": "clean up",
}


def main() -> None:
    """Print both, station by station, and the ratio."""
    with home("workbook"):
        workbook = time_workbook()
    with home("floor"):
        floor = time_floor()
    print(f"\n{'station':<12}{'workbook':>10}{'floor':>10}")
    for station in STATIONS:
        print(f"{station:<12}{workbook.get(station, 0):>9.1f}s{floor.get(station, 0):>9.1f}s")
    whole, least = sum(workbook.values()), sum(floor.values())
    print(f"{'all':<12}{whole:>9.1f}s{least:>9.1f}s   ratio {whole / least:.2f}")


@contextmanager
def home(name: str) -> Iterator[Path]:
    """A sandbox of its own for the time of the block."""
    with tempfile.TemporaryDirectory(prefix=f"mlp-bench-{name}-", ignore_cleanup_errors=True) as folder:
        os.environ["MLP_HOME"], os.environ["MLP_CONFIG"] = folder, f"{folder}/mlp.yaml"
        try:
            yield Path(folder)
        finally:
            mlp("sandbox", "stop")


def time_workbook() -> dict[str, float]:
    """Seconds by station of `mlp run`, sandbox and its end included."""
    folder = Path(os.environ["MLP_HOME"]) / "run"
    started = time.monotonic()
    mlp("run", "--stop", "--out", str(folder))
    whole = time.monotonic() - started
    summary = json.loads((folder / "summary.json").read_text())
    found = dict.fromkeys(STATIONS, 0.0)
    for each in summary["notebooks"]:
        found[OF_NOTEBOOK[each["notebook"]]] += each["seconds"]
    found["notebooks"] += whole - sum(found.values())  # the runner itself, the report, stopping
    return found


def time_floor() -> dict[str, float]:
    """Seconds by station of the same work, started by hand."""
    found: dict[str, float] = {}

    def timed(station: str, work: Callable[[], Any]) -> Any:
        started = time.monotonic()
        result = work()
        found[station] = found.get(station, 0.0) + time.monotonic() - started
        return result

    timed("sandbox", lambda: mlp("sandbox", "start"))
    from mlp_helpers import Platform

    platform = Platform.load()
    platform.bootstrap()
    for layer in ("project", "repository"):
        timed("provision", lambda layer=layer: terraform(platform, layer, "apply"))
    platform.seed_repository()
    timed("provision", lambda: terraform(platform, "environment", "plan"))
    timed("provision", lambda: terraform(platform, "environment", "apply"))
    platform.upload_flights()
    with tempfile.TemporaryDirectory(prefix="rn", ignore_cleanup_errors=True) as folder:
        nodes = RayNodes(Path(folder), platform)
        try:
            timed("ray", nodes.start)
            timed("job", nodes.run_job)
        finally:
            timed("clean up", nodes.stop)
    for layer in ("environment", "repository", "project"):
        timed("clean up", lambda layer=layer: terraform(platform, layer, "destroy"))
    timed("notebooks", empty_notebooks)
    timed("clean up", lambda: mlp("sandbox", "stop"))
    return found


def terraform(platform: Any, layer_name: str, command: str) -> None:
    """`terraform init` and one command, as a person types them."""
    layer = platform.layer(layer_name)
    work = Path(os.environ["MLP_HOME"]) / "floor" / layer_name
    if not work.exists():
        shutil.copytree(PROJECT_FOLDER / "terraform", work)
    root = work / layer.root
    (root / "terraform.tfvars.json").write_text(json.dumps(dict(layer.variables)))
    environment = {**os.environ, **platform.endpoints.terraform_environment(), "TF_IN_AUTOMATION": "1"}
    backend = platform.endpoints.terraform_backend(platform.config.state_bucket, layer.prefix)
    settings = [f"-backend-config={key}={value}" for key, value in backend.items()]
    approve = [] if command == "plan" else ["-auto-approve"]
    for arguments in (["init", *settings], [command, *approve]):
        run(["terraform", *arguments, "-input=false"], environment, root)


class RayNodes:
    """A head and a worker, started as the node starts them, and the same job."""

    def __init__(self, folder: Path, platform: Any) -> None:
        self.folder, self.platform = folder, platform
        self.base = 28000
        self.token = secrets.token_hex(32)
        self.processes: list[subprocess.Popen[bytes]] = []
        token_file = folder / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(self.token)
        credentials = json.loads((Path(os.environ["MLP_HOME"]) / "sandbox" / "endpoints.json").read_text())
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.environment = {
            **clean,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token_file),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "5",
            "AUTOSCALER_METRIC_PORT": str(self.base + 3),
            "DASHBOARD_METRIC_PORT": str(self.base + 4),
            "GOOGLE_APPLICATION_CREDENTIALS": credentials["service_account_file"],
            "STORAGE_EMULATOR_HOST": credentials["google"],
            "NO_GCE_CHECK": "true",
        }

    def start(self) -> None:
        """Head, then worker, until both are alive."""
        common = ["--block", "--disable-usage-stats", "--node-ip-address=127.0.0.1", "--dashboard-agent-listen-port=0"]
        common += ["--min-worker-port=0", "--max-worker-port=0", "--object-store-memory=200000000"]
        ports = [
            f"--port={self.base}",
            f"--dashboard-port={self.base + 1}",
            f"--ray-client-server-port={self.base + 2}",
        ]
        self._spawn("head", ["--head", "--dashboard-host=127.0.0.1", "--num-cpus=0", *ports, *common])
        wait(lambda: self._call("/api/version"))
        self._spawn("worker", [f"--address=127.0.0.1:{self.base}", "--num-cpus=2", *common])
        wait(lambda: len([each for each in self._nodes() if each["state"] == "ALIVE"]) == 2 or None)

    def run_job(self) -> None:
        """Submit the flights' job and wait for its end."""
        from ray.job_submission import JobSubmissionClient

        client = JobSubmissionClient(
            f"http://127.0.0.1:{self.base + 1}", headers={"Authorization": f"Bearer {self.token}"}
        )
        variables = {
            "ARTIFACT_BUCKET": self.platform.artifacts.bucket_name,
            "DATA_PREFIX": "data/flights",
            "RESULT_PREFIX": "results/flights",
        }
        folder = str(PROJECT_FOLDER / "jobs" / "flights")
        name = client.submit_job(
            entrypoint="python delays.py", runtime_env={"working_dir": folder, "env_vars": variables}
        )
        over = wait(lambda: ((status := client.get_job_status(name)).is_terminal() and status) or None, seconds=300)
        if over != "SUCCEEDED":
            raise SystemExit(client.get_job_logs(name))

    def stop(self) -> None:
        """End worker and head."""
        for process in reversed(self.processes):
            process.terminate()
            process.wait(60)

    def _spawn(self, name: str, arguments: list[str]) -> None:
        launcher = PROJECT_FOLDER / "mlp_helpers" / "sandbox" / "node" / "ray_launcher.py"
        command = [sys.executable, str(launcher), "start", *arguments, f"--temp-dir={self.folder / name}"]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
            )

    def _nodes(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = self._call("/api/v0/nodes?detail=1")["data"]["result"]["result"]
        return nodes

    def _call(self, path: str) -> Any:
        address = f"http://127.0.0.1:{self.base + 1}{path}"
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def wait(look: Callable[[], Any], *, seconds: float = 120) -> Any:
    """Look until there is something."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if (found := look()) is not None:
                return found
        except OSError as error:  # the server is starting
            if time.monotonic() > deadline:
                raise SystemExit(f"waited {seconds:.0f} s: {error}") from error
        time.sleep(0.1)


def empty_notebooks() -> None:
    """As many notebooks as the workbook has, with one empty cell each."""
    import nbformat
    import papermill

    folder = Path(os.environ["MLP_HOME"]) / "empty"
    folder.mkdir()
    for name in OF_NOTEBOOK:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("pass")])
        path = folder / f"{name}.ipynb"
        nbformat.write(notebook, path)
        papermill.execute_notebook(str(path), str(path), kernel_name="python3", progress_bar=False)


def mlp(*arguments: str) -> None:
    """The command `mlp`."""
    run([str(Path(sys.executable).with_name("mlp")), *arguments], os.environ, PROJECT_FOLDER)


def run(command: list[str], environment: Any, folder: Path) -> None:
    """Run a command; its output is shown if it fails."""
    done = subprocess.run(command, env=dict(environment), cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
