"""Ray nodes: what KubeRay's container command means on this machine, and how it is run here on loopback."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.controllers.quantities import parse_quantity
from mlp_helpers.sandbox.node.processes import Launch
from mlp_helpers.sandbox.node.request import Request

GCS, DASHBOARD, CLIENT, METRICS, AGENT, SERVE = 6379, 8265, 10001, 8080, 52365, 8000
AUTOSCALER_METRICS, DASHBOARD_METRICS = 44217, 44227

TEMPORARY_FOLDER_RECORD = "ray-folder"
"""In the pod's folder: where Ray's own files are. It is short and elsewhere, because socket paths allow 107 bytes."""

_LAUNCHER = Path(__file__).with_name("ray_launcher.py")
_LOOK_AGAIN_SECONDS = 0.5
_CONNECT_SECONDS = 2.0
_READY_HEAD_SECONDS = 120.0
_ENDS = (";", "&&", "||", "|", "&")
_HEALTH_CHECK = re.compile(r"ray health-check --address[ =](?P<host>[^\s:]+):(?P<port>\d+)")
_PASSED_ON = (
    "head",
    "include-dashboard",
    "include-log-monitor",
    "log-color",
    "logging-level",
    "memory",
    "no-monitor",
    "num-cpus",
    "num-gpus",
    "object-store-memory",
    "resources",
)
_SMALLEST_STORE, _LARGEST_STORE = 80_000_000, 500_000_000


@dataclass(frozen=True)
class RayStart:
    """A `ray start` command: head or worker, and its options (flags have the value "")."""

    is_head: bool
    options: Mapping[str, str]

    def port(self, option: str, default: int) -> int:
        """The port that an option names."""
        value = self.options.get(option, "")
        return int(value) if value.isdigit() and int(value) else default


def command_text(container: Mapping[str, Any]) -> str:
    """Command and arguments of a container as one text."""
    return " ".join([*(container.get("command") or ()), *(container.get("args") or ())])


def parse_ray_start(text: str) -> RayStart | None:
    """The first `ray start` in a shell text, or None."""
    _, found, rest = text.partition("ray start")
    if not found:
        return None
    lexer = shlex.shlex(rest.replace("\n", " ; "), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    options: dict[str, str] = {}
    pending = ""
    for word in lexer:
        if word in _ENDS:
            break
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
            options[name] = value
            pending = "" if has_value else name
        elif pending:
            options[pending], pending = word, ""
    return RayStart("head" in options, options)


def implied_ports(container: Mapping[str, Any]) -> list[int]:
    """Container ports that a Ray node listens on, declared or not."""
    start = parse_ray_start(command_text(container))
    if start is None:
        return []
    ports = [start.port("metrics-export-port", METRICS), start.port("dashboard-agent-listen-port", AGENT)]
    if start.is_head:
        ports += [start.port("port", GCS), start.port("dashboard-port", DASHBOARD), SERVE]
        ports += [start.port("ray-client-server-port", CLIENT), AUTOSCALER_METRICS, DASHBOARD_METRICS]
    return ports


def ray_arguments(start: RayStart, request: Request, *, gcs: int, temporary: str) -> list[str]:
    """The arguments of `ray start` here: the user's sizes and resources, our addresses, ports and folders."""
    given, ports = start.options, request.ports
    options: dict[str, object] = {name: given[name] for name in _PASSED_ON if name in given}
    options |= {"block": "", "disable-usage-stats": "", "node-ip-address": "127.0.0.1", "temp-dir": temporary}
    options |= _sizes(start, request.container)
    options |= {
        "dashboard-agent-listen-port": ports[start.port("dashboard-agent-listen-port", AGENT)],
        "metrics-export-port": ports[start.port("metrics-export-port", METRICS)],
        "min-worker-port": 0,
        "max-worker-port": 0,
        "labels": ",".join(filter(None, [f"pod={request.pod['metadata']['name']}", given.get("labels", "")])),
    }
    if start.is_head:
        options |= {
            "port": gcs,
            "dashboard-host": "127.0.0.1",
            "dashboard-port": ports[start.port("dashboard-port", DASHBOARD)],
            "ray-client-server-port": ports[start.port("ray-client-server-port", CLIENT)],
        }
    else:
        options["address"] = f"127.0.0.1:{gcs}"
    return ["start", *(f"--{name}={value}" if value != "" else f"--{name}" for name, value in options.items())]


