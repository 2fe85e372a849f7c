"""What the tests of Config Sync act with: repositories to commit to, syncs to run, and ways to look."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mlp_helpers.sandbox.controllers.client import Client, NotFoundError
from mlp_helpers.sandbox.controllers.config_sync import reconciler
from mlp_helpers.sandbox.controllers.config_sync.names import SYNC_API_VERSION, SyncId
from mlp_helpers.sandbox.kubernetes.server import ApiServer

ADMIN_GROUP = "system:masters"
ROOT = SyncId("RootSync", "config-management-system", "root-sync")
TEAM = SyncId("RepoSync", "ml-team", "repo-sync")

Object = dict[str, Any]


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 15) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.03)


def config_map(name: str, value: str = "1", namespace: str = "ml-team", **annotations: str) -> Object:
    metadata: Object = {"name": name, "namespace": namespace}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


class Repository:
    """A bare repository and a work tree that pushes to it."""

    def __init__(self, folder: Path) -> None:
        self.bare, self._tree = folder / "config.git", folder / "tree"
        self.url = f"file://{self.bare}"
        self._git("init", "--quiet", "--bare", "-b", "dev", str(self.bare))
        self._git("init", "--quiet", "-b", "dev", str(self._tree))

    def commit(self, files: Mapping[str, Object | str | None]) -> str:
        """Write (or, for None, remove) files, push, and return the commit."""
        for name, content in files.items():
            path = self._tree / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        self._run("add", "--all")
        self._run("commit", "--quiet", "--allow-empty", "-m", "Change the configuration")
        self._run("push", "--quiet", self.url, "dev")
        return self._run("rev-parse", "HEAD").strip()

    def _run(self, *arguments: str) -> str:
        person = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
        return self._git("-C", str(self._tree), *person, *arguments)

    def _git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


class World:
    """A cluster, a repository, and the reconcilers that the test has started."""

    def __init__(self, server: ApiServer, client: Client, repository: Repository, folder: Path) -> None:
        self.server, self.client, self.repository, self._folder = server, client, repository, folder
        self._tasks: list[asyncio.Task[None]] = []

    async def declare(self, sync: SyncId, **spec: Any) -> None:
        """Create or change a sync; by default of the directory `config` of the repository."""
        git = {"repo": self.repository.url, "branch": "dev", "dir": "config", "auth": "none", "period": "300ms"}
        wanted = {"sourceFormat": "unstructured", "git": {**git, **spec.pop("git", {})}, **spec}
        if wanted.get("sourceType") == "helm":
            del wanted["git"]
        metadata = {"name": sync.name, "namespace": sync.namespace}
        body = {"apiVersion": SYNC_API_VERSION, "kind": sync.kind, "metadata": metadata, "spec": wanted}
        await self.client.apply(body, manager="tests")

    def start(
        self, sync: SyncId, *, user: str = "admin", groups: tuple[str, ...] = (ADMIN_GROUP,), **more: str
    ) -> None:
        """Run the reconciler of a sync."""
        kubeconfig = self.server.kubeconfig(user=user, token=self.server.issue_token(user, groups))
        environment = {
            reconciler.NAME_VARIABLE: sync.name,
            reconciler.SCOPE_VARIABLE: sync.scope,
            reconciler.CLUSTER_VARIABLE: "mlp-dev",
            reconciler.FOLDER_VARIABLE: str(self._folder / sync.reconciler),
            **more,
        }
        log = logging.getLogger(f"tests.{sync.reconciler}")
        self._tasks.append(asyncio.create_task(reconciler.run(kubeconfig, environment, log)))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        wrong = [one for one in ended if isinstance(one, Exception)]
        if wrong:
            raise wrong[0]

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        try:
            return await self.client.get(await self.client.resource(api_version, kind), name, namespace)
        except NotFoundError:
            return None

    async def config_map(self, name: str, namespace: str = "ml-team") -> Object | None:
        return await self.get("v1", "ConfigMap", name, namespace)

    async def status(self, sync: SyncId = ROOT) -> Object:
        live = await self.get(SYNC_API_VERSION, sync.kind, sync.name, sync.namespace)
        return (live or {}).get("status") or {}

    async def until_synced(self, commit: str, sync: SyncId = ROOT) -> Object:
        """Wait until a commit is applied without errors; the status."""

        async def is_synced() -> bool:
            status = await self.status(sync)
            return status.get("lastSyncedCommit") == commit and not await self.errors(sync)

        await until(is_synced)
        return await self.status(sync)

    async def until_error(self, code: int, sync: SyncId = ROOT) -> Object:
        """Wait until the status shows an error of a code; that error."""
        found: list[Object] = []

        async def is_shown() -> bool:
            found[:] = [error for error in await self.errors(sync) if error["code"] == f"{code:04d}"]
            return bool(found)

        await until(is_shown)
        return found[0]

    async def errors(self, sync: SyncId = ROOT) -> list[Object]:
        status = await self.status(sync)
        return [
            error for block in ("source", "rendering", "sync") for error in (status.get(block) or {}).get("errors", [])
        ]

    async def patch_config_map(self, name: str, patch: Object) -> None:
        await self.client.patch(await self.client.resource("v1", "ConfigMap"), name, "ml-team", patch)

    async def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> None:
        await self.client.delete(await self.client.resource(api_version, kind), name, namespace)

    async def statuses(self, sync: SyncId = ROOT) -> dict[str, Object]:
        """The states of the managed objects, by kind and name."""
        live = await self.get("kpt.dev/v1alpha1", "ResourceGroup", sync.name, sync.namespace)
        statuses = ((live or {}).get("status") or {}).get("resourceStatuses") or []
        return {f"{one['kind']}/{one['name']}": one for one in statuses}
