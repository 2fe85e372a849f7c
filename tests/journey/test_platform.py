"""What a person sees on the platform that the notebooks built: kubectl, git, Terraform and Ray, as on the real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mlp_helpers.datasets import flights_folder
from mlp_helpers.folders import PROJECT_FOLDER
from tests.journey.conftest import Journey, exports, run
from tests.test_flights_job import assert_equal_to_independent

pytestmark = [pytest.mark.ray, pytest.mark.workbook, pytest.mark.timeout(900)]
TEAM = "ml-team"


def test_the_run_left_notebooks_a_summary_and_a_report(journey: Journey) -> None:
    summary = json.loads((journey.run_folder / "summary.json").read_text())
    assert summary["status"] == "passed"
    assert [each["notebook"][:2] for each in summary["notebooks"]] == ["00", "01", "02", "03", "04", "05"]
    assert all(each["seconds"] > 0 for each in summary["notebooks"])
    report = (journey.run_folder / "report.html").read_text()
    assert "05_ray_job" in report
    assert "http://" not in report.replace("http://127.0.0.1", "").replace("http://www.w3.org", "")


def test_kubectl_shows_the_platform(journey: Journey) -> None:
    assert "rayclusters.ray.io" in journey.kubectl("get", "crd").stdout
    assert "kuberay-operator" in journey.kubectl("get", "pods", "-A").stdout
    assert "Active" in journey.kubectl("get", "ns", TEAM).stdout
    assert "repo-sync" in journey.kubectl("get", "reposync", "-n", TEAM).stdout
    lines = journey.kubectl("get", "raycluster", "-n", TEAM).stdout.splitlines()
    assert "DESIRED WORKERS" in lines[0]
    assert "ready" in lines[1]
    pods = journey.kubectl("get", "pods", "-n", TEAM).stdout
    assert "head" in pods
    assert "worker" in pods
    assert "Running" in pods


def test_kubectl_logs_shows_rays_own_log(journey: Journey) -> None:
    head = journey.kubectl("get", "pods", "-n", TEAM, "-l", "ray.io/node-type=head", "-o", "name").stdout.strip()
    assert "Ray runtime started" in journey.kubectl("logs", "-n", TEAM, head).stdout


def test_the_jobs_figures_equal_plain_pandas(journey: Journey, tmp_path: Path) -> None:
    script = (
        "from mlp_helpers import Platform; import sys; Platform.load().read_flights_result().to_pickle(sys.argv[1])"
    )
    run([sys.executable, "-c", script, str(tmp_path / "result")], journey.environment)
    result = pd.read_pickle(tmp_path / "result")
    assert_equal_to_independent(result, pd.read_csv(flights_folder() / "flights.csv.zip"))


def test_a_deleted_synced_object_comes_back(journey: Journey) -> None:
    before = journey.get("networkpolicy", "-n", TEAM, "default-deny")["metadata"]["uid"]
    journey.kubectl("delete", "networkpolicy", "-n", TEAM, "default-deny")

    def is_back() -> object:
        found = journey.kubectl("get", "networkpolicy", "-n", TEAM, "default-deny", "-o", "json", ok=False)
        return found.returncode == 0 and json.loads(found.stdout)["metadata"]["uid"] != before

    journey.eventually("the policy to come back", is_back)


def test_a_deleted_worker_pod_comes_back(journey: Journey) -> None:
    selector = ("-n", TEAM, "-l", "ray.io/node-type=worker")
    before = {pod["metadata"]["name"] for pod in journey.get("pods", *selector)["items"]}
    assert before
    journey.kubectl("delete", "pod", *selector)

    def is_replaced() -> object:
        pods = journey.get("pods", *selector)["items"]
        ready = {
            pod["metadata"]["name"]
            for pod in pods
            if all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": False}]))
        }
        return len(ready) == len(before) and not ready & before

    journey.eventually("a new worker", is_replaced, seconds=120)


def test_a_pushed_commit_becomes_a_worker(journey: Journey, tmp_path: Path) -> None:
    clone = _clone(journey, tmp_path)
    file = clone / "teams" / TEAM / "dev" / "raycluster.yaml"
    manifest = yaml.safe_load(file.read_text())
    manifest["spec"]["workerGroupSpecs"][0]["replicas"] = 2
    file.write_text(yaml.safe_dump(manifest, sort_keys=False))
    _push(journey, clone, "Two workers")

    def has_two() -> object:
        status = journey.get("raycluster", "-n", TEAM, TEAM)["status"]
        return status.get("readyWorkerReplicas") == 2 or status

    journey.eventually("two workers", has_two, seconds=120)


def test_a_broken_manifest_is_an_error_in_the_sync_and_harms_nothing_else(journey: Journey, tmp_path: Path) -> None:
    before = journey.get("raycluster", "-n", TEAM, TEAM)["metadata"]["uid"]
    clone = _clone(journey, tmp_path)
    broken = clone / "teams" / TEAM / "dev" / "broken.yaml"
    broken.write_text("apiVersion: v1\nkind: Nonsense\nmetadata:\n  name: x\n")
    _push(journey, clone, "Break it")

    def is_reported() -> object:
        status = journey.get("reposync", "-n", TEAM, "repo-sync")["status"]
        text = json.dumps([status.get(part, {}).get("errors", []) for part in ("source", "sync")])
        return ("1021" in text and "broken.yaml" in text) or text

    journey.eventually("the error", is_reported)
    assert journey.get("raycluster", "-n", TEAM, TEAM)["metadata"]["uid"] == before
    broken.unlink()
    _push(journey, clone, "Mend it")

    def is_mended() -> object:
        status = journey.get("reposync", "-n", TEAM, "repo-sync")["status"]
        return not status.get("source", {}).get("errors") and not status.get("sync", {}).get("errors")

    journey.eventually("the sync to be well again", is_mended)


def test_a_member_may_what_the_role_names_and_nothing_else(journey: Journey) -> None:
    member = exports(journey.mlp("env", "--as-member-of", TEAM).stdout)["KUBECONFIG"]
    assert "head" in journey.kubectl("get", "pods", "-n", TEAM, kubeconfig=member).stdout
    for forbidden in (("get", "secrets", "-n", TEAM), ("get", "pods", "-n", "kube-system"), ("get", "nodes")):
        refused = journey.kubectl(*forbidden, kubeconfig=member, ok=False)
        assert "Forbidden" in refused.stderr
    refused = journey.kubectl("delete", "raycluster", "-n", TEAM, TEAM, kubeconfig=member, ok=False)
    assert "Forbidden" in refused.stderr


def test_ray_refuses_who_has_no_ray_token(journey: Journey) -> None:
    pods = journey.get("pods", "-n", TEAM, "-l", "ray.io/node-type=head")["items"]
    ports = json.loads(pods[0]["metadata"]["annotations"]["sandbox.mlp/ports"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{ports['8265']}/api/jobs/", timeout=10)
    assert refused.value.code == 401


def test_a_plan_after_apply_has_no_changes(journey: Journey) -> None:
    for layer in ("project", "repository", "environment"):
        assert "nothing to change" in journey.mlp("plan", layer).stdout


def test_no_token_lies_in_state_notebooks_or_logs(journey: Journey) -> None:
    credentials = journey.home / "sandbox" / "credentials"
    tokens = [path.read_text().strip().encode() for path in credentials.iterdir() if path.name.endswith("token")]
    assert len(tokens) >= 3
    sandbox = journey.home / "sandbox"
    # Where the tokens live: their files, the cluster's Secrets, and the person's own kubeconfigs.
    kept = (credentials, sandbox / "clusters", journey.home / "kubeconfigs")
    for path in [*journey.home.rglob("*"), *journey.run_folder.rglob("*")]:
        is_theirs = path.name.startswith("state.db") or any(each in path.parents for each in kept)
        if path.is_file() and not is_theirs:
            content = path.read_bytes()
            assert not any(token in content for token in tokens), path


def test_a_persons_own_script_runs_with_one_command(journey: Journey, tmp_path: Path) -> None:
    script = tmp_path / "my.py"
    script.write_text(
        "import ray\n"
        "ray.init(logging_level='ERROR')\n"
        "print('sum', sum(ray.get([ray.remote(lambda i=i: i).remote() for i in range(4)])))\n"
    )
    assert "sum 6" in journey.mlp("job", "submit", str(script)).stdout
    assert "my.py" in journey.mlp("job", "list").stdout


def test_ray_outlives_kill_9_of_the_sandbox_and_is_adopted(journey: Journey) -> None:
    def raylets() -> set[int]:
        return {process.pid for process in journey.processes() if "raylet" in process.name()}

    def restarts() -> dict[str, int]:
        pods = journey.get("pods", "-n", TEAM)["items"]
        return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}

    before, counts = raylets(), restarts()
    assert before
    os.kill(int(json.loads((journey.home / "sandbox" / "endpoints.json").read_text())["pid"]), signal.SIGKILL)
    journey.mlp("sandbox", "start")
    assert raylets() == before
    journey.eventually("kubectl to answer as before", lambda: restarts() == counts or str(restarts()))
    assert "SUCCEEDED" in journey.mlp("job", "list").stdout


def test_a_notebook_runs_with_papermill_alone(journey: Journey, tmp_path: Path) -> None:
    papermill = str(Path(sys.executable).with_name("papermill"))
    notebook = str(PROJECT_FOLDER / "notebooks" / "05_ray_job.ipynb")
    run([papermill, notebook, str(tmp_path / "out.ipynb"), "-p", "team", TEAM], journey.environment)
    assert "arrivals by weather" in (tmp_path / "out.ipynb").read_text()


def test_workers_are_a_parameter(journey: Journey) -> None:
    journey.mlp("run", "--only", "04", "-p", "workers=1", "--out", str(journey.run_folder.with_name("one worker")))
    assert journey.get("raycluster", "-n", TEAM, TEAM)["spec"]["workerGroupSpecs"][0]["replicas"] == 1


def test_a_cluster_deleted_behind_terraforms_back_is_drift_and_clean_up_leaves_nothing(journey: Journey) -> None:
    name = "projects/mlp-sandbox/locations/us-central1/clusters/mlp-dev"
    script = f"from mlp_helpers import Platform; Platform.load().endpoints.container().delete_cluster(name='{name}')"
    run([sys.executable, "-c", script], journey.environment)

    def is_drift() -> object:
        plan = journey.mlp("plan", "environment").stdout
        return "google_container_cluster" in plan or plan

    journey.eventually("the plan to make the cluster again", is_drift)
    journey.mlp("run", "--only", "99", "--out", str(journey.run_folder.with_name("clean up")))
    assert not [process.name() for process in journey.processes() if "raylet" in process.name()]


def _clone(journey: Journey, tmp_path: Path) -> Path:
    github = json.loads((journey.home / "sandbox" / "endpoints.json").read_text())["github"]
    clone = tmp_path / "clone"
    _git(journey, "clone", "-q", "-b", "dev", f"{github}/mlp-sandbox/mlp-configsync.git", str(clone))
    return clone


def _push(journey: Journey, clone: Path, message: str) -> None:
    _git(journey, "-C", str(clone), "add", "-A")
    _git(journey, "-C", str(clone), "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", message)
    _git(journey, "-C", str(clone), "push", "-q")


def _git(journey: Journey, *arguments: str) -> subprocess.CompletedProcess[str]:
    """git, with the token from its file as a credential helper of its own would give it."""
    token = journey.home / "sandbox" / "credentials" / "github-token"
    helper = f"!f() {{ echo username=x; echo password=$(cat '{token}'); }}; f"
    return run(["git", "-c", f"credential.helper={helper}", *arguments], journey.environment)
