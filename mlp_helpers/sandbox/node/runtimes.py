"""Which image runs as what on this machine."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mlp_helpers.sandbox.node.processes import Launch
from mlp_helpers.sandbox.node.ray_nodes import (
    command_text,
    implied_ports,
    parse_ray_start,
    prepare_ray_node,
    wait_until_gcs_is_ready,
)
from mlp_helpers.sandbox.node.request import Request

JUPYTER_PORT = 8888

_HOST_IMAGES = ("bash", "busybox", "alpine", "debian", "ubuntu", "curl", "alpine-curl", "git")
_DEFAULT_COMMANDS = {"bash": "bash", "curl": "curl", "alpine-curl": "curl", "git": "git"}
_RAY_DRIVER = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Process:
    """A real process; `prepare` may wait for what it needs."""

    prepare: Callable[[Request], Awaitable[Launch]]


@dataclass(frozen=True)
class Builtin:
    """A function of this package in the place of a program that Google or KubeRay would run.

    `run(kubeconfig, environment, log)` works until it is cancelled; the kubeconfig is the pod's service account's.
    """

    run: Callable[[dict[str, object], Mapping[str, str], logging.Logger], Awaitable[None]]


@dataclass(frozen=True)
class Inline:
    """A short job of the node itself in the place of a container's command."""

    run: Callable[[Request, logging.Logger], Awaitable[None]]


@dataclass(frozen=True)
class Simulated:
    """Nothing runs; the pod says so."""

    why: str


Runtime = Process | Builtin | Inline | Simulated


def image_name(image: str) -> str:
    """An image without its tag and digest, and without Docker Hub's own prefixes."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = head + slash + last.partition(":")[0]
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        name = name.removeprefix(prefix)
    return name


class Runtimes:
    """Chooses the runtime of a container.

    Args:
        builtins: By image name or its beginning, without a tag.
    """

    def __init__(self, builtins: Mapping[str, Builtin] | None = None) -> None:
        self._builtins = dict(builtins or {})

    def of(self, container: Mapping[str, Any]) -> Runtime:
        """How this container runs here."""
        name = image_name(str(container.get("image") or ""))
        for prefix in sorted(self._builtins, key=len, reverse=True):
            if name.startswith(prefix):
                return self._builtins[prefix]
        last = PurePosixPath(name).name
        if is_ray(name):
            return _ray(container)
        if last == "python" or last.endswith("-python"):
            return Process(_python)
        if "jupyter" in name or last.endswith("-notebook"):
            return Process(_jupyter)
        if last in _HOST_IMAGES:
            return _host(container, _DEFAULT_COMMANDS.get(last, "sh"))
        return Simulated(f"the image {container.get('image')} has no runtime on this machine")

    @staticmethod
    def ports_of(container: Mapping[str, Any]) -> list[int]:
        """Container ports that an image listens on though the spec may not declare them."""
        name = image_name(str(container.get("image") or ""))
        if is_ray(name):
            return implied_ports(container)
        return [JUPYTER_PORT] if "jupyter" in name else []


def is_ray(name: str) -> bool:
    """Whether an image is Ray's, or one made from it by the same name elsewhere."""
    return PurePosixPath(name).name in ("ray", "ray-ml", "ray-llm")


def _ray(container: Mapping[str, Any]) -> Runtime:
    text = command_text(container)
    if parse_ray_start(text) is not None:
        return Process(prepare_ray_node)
    if "ray health-check" in text:
        return Inline(wait_until_gcs_is_ready)
    if "kuberay-autoscaler" in text:
        return Simulated("the Ray autoscaler needs a Kubernetes API at a fixed address")
    return Process(_ray_driver)


def _host(container: Mapping[str, Any], default: str) -> Runtime:
    command = (container.get("command") or [default])[0]
    if shutil.which(command) is None:
        return Simulated(f'"{command}" is not on this machine')

    async def prepare(request: Request) -> Launch:
        argv = request.argv if request.container.get("command") else [default, *request.argv]
        return Launch(await request.all_made_real(argv), request.environment, request.work)

    return Process(prepare)


async def _python(request: Request) -> Launch:
    argv = request.argv if request.container.get("command") else _with_python(request.argv)
    if PurePosixPath(argv[0]).name in ("python", "python3") and "/" in argv[0]:
        argv = [sys.executable, *argv[1:]]  # where the image has it
    return Launch(await request.all_made_real(argv), request.environment, request.work)


def _with_python(arguments: list[str]) -> list[str]:
    """The official image has the interpreter as its command, which arguments replace."""
    return arguments or ["python3"]


async def _jupyter(request: Request) -> Launch:
    """Jupyter images start through scripts that are only in them: the same server is started directly."""
    argv = request.argv
    if not argv or PurePosixPath(argv[0]).name.startswith(("start-", "start.", "tini")):
        port = request.ports[JUPYTER_PORT]
        options = [argument for argument in argv[1:] if not argument.startswith(("--ip", "--port"))]
        server = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
        return Launch([*server, *options], request.environment, request.work)
    return Launch(await request.all_made_real(argv), request.environment, request.work)


async def _ray_driver(request: Request) -> Launch:
    argv = request.argv or ["bash"]
    return Launch(await request.all_made_real(argv), {**request.environment, **_RAY_DRIVER}, request.work)
