"""What the node decides, without a server and without processes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlp_helpers.sandbox.controllers.client import Object
from mlp_helpers.sandbox.node.environment import ContainerConfigError, expand, field_value, resource_value
from mlp_helpers.sandbox.node.logs import LogOptions, select
from mlp_helpers.sandbox.node.lookup import slice_port
from mlp_helpers.sandbox.node.processes import Exit
from mlp_helpers.sandbox.node.ray_nodes import implied_ports, parse_ray_start, programs_without_spaces
from mlp_helpers.sandbox.node.request import with_real_ports
from mlp_helpers.sandbox.node.runtimes import Builtin, Inline, Process, Runtimes, Simulated, image_name
from mlp_helpers.sandbox.node.status import (
    ContainerRecord,
    backoff_seconds,
    phase_of,
    pod_status,
    quality_of_service,
    restarts,
)
from mlp_helpers.sandbox.node.volumes import with_real_paths

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def waiting() -> ContainerRecord:
    return ContainerRecord("c", "python:3.12")


def running(*, ready: bool = True) -> ContainerRecord:
    record = waiting()
    record.run(NOW)
    record.ready = ready
    return record


def ended(code: int) -> ContainerRecord:
    record = running()
    record.end(Exit(code, NOW), NOW)
    return record


@pytest.mark.parametrize(
    ("policy", "first", "main", "phase"),
    [
        ("Always", [], [waiting()], "Pending"),
        ("Always", [running()], [waiting()], "Running"),
        ("Always", [ended(0)], [running()], "Running"),
        ("Always", [], [ended(0)], "Running"),
        ("Never", [], [ended(0)], "Succeeded"),
        ("Never", [], [ended(0), ended(1)], "Failed"),
        ("Never", [], [ended(0), running()], "Running"),
        ("OnFailure", [], [ended(1)], "Running"),
        ("OnFailure", [], [ended(0)], "Succeeded"),
        ("Never", [ended(1)], [waiting()], "Failed"),
        ("Always", [ended(1)], [waiting()], "Pending"),
    ],
)
def test_the_phase_follows_from_the_containers(policy: str, first: Any, main: Any, phase: str) -> None:
    assert phase_of(policy, first, main) == ("Pending" if first and "running" in first[0].state else phase)


def test_the_first_restart_is_at_once_then_pauses_double() -> None:
    assert [backoff_seconds(count, 1) for count in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    assert backoff_seconds(5, 601) == 0


def test_restart_policies() -> None:
    good, bad = Exit(0, NOW), Exit(1, NOW)
    assert [restarts(policy, good) for policy in ("Always", "OnFailure", "Never")] == [True, False, False]
    assert [restarts(policy, bad) for policy in ("Always", "OnFailure", "Never")] == [True, True, False]


def pod(**spec: Any) -> Object:
    metadata = {"name": "p", "namespace": "n", "uid": "u", "labels": {"a/b": "x"}, "generation": 1}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c"}], **spec}}


def test_conditions_name_what_is_not_ready() -> None:
    status = pod_status(pod(), [], [running(ready=False)], is_ending=False, now=NOW)
    said = {entry["type"]: entry for entry in status["conditions"]}
    assert said["Ready"]["message"] == "containers with unready status: [c]"
    assert said["Initialized"]["status"] == "True"
    assert status["containerStatuses"][0]["imageID"]


def test_a_restarted_container_remembers_its_last_end() -> None:
    record = ended(3)
    record.restart_count = 1
    record.run(NOW)
    assert record.as_status()["lastState"]["terminated"]["exitCode"] == 3


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: Any, expected: str) -> None:
    assert quality_of_service({"containers": [{"resources": resources}]}) == expected


# Environment, paths, ports


def test_references_expand_and_escapes_stay() -> None:
    assert expand("$(A)-$(B)-$$(A)-$$", {"A": "1"}) == "1-$(B)-$(A)-$"


def test_the_downward_api() -> None:
    assert field_value(pod(), "metadata.labels['a/b']") == "x"
    assert field_value(pod(), "status.podIP") == "127.0.0.1"
    with pytest.raises(ContainerConfigError, match="unsupported fieldPath"):
        field_value(pod(), "spec.nothing")


def test_a_limit_that_is_not_set_is_what_the_node_has() -> None:
    container = {"name": "c", "resources": {"limits": {"cpu": "1500m"}}}
    assert resource_value(pod(), container, {"resource": "limits.cpu"}, {}) == "2"
    assert (
        resource_value(pod(), container, {"resource": "limits.memory", "divisor": "1Mi"}, {"memory": "2Gi"}) == "2048"
    )


def test_mount_paths_become_folders() -> None:
    mounts = {"/data": Path("/v/data"), "/data/in": Path("/v/in")}
    assert with_real_paths("/data/in/x --out=/data/y /database", mounts) == "/v/in/x --out=/v/data/y /database"
    assert with_real_paths("/data", mounts) == "/v/data"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", "20001"),
        ("--port=8080", "--port=20001"),
        ("http://localhost:8080/x", "http://localhost:20001/x"),
        ("other:8080", "other:8080"),
        ("18080 8080.5 a8080", "18080 8080.5 a8080"),
    ],
)
def test_ports_become_real_where_they_are_the_pods_own(text: str, expected: str) -> None:
    assert with_real_ports(text, {8080: 20001}) == expected


def test_the_port_of_a_ready_endpoint_is_found_by_name() -> None:
    slices = [
        {"endpoints": [{"conditions": {"ready": False}}], "ports": [{"name": "gcs", "port": 1}]},
        {"endpoints": [{"conditions": {"ready": True}}], "ports": [{"name": "gcs", "port": 2}]},
    ]
    assert slice_port(slices, "gcs") == 2
    assert slice_port(slices, "other") is None


# Logs


LINES = [
    b"2026-01-02T03:04:05.000000000Z stdout F one",
    b"2026-01-02T03:04:06.000000000Z stderr P par",
    b"2026-01-02T03:04:06.100000000Z stderr F tial",
]


def test_logs_are_shown_without_the_runtimes_marks() -> None:
    assert b"".join(select(LINES, LogOptions())) == b"one\npartial\n"
    assert select(LINES, LogOptions(tail_lines=1)) == [b"tial\n"]
    assert select(LINES, LogOptions(timestamps=True))[0] == b"2026-01-02T03:04:05.000000000Z one\n"
    since = LogOptions.of({"sinceSeconds": "1"}, datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC))
    assert b"".join(select(LINES, since)) == b"partial\n"


# Runtimes and Ray


def test_images_lose_tags_digests_and_docker_hub() -> None:
    assert image_name("docker.io/library/python:3.12") == "python"
    assert image_name("localhost:5000/team/ray:1@sha256:0") == "localhost:5000/team/ray"


async def _builtin(kubeconfig: object, environment: object, log: object) -> None: ...


def test_images_choose_their_runtime() -> None:
    operator = Builtin(_builtin)
    runtimes = Runtimes({"quay.io/kuberay/operator": operator})

    def of(image: str, *command: str) -> object:
        return runtimes.of({"image": image, "command": list(command)})

    assert of("quay.io/kuberay/operator:v1.7.0") is operator
    assert isinstance(of("python:3.12", "python", "-c", "1"), Process)
    assert isinstance(of("busybox", "sh", "-c", "true"), Process)
    assert isinstance(of("busybox", "no-such-command"), Simulated)
    assert isinstance(of("fluent/fluent-bit:1"), Simulated)
    assert isinstance(of("rayproject/ray:2.60.0", "bash", "-c", "ray start --head"), Process)
    assert isinstance(of("rayproject/ray:2.60.0", "bash", "-c", "until ray health-check --address a:6379"), Inline)


COMMAND = (
    "ulimit -n 65536; ray start --head --dashboard-host=0.0.0.0 --num-cpus=2 --block --port 6380 "
    '--resources=\'"{\\"TPU\\": 1}"\' --metrics-export-port=8080 && sleep infinity'
)


def test_kuberays_command_is_understood() -> None:
    start = parse_ray_start(COMMAND)
    assert start is not None
    assert start.is_head
    assert start.options["num-cpus"] == "2"
    assert start.port("port", 6379) == 6380
    assert "infinity" not in start.options.values()
    assert parse_ray_start("python train.py") is None


def test_a_head_listens_on_ports_that_it_need_not_declare() -> None:
    assert {6380, 8265, 10001, 8080, 52365, 44217, 44227} <= set(implied_ports({"command": [], "args": [COMMAND]}))
    assert set(implied_ports({"args": ["ray start --address=h:6379 --block"]})) == {8080, 52365}


def test_a_python_environment_with_spaces_is_reached_through_a_link_without(tmp_path: Path) -> None:
    spaced, temporary = tmp_path / "my project" / ".venv", tmp_path / "rn1"
    (spaced / "bin").mkdir(parents=True)
    temporary.mkdir()
    (spaced / "bin" / "python").write_text("")
    programs = programs_without_spaces(spaced, temporary)
    assert " " not in str(programs.relative_to(tmp_path))
    assert (programs / "python").exists()
    assert programs_without_spaces(spaced, temporary) == programs
    plain = tmp_path / "project" / ".venv"
    assert programs_without_spaces(plain, temporary) == plain / "bin"
