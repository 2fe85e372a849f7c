"""One container of one pod: started, watched, started again, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from mlp_helpers.sandbox.controllers.client import ApiError, Object
from mlp_helpers.sandbox.controllers.quantities import parse_quantity
from mlp_helpers.sandbox.node.environment import ContainerConfigError
from mlp_helpers.sandbox.node.inline import InlineContainer, write_exit
from mlp_helpers.sandbox.node.probes import follow
from mlp_helpers.sandbox.node.processes import ContainerProcess, Exit, StartError, read_exit
from mlp_helpers.sandbox.node.request import Request
from mlp_helpers.sandbox.node.runtimes import Builtin, Inline, Process, Runtime
from mlp_helpers.sandbox.node.services import NodeServices
from mlp_helpers.sandbox.node.status import ContainerRecord, backoff_seconds, restarts

_CONFIG_RETRY_SECONDS = 5.0
_START_ERROR, _UNKNOWN = 128, 255
_SIMULATED = "simulated.json"

_log = logging.getLogger(__name__)


class Owner(Protocol):
    """The pod's worker, as its containers see it."""

    services: NodeServices
    folder: Path

    @property
    def pod(self) -> Object: ...
    def changed(self) -> None: ...
    async def request(self, container: Mapping[str, Any]) -> Request: ...
    async def annotate(self, annotations: Mapping[str, str]) -> None: ...


