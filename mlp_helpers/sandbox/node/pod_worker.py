"""One pod: its folder, ports and volumes, its containers in order, its status, its end."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from mlp_helpers.sandbox.controllers.client import ApiError, ConflictError, NotFoundError, Object
from mlp_helpers.sandbox.controllers.endpoints import PORTS_ANNOTATION
from mlp_helpers.sandbox.node.container import Container
from mlp_helpers.sandbox.node.environment import EnvironmentReader, base_environment
from mlp_helpers.sandbox.node.identity import PodIdentity
from mlp_helpers.sandbox.node.ports import declared_ports
from mlp_helpers.sandbox.node.processes import POD_VARIABLE, kill_all, marked_processes
from mlp_helpers.sandbox.node.ray_nodes import TEMPORARY_FOLDER_RECORD
from mlp_helpers.sandbox.node.request import Request
from mlp_helpers.sandbox.node.services import NodeServices
from mlp_helpers.sandbox.node.status import pod_status
from mlp_helpers.sandbox.node.volumes import MOUNTS_ANNOTATION, MountError, Volumes, all_mounts, mounts_of

_MOUNT_RETRY_SECONDS = 2.0
_REFRESH_SECONDS = 600.0
_PUBLISH_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class PodWorker:
    """Runs one pod that is bound to one of the kubelet's nodes.

    Args:
        services: The kubelet's parts.
        pod: The pod as first seen.
    """

    def __init__(self, services: NodeServices, pod: Object) -> None:
        self.services, self._pod = services, pod
        self.uid = str(pod["metadata"]["uid"])
        self.folder = services.pods / self.uid
        self.is_ending = False
        policy = pod["spec"].get("restartPolicy", "Always")
        self.first = [
            Container(self, spec, policy=_first_policy(spec, policy), is_first=True)
            for spec in pod["spec"].get("initContainers") or ()
        ]
        self.main = [Container(self, spec, policy=policy) for spec in pod["spec"]["containers"]]
        self._ports: dict[int, int] = {}
        self._volumes: dict[str, Path] = {}
        self._identity = PodIdentity(services.client, services.lookup, self.folder)
        self._dirty = asyncio.Event()
        self._published: Object = {}
        self._has_begun = False

    @property
    def pod(self) -> Object:
        """The pod as last seen."""
        return self._pod

    @property
    def containers(self) -> list[Container]:
        """All its containers, the init containers first."""
        return [*self.first, *self.main]

    def update(self, pod: Object) -> None:
        """Take in the pod as the API server has it now."""
        self._pod = pod

    def changed(self) -> None:
        """Have the status written soon."""
        self._dirty.set()

    # Life

    async def run(self) -> None:
        """Run the pod to its end, or until cancelled (its processes then live on)."""
        self._has_begun = True
        publisher = asyncio.ensure_future(self._publish_changes())
        refresher = asyncio.ensure_future(self._refresh())
        try:
            await self._set_up()
            await self._run_containers()
            await kill_all(marked_processes(self.uid))
            await self.publish()
        finally:
            for task in (publisher, refresher):
                task.cancel()
            await asyncio.gather(publisher, refresher, return_exceptions=True)

    async def _set_up(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ports = self._take_ports()
        self.changed()
        while True:
            try:
                self._volumes = await self._prepare()
                break
            except (MountError, ApiError) as error:
                await self.services.events.warning(self._pod, "FailedMount", str(error))
            await asyncio.sleep(_MOUNT_RETRY_SECONDS)
        annotations = {PORTS_ANNOTATION: json.dumps({str(port): real for port, real in self._ports.items()})}
        if mounts := all_mounts(self._pod, self._volumes):
            annotations[MOUNTS_ANNOTATION] = json.dumps(mounts)
        await self.annotate(annotations)

    def _take_ports(self) -> dict[int, int]:
        """The ports that the pod had before the sandbox restarted, or new ones."""
        record = self.folder / "pod.json"
        if record.exists():
            ports = {int(port): real for port, real in json.loads(record.read_text())["ports"].items()}
            self.services.ports.take(ports.values())
            return ports
        wanted = set(declared_ports(self._pod))
        for container in self.main:
            wanted |= set(self.services.runtimes.ports_of(container.spec))
        ports = {port: self.services.ports.allocate() for port in sorted(wanted)}
        metadata = self._pod["metadata"]
        content = {"namespace": metadata["namespace"], "name": metadata["name"], "uid": self.uid, "ports": ports}
        record.write_text(json.dumps(content))
        return ports

    async def _prepare(self) -> dict[str, Path]:
        await self._identity.refresh(self._pod)
        return await Volumes(self.folder, self.services.claims, self.services.lookup).prepare(self._pod)

    async def _refresh(self) -> None:
        """Keep tokens valid and mirrored Secrets and ConfigMaps current."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                await self._prepare()
            except (MountError, ApiError, aiohttp.ClientError, OSError) as error:
                _log.warning("pod %s: volumes not refreshed: %s", self._pod["metadata"]["name"], error)

    async def _run_containers(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            sidecars = []
            for container in self.first:
                if container.policy == "Always":
                    sidecars.append(tasks.create_task(container.run()))
                elif (await container.run()).code != 0:
                    break
            else:
                mains = [tasks.create_task(container.run()) for container in self.main]
                await asyncio.gather(*mains)
            for container, sidecar in zip(self._sidecars(), sidecars, strict=False):
                sidecar.cancel()
                await container.stop(float(self._pod["spec"].get("terminationGracePeriodSeconds", 30)))

    def _sidecars(self) -> list[Container]:
        return [container for container in self.first if container.policy == "Always"]

    # What containers ask of their pod

    async def request(self, spec: Mapping[str, Any]) -> Request:
        """A container with everything it refers to.

        Raises:
            ContainerConfigError: Something that it refers to is missing.
        """
        given = self._given_environment()
        allocatable = self.services.allocatable_of(self._pod["spec"].get("nodeName", ""))
        environment = await EnvironmentReader(self.services.lookup).read(self._pod, spec, given, allocatable)
        mounts = mounts_of(spec, self._volumes)
        request = Request(
            pod=self._pod,
            container=spec,
            environment=environment,
            folder=self.folder,
            work=self._working_folder(str(spec.get("workingDir") or ""), mounts),
            ports=self._ports,
            mounts=mounts,
            kubeconfig=self._identity.kubeconfig(self._pod),
            lookup=self.services.lookup,
        )
        own = {name: value for name, value in environment.items() if given.get(name) != value}
        real = {name: await request.made_real(value) for name, value in own.items()}
        return Request(**{**request.__dict__, "environment": {**environment, **real}})

    def _given_environment(self) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        server = urlsplit(self.services.client.server)
        return {
            **base_environment(home),
            "HOSTNAME": self._pod["metadata"]["name"],
            "KUBERNETES_SERVICE_HOST": server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(server.port or ""),
            POD_VARIABLE: self.uid,
            **self._identity.environment(self._pod),
            **self.services.environment_for(self._pod),
        }

    def _working_folder(self, path: str, mounts: Mapping[str, Path]) -> Path:
        """The folder that stands for a working directory: in a volume, or in a tree that only this pod has."""
        for mount in sorted(mounts, key=len, reverse=True):
            if path == mount or path.startswith(f"{mount}/"):
                folder = mounts[mount] / path[len(mount) :].lstrip("/")
                break
        else:
            folder = self.folder / "root" / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Write annotations on the pod, if they are not there."""
        have = self._pod["metadata"].get("annotations") or {}
        if all(have.get(name) == value for name, value in annotations.items()):
            return
        metadata = self._pod["metadata"]
        change = {"metadata": {"uid": self.uid, "annotations": dict(annotations)}}
        try:
            resource = await self.services.client.resource("v1", "Pod")
            self._pod = await self.services.client.patch(resource, metadata["name"], metadata["namespace"], change)
        except (NotFoundError, ConflictError):
            return  # gone: the kubelet is about to hear of it

    # Status

    async def _publish_changes(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.publish()
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.debug("status of %s not written yet: %s", self._pod["metadata"]["name"], error)
                await asyncio.sleep(_PUBLISH_RETRY_SECONDS)
                self._dirty.set()

    async def publish(self) -> None:
        """Write the status, if it differs from what was written last. (A pod that had ended before keeps its own.)"""
        if not self._has_begun:
            return
        status = pod_status(
            self._pod,
            [container.record for container in self.first],
            [container.record for container in self.main],
            is_ending=self.is_ending,
            now=datetime.now(UTC),
        )
        if status == self._published:
            return
        metadata = self._pod["metadata"]
        change = {"metadata": {"uid": self.uid}, "status": status}
        try:
            resource = await self.services.client.resource("v1", "Pod")
            self._pod = await self.services.client.patch(
                resource, metadata["name"], metadata["namespace"], change, subresource="status"
            )
        except (NotFoundError, ConflictError):
            return  # gone: the kubelet is about to hear of it
        self._published = status

    # The end

    async def stop_containers(self, grace_seconds: float) -> None:
        """End every container, and whatever left its session."""
        self.is_ending = True
        await asyncio.gather(*(container.stop(grace_seconds) for container in self.containers))
        await kill_all(marked_processes(self.uid))
        remove_temporary_folder(self.folder)

    async def delete(self, grace_seconds: float) -> None:
        """End the pod, say so, and let the API server forget it."""
        await self.stop_containers(grace_seconds)
        metadata = self._pod["metadata"]
        try:
            await self.publish()
            resource = await self.services.client.resource("v1", "Pod")
            await self.services.client.delete(
                resource, metadata["name"], metadata["namespace"], uid=self.uid, grace_seconds=0
            )
        except (NotFoundError, ConflictError):
            _log.debug("pod %s was gone before its processes", metadata["name"])
        self.forget()

    def forget(self) -> None:
        """Remove the pod's folders and give its ports back."""
        self.services.ports.release(self._ports.values())
        remove_pod_folder(self.folder)


def remove_temporary_folder(folder: Path) -> None:
    """Remove Ray's own files, which nobody needs once its processes have ended."""
    record = folder / TEMPORARY_FOLDER_RECORD
    if record.exists():
        shutil.rmtree(record.read_text(), ignore_errors=True)
        record.unlink()


def remove_pod_folder(folder: Path) -> None:
    """Remove what a pod had on this machine."""
    remove_temporary_folder(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _first_policy(spec: Mapping[str, Any], policy: str) -> str:
    """Init containers run to success; a sidecar among them stays."""
    if spec.get("restartPolicy") == "Always":
        return "Always"
    return "Never" if policy == "Never" else "OnFailure"