def _sizes(start: RayStart, container: Mapping[str, Any]) -> dict[str, object]:
    """Processors and memory as Ray counts them, from the limits where the command does not say."""
    limits = (container.get("resources") or {}).get("limits") or {}
    sizes: dict[str, object] = {}
    if "num-cpus" not in start.options and "cpu" in limits:
        sizes["num-cpus"] = ceil(parse_quantity(limits["cpu"]))
    memory = start.options.get("memory") or (int(parse_quantity(limits["memory"])) if "memory" in limits else 0)
    if memory:
        sizes["memory"] = int(memory)
    if "object-store-memory" not in start.options:
        sizes["object-store-memory"] = min(max(int(memory) * 3 // 10, _SMALLEST_STORE), _LARGEST_STORE)
    return sizes


def ray_environment(request: Request, *, gcs: int) -> dict[str, str]:
    """The environment of a Ray node, see the measurements behind each in `docs/sandbox.md`."""
    changed = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "5",
        "RAY_health_check_initial_delay_ms": "1000",
        # A killed node refuses the connection and is dead after five looks; one on a busy machine may answer late.
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "10000",
        "RAY_health_check_failure_threshold": "5",
        "RAY_NUM_REDIS_GET_RETRIES": "60",
        "RAY_SERVE_DEFAULT_HTTP_HOST": "127.0.0.1",
        "RAY_ADDRESS": f"127.0.0.1:{gcs}",
        "RAY_PORT": str(gcs),
        "RAY_IP": "127.0.0.1",
        "FQ_RAY_IP": "127.0.0.1",
    }
    if AUTOSCALER_METRICS in request.ports:
        changed["AUTOSCALER_METRIC_PORT"] = str(request.ports[AUTOSCALER_METRICS])
        changed["DASHBOARD_METRIC_PORT"] = str(request.ports[DASHBOARD_METRICS])
    environment = {**request.environment, **changed}
    if token := environment.pop("RAY_AUTH_TOKEN", ""):
        environment["RAY_AUTH_TOKEN_PATH"] = str(_token_file(request.folder, token))
    return environment


def _token_file(folder: Path, token: str) -> Path:
    """The token in a file: what is in an environment is seen by every job, and printed by many."""
    path = folder / "ray-token"
    path.touch(mode=0o600)
    path.write_text(token)
    return path


async def prepare_ray_node(request: Request) -> Launch:
    """How a Ray node is started here; for a worker once its head's control service answers."""
    start = parse_ray_start(command_text(request.container))
    assert start is not None
    if start.is_head:
        gcs = request.ports[start.port("port", GCS)]
    else:
        host, _, port = start.options.get("address", "").partition(":")
        gcs = await _wait_for_gcs(request, host, int(port or GCS), logging.getLogger(__name__))
    temporary = _temporary_folder(request.folder)
    arguments = ray_arguments(start, request, gcs=gcs, temporary=temporary)
    programs = programs_without_spaces(Path(sys.prefix), Path(temporary))
    environment = ray_environment(request, gcs=gcs)
    environment["PATH"] = os.pathsep.join([str(programs), environment["PATH"]])
    argv = [str(programs / Path(sys.executable).name), "-P", str(_LAUNCHER), *arguments]
    return Launch(argv, environment, request.work)


def programs_without_spaces(environment: Path, temporary: Path) -> Path:
    """The folder of a Python environment's programs; through a link if its path has spaces.

    Ray puts its own path into shell commands and into LD_PRELOAD, both of which spaces take apart.
    """
    if not any(character.isspace() for character in str(environment)):
        return environment / "bin"
    link = temporary / "environment"
    if not link.is_symlink():
        link.symlink_to(environment)
    return link / "bin"


def _temporary_folder(pod_folder: Path) -> str:
    record = pod_folder / TEMPORARY_FOLDER_RECORD
    if not record.exists():
        record.write_text(tempfile.mkdtemp(prefix="rn"))
    return record.read_text()


async def wait_until_gcs_is_ready(request: Request, log: logging.Logger) -> None:
    """KubeRay's init container wait-gcs-ready, without a `ray health-check` (1.5 s and 145 MB each) per look."""
    found = _HEALTH_CHECK.search(command_text(request.container))
    assert found is not None
    host = request.environment.get(found["host"].strip("${}"), found["host"])
    await _wait_for_gcs(request, host, int(found["port"]), log)
    log.info("GCS is ready.")


async def _wait_for_gcs(request: Request, host: str, port: int, log: logging.Logger) -> int:
    """The real port of the control service, when somebody answers there.

    At first only a head that is ready counts: its control service answers long before its own node has registered, and
    a worker that starts meanwhile takes the processors away from it.
    """
    loop = asyncio.get_running_loop()
    started, said = loop.time(), -5.0
    while True:
        is_patient = loop.time() - started < _READY_HEAD_SECONDS
        real = await request.real_port(host, port, condition="serving" if is_patient else "ready")
        if real is not None and await _answers(real):
            return real
        elapsed = loop.time() - started
        if elapsed - said >= 5:
            log.info("%d seconds elapsed: Waiting for GCS to be ready.", elapsed)
            said = elapsed
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _answers(port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