class Container:
    """Keeps one container as its restart policy says.

    Args:
        owner: The pod's worker.
        spec: The container's spec.
        policy: Always, OnFailure or Never.
        is_first: Whether it is an init container.
    """

    def __init__(self, owner: Owner, spec: Mapping[str, Any], *, policy: str, is_first: bool = False) -> None:
        self.owner, self.spec, self.policy, self.is_first = owner, spec, policy, is_first
        self.name = str(spec["name"])
        self.folder = owner.folder / "containers" / self.name
        self.record = ContainerRecord(self.name, str(spec.get("image", "")))
        self.process: ContainerProcess | None = None
        self._inline: InlineContainer | None = None
        self._is_simulated = False
        self._crashes = 0

    @property
    def run_folder(self) -> Path:
        """The folder of the current run."""
        return self.folder / str(self.record.restart_count)

    @property
    def runtime(self) -> Runtime:
        """How it runs here."""
        return self.owner.services.runtimes.of(self.spec)

    @property
    def memory_limit(self) -> int | None:
        """The most memory it may use, in bytes."""
        limit = ((self.spec.get("resources") or {}).get("limits") or {}).get("memory")
        return None if limit is None else int(parse_quantity(limit))

    async def run(self) -> Exit:
        """Run it until it has ended and is not to be started again."""
        ended = await self._resume()
        while True:
            if ended is None:
                ended = await self._run_once()
            if not restarts(self.policy, ended):
                return ended
            await self._back_off(ended)
            self.record.restart_count += 1
            ended = None

    # What an earlier kubelet left

    async def _resume(self) -> Exit | None:
        if self._inline is not None:  # this kubelet's own: the pod's worker was interrupted, the container was not
            return await self._await_inline(self._inline)
        if self.process is not None:
            return await self._watch(self.process, await self._request_or_none())
        runs = sorted(int(path.name) for path in self.folder.glob("[0-9]*")) if self.folder.exists() else []
        if not runs:
            return None
        self.record.restart_count = runs[-1]
        self.record.container_id = self._container_id()
        if len(runs) > 1 and (before := read_exit(self.folder / str(runs[-2]))):
            self.record.end(before, None)
            self.record.last_state = self.record.state
        if ended := read_exit(self.run_folder):
            self.record.end(ended, None)
            self.owner.changed()
            return ended
        if process := ContainerProcess.adopt(self.run_folder):
            return await self._watch(process, await self._request_or_none())
        if (self.run_folder / _SIMULATED).exists() and not self.is_first:
            return await self._simulate()
        ended = Exit(_UNKNOWN, datetime.now(UTC), "Unknown")
        write_exit(self.run_folder, ended)
        self.record.end(ended, None)
        self.owner.changed()
        return ended

    async def _request_or_none(self) -> Request | None:
        """What is needed to probe a running container; without it the container runs on unprobed."""
        try:
            return await self.owner.request(self.spec)
        except (ContainerConfigError, ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("%s: not probed: %s", self.name, error)
            return None

    # One run

    async def _run_once(self) -> Exit:
        request = await self._request()
        self.run_folder.mkdir(parents=True, exist_ok=True)
        self.record.container_id = self._container_id()
        await self._say("Pulled", f'Container image "{self.record.image}" already present on machine')
        runtime = self.runtime
        if isinstance(runtime, Process):
            return await self._run_process(runtime, request)
        await self._say("Created", f"Created container: {self.name}")
        if isinstance(runtime, Builtin):
            kubeconfig, environment = dict(request.kubeconfig), request.environment
            return await self._run_inline(lambda log: runtime.run(kubeconfig, environment, log))
        if isinstance(runtime, Inline):
            return await self._run_inline(lambda log: runtime.run(request, log))
        if self.is_first:
            await self._say("Simulated", f"Init container {self.name} was skipped: {runtime.why}")
            ended = Exit(0, datetime.now(UTC))
            write_exit(self.run_folder, ended)
            self.record.end(ended, ended.finished_at)
            return ended
        started = {"startedAt": datetime.now(UTC).isoformat()}
        (self.run_folder / _SIMULATED).write_text(json.dumps(started))
        await self._say("Simulated", f"Container {self.name} is shown Running, nothing runs: {runtime.why}")
        return await self._simulate()

    async def _request(self) -> Request:
        """The container with all it refers to, when all of it is there."""
        while True:
            try:
                return await self.owner.request(self.spec)
            except ContainerConfigError as error:
                self.record.wait("CreateContainerConfigError", str(error))
                self.owner.changed()
                await self._say("Failed", f"Error: {error}", warning=True)
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.warning("%s waits for the API server: %s", self.name, error)
            await asyncio.sleep(_CONFIG_RETRY_SECONDS)

    async def _run_process(self, runtime: Process, request: Request) -> Exit:
        launch = await runtime.prepare(request)
        await self._say("Created", f"Created container: {self.name}")
        try:
            process = await ContainerProcess.start(self.run_folder, launch)
        except StartError as error:
            ended = Exit(_START_ERROR, datetime.now(UTC), "StartError")
            write_exit(self.run_folder, ended)
            self.record.end(ended, None, str(error))
            self.owner.changed()
            await self._say("Failed", f"Error: {error}", warning=True)
            return ended
        await self._say("Started", f"Started container {self.name}")
        return await self._watch(process, request)

    async def _watch(self, process: ContainerProcess, request: Request | None) -> Exit:
        self.process = process
        self.record.run(process.started_at)
        probes = asyncio.ensure_future(self._probe(request))
        try:
            ended = await process.wait()
        finally:
            probes.cancel()
            await asyncio.gather(probes, return_exceptions=True)
        self._note_end(ended, process.started_at)
        if ended.reason:
            write_exit(self.run_folder, ended)
        return ended

    async def _run_inline(self, run: Callable[[logging.Logger], Awaitable[None]]) -> Exit:
        self._inline = inline = InlineContainer(self.run_folder, run)
        self.record.run(inline.started_at)
        self.record.started = self.record.ready = not self.is_first
        self.owner.changed()
        await self._say("Started", f"Started container {self.name}")
        return await self._await_inline(inline)

    async def _await_inline(self, inline: InlineContainer) -> Exit:
        ended = await inline.wait()
        self._inline = None
        self._note_end(ended, inline.started_at)
        return ended

    async def _simulate(self) -> Exit:
        started = json.loads((self.run_folder / _SIMULATED).read_text())["startedAt"]
        self._is_simulated = True
        self.record.run(datetime.fromisoformat(started))
        self.record.started = self.record.ready = True
        await self.owner.annotate({"sandbox.mlp/simulated": "true"})
        self.owner.changed()
        await asyncio.Event().wait()
        raise AssertionError("a simulated container only ends with its pod")

    def _note_end(self, ended: Exit, started_at: datetime) -> None:
        self.process = None
        self.record.end(ended, started_at)
        self.owner.changed()

    # Again

    async def _back_off(self, ended: Exit) -> None:
        started = (self.record.state.get("terminated") or {}).get("startedAt", "")
        ran = (ended.finished_at - datetime.fromisoformat(started)).total_seconds() if started > "1971" else 0.0
        pause = backoff_seconds(self._crashes, ran, self.owner.services.first_backoff_seconds)
        self._crashes = self._crashes + 1 if pause or not self._crashes else 1
        if not pause:
            return
        metadata = self.owner.pod["metadata"]
        where = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        self.record.wait(
            "CrashLoopBackOff", f"back-off {_duration(pause)} restarting failed container={self.name} pod={where}"
        )
        self.owner.changed()
        await self._say("BackOff", f"Back-off restarting failed container {self.name} in pod {where}", warning=True)
        await asyncio.sleep(pause)

    # The end

    async def stop(self, grace_seconds: float) -> None:
        """End it: first politely, after the grace period by force."""
        if self.process is not None:
            await self._say("Killing", f"Stopping container {self.name}")
            started_at = self.process.started_at
            self._note_end(await _end(self.process, grace_seconds), started_at)
        elif self._inline is not None:
            await self._say("Killing", f"Stopping container {self.name}")
            inline, self._inline = self._inline, None
            self._note_end(await inline.stop(), inline.started_at)
        elif self._is_simulated:
            self._note_end(Exit(0, datetime.now(UTC)), datetime.now(UTC))

    async def end_for_memory(self) -> None:
        """End it because it uses more memory than its limit."""
        if self.process is not None:
            await self.process.kill("OOMKilled")

    # Probes

    async def _probe(self, request: Request | None) -> None:
        spec = self.spec if request is not None else {}
        if request is not None and (startup := spec.get("startupProbe")):
            self.owner.changed()
            if not await self._starts(startup, request):
                return
        self.record.started = True
        self.record.ready = "readinessProbe" not in spec and not self.is_first
        self.owner.changed()
        async with asyncio.TaskGroup() as tasks:
            if request is not None and (readiness := spec.get("readinessProbe")):
                tasks.create_task(follow("Readiness", readiness, request, self._tell_readiness))
            if request is not None and (liveness := spec.get("livenessProbe")):
                tasks.create_task(follow("Liveness", liveness, request, self._tell_liveness))

    async def _starts(self, probe: Mapping[str, Any], request: Request) -> bool:
        outcome: list[bool] = []

        async def tell(succeeded: bool, words: str) -> bool:
            outcome.append(succeeded)
            if not succeeded:
                await self._fail_probe("startup", words)
            return False

        await follow("Startup", probe, request, tell)
        return outcome[0]

    async def _tell_readiness(self, succeeded: bool, words: str) -> bool:
        if not succeeded:
            await self._say("Unhealthy", words, warning=True)
        if self.record.ready != succeeded:
            self.record.ready = succeeded
            self.owner.changed()
        return True

    async def _tell_liveness(self, succeeded: bool, words: str) -> bool:
        if not succeeded:
            await self._fail_probe("liveness", words)
        return succeeded

    async def _fail_probe(self, kind: str, words: str) -> None:
        await self._say("Unhealthy", words, warning=True)
        await self._say("Killing", f"Container {self.name} failed {kind} probe, will be restarted")
        if self.process is not None:
            grace = float(self.owner.pod["spec"].get("terminationGracePeriodSeconds", 30))
            # Not awaited here: whoever waits for the process cancels the probes, and this with them.
            self._ending = asyncio.ensure_future(_end(self.process, grace))

    # Words

    async def _say(self, reason: str, message: str, *, warning: bool = False) -> None:
        kind = "initContainers" if self.is_first else "containers"
        events, path = self.owner.services.events, f"spec.{kind}{{{self.name}}}"
        await (events.warning if warning else events.normal)(self.owner.pod, reason, message, field_path=path)

    def _container_id(self) -> str:
        return f"sandbox://{self.owner.pod['metadata']['uid']}/{self.name}/{self.record.restart_count}"


async def _end(process: ContainerProcess, grace_seconds: float) -> Exit:
    ended = asyncio.ensure_future(process.wait())
    process.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace_seconds):
            return await asyncio.shield(ended)
    await process.kill()
    return await ended


def _duration(seconds: float) -> str:
    """As Go writes it: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{seconds:g}s"
