"""The reconciler of one RootSync or RepoSync: fetch, render, check, apply, watch; under its pod's own account."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from mlp_helpers.sandbox.controllers.client import ApiError, Client, Object, UnknownKindError
from mlp_helpers.sandbox.controllers.config_sync.apply import Applier
from mlp_helpers.sandbox.controllers.config_sync.checks import Checked
from mlp_helpers.sandbox.controllers.config_sync.decide import Origin, plan
from mlp_helpers.sandbox.controllers.config_sync.drift import Drift
from mlp_helpers.sandbox.controllers.config_sync.inventory import Actuation, Inventory
from mlp_helpers.sandbox.controllers.config_sync.names import (
    CONTROLLER_NAMESPACE,
    DELETION_PROPAGATION,
    RECONCILER_FINALIZER,
    SYNC_API_VERSION,
    ObjectId,
    SyncId,
    annotations_of,
    seconds,
)
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError
from mlp_helpers.sandbox.controllers.config_sync.reading import fetch, read
from mlp_helpers.sandbox.controllers.config_sync.rendering import FAILED, Rendered, render
from mlp_helpers.sandbox.controllers.config_sync.rollout import Rollout
from mlp_helpers.sandbox.controllers.config_sync.source import Checkout, GitSource
from mlp_helpers.sandbox.controllers.config_sync.status import Report, with_report, with_syncing
from mlp_helpers.sandbox.controllers.config_sync.sync_object import SyncObject
from mlp_helpers.sandbox.controllers.config_sync.teardown import tear_down
from mlp_helpers.sandbox.controllers.loop import Manager

NAME_VARIABLE = "SYNC_NAME"
SCOPE_VARIABLE = "NAMESPACE_NAME"
CLUSTER_VARIABLE = "CLUSTER_NAME"
FOLDER_VARIABLE = "HOME"  # of the pod

GIT_PERIOD_SECONDS = 15.0
HELM_PERIOD_SECONDS = 3600.0
RECONCILE_SECONDS = 300.0
_FIRST_RETRY_SECONDS = 1.0
# What is missing (a kind, a right) is often made by another sync within seconds.
_LONGEST_RETRY_SECONDS = 10.0
_STATUS_PAUSE_SECONDS = 0.3


async def run(kubeconfig: Mapping[str, object], environment: Mapping[str, str], log: logging.Logger) -> None:
    """Reconcile one sync until cancelled.

    Args:
        kubeconfig: The account of the reconciler's pod.
        environment: SYNC_NAME, NAMESPACE_NAME (`:root` or the namespace), CLUSTER_NAME, credentials for Git.
        log: The pod's log.
    """
    scope = environment[SCOPE_VARIABLE]
    name = environment[NAME_VARIABLE]
    sync = SyncId("RootSync", CONTROLLER_NAMESPACE, name) if scope == ":root" else SyncId("RepoSync", scope, name)
    client = Client(kubeconfig, user_agent=f"{sync.reconciler}/sandbox")
    with tempfile.TemporaryDirectory(prefix="reconciler-") as scratch:
        folder = Path(environment.get(FOLDER_VARIABLE) or scratch)
        try:
            await Reconciler(client, sync, folder, environment, log).run()
        finally:
            await client.close()


class Reconciler:
    """Holds what one reconciler knows between two looks at its source."""

    def __init__(
        self, client: Client, sync: SyncId, folder: Path, environment: Mapping[str, str], log: logging.Logger
    ) -> None:
        self._client, self._sync, self._folder, self._log = client, sync, folder, log
        self._cluster = environment.get(CLUSTER_VARIABLE, "")
        self._object = SyncObject(client, sync)
        self._source = GitSource(folder / "git", environment)
        self._applier = Applier(client)
        self._inventory = Inventory(client, sync)
        self._manager = Manager(client)
        self._status_due = asyncio.Event()
        self._drift = Drift(self._manager, sync, self._applier, changed=self._status_due.set, log=log)
        self._wake = asyncio.Event()
        self._origin = Origin(sync, self._cluster, "", {})
        self._seen: tuple[str, int] | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._problems: dict[str, Sequence[Problem]] = {}
        self._actuations: Mapping[ObjectId, Actuation] = {}
        self._rolling = False

    async def run(self) -> None:
        """Follow the source and the cluster until cancelled."""
        own = self._manager.informer(
            SYNC_API_VERSION,
            self._sync.kind,
            namespace=self._sync.namespace,
            field_selector=f"metadata.name={self._sync.name}",
        )
        own.listen(self._note_own_change)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._manager.run())
            tasks.create_task(self._report_loop())
            while True:
                self._wake.clear()
                pause = await self._guarded_step()
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: before Python 3.12 it can lose a cancellation, and this loop would never end.
                    async with asyncio.timeout(pause):
                        await self._wake.wait()

    def _note_own_change(self, before: Object | None, after: Object | None) -> None:
        if _wanted(before) != _wanted(after):
            self._wake.set()

    async def _guarded_step(self) -> float:
        try:
            return await self._step()
        except (ApiError, UnknownKindError, aiohttp.ClientError, OSError, TimeoutError) as error:
            self._log.error("KNV2002: APIServer error: %s", error or repr(error))
            try:
                await self._fail("sync", "Sync", [Problem(2002, f"APIServer error: {error or repr(error)}")])
            except (ApiError, UnknownKindError, aiohttp.ClientError, OSError, TimeoutError) as second:
                self._log.error("cannot report it: %s", second or repr(second))
            return self._retry_seconds()

    async def _step(self) -> float:
        """One look at the sync and its source; returns the seconds until the next one."""
        live = await self._object.read()
        if live is None:
            return GIT_PERIOD_SECONDS
        spec = live.get("spec") or {}
        period = _period(spec)
        if live["metadata"].get("deletionTimestamp"):
            return await self._finalize(live, spec)
        foreground = annotations_of(live).get(DELETION_PROPAGATION) == "Foreground"
        await self._object.set_finalizer(RECONCILER_FINALIZER, is_present=foreground)
        try:
            checkout = await fetch(spec, self._sync, self._source, self._folder)
        except ProblemsError as error:
            await self._fail("source", "Source", error.problems)
            return min(self._retry_seconds(), period)
        version = (checkout.commit, int(live["metadata"].get("generation", 1)))
        now = asyncio.get_running_loop().time()
        if version == self._seen and (self._is_clean() or now < self._retry_at):
            return period
        if version != self._seen:
            self._seen, self._failures = version, 0
        if await self._bring_about(checkout, spec):
            self._failures = 0
            return period
        # A new commit is looked for as often as ever; the same one is tried again ever more seldom.
        pause = self._retry_seconds()
        self._retry_at = now + pause
        return min(pause, period)

    def _is_clean(self) -> bool:
        return not any(self._problems.values()) and not self._drift.problems

    async def _bring_about(self, checkout: Checkout, spec: Mapping[str, Any]) -> bool:
        """Render, check and apply one version; whether all of it went well."""
        self._origin = Origin(self._sync, self._cluster, checkout.commit, _context(spec))
        self._problems = {}
        try:
            rendered = await render(checkout, self._folder)
        except ProblemsError as error:
            await self._fail("rendering", "Rendering", error.problems, message=FAILED)
            return False
        try:
            checked = await read(rendered, spec, self._sync, self._client, cluster=self._cluster)
            await self._apply(checked, rendered, spec)
        except ProblemsError as error:
            stage = "sync" if error.problems[0].code in (2006, 2009) else "source"
            await self._fail(stage, stage.capitalize(), error.problems, rendered=rendered)
            return False
        return self._is_clean()

    async def _apply(self, checked: Checked, rendered: Rendered, spec: Mapping[str, Any]) -> None:
        inventory = await self._inventory.load()
        todo = plan(checked.objects, checked.unknown, inventory)
        self._problems = {"source": checked.passing}
        await self._report(
            [Report("source", self._origin.commit, checked.passing), self._rendering(rendered)],
            running=True,
            stage="Sync",
            message="Syncing",
        )
        self._log.info("applying %d objects of %s", len(todo.declared), self._origin.commit)
        self._rolling = True
        self._drift.pause()
        try:
            await self._inventory.store(inventory | todo.declared.keys())
            timeout = seconds((spec.get("override") or {}).get("reconcileTimeout"), RECONCILE_SECONDS)
            outcome = await Rollout(self._applier, self._origin, reconcile_seconds=timeout, log=self._log).run(todo)
            failed_prunes = {one for one in todo.prune if outcome.failed(one)}
            kept = {one.id for one in checked.unknown} & inventory
            await self._inventory.store(todo.declared.keys() | failed_prunes | kept)
            self._actuations = outcome.actuations
            self._drift.healths.update(outcome.healths)
            await self._drift.follow(todo.declared, self._origin)
        finally:
            self._rolling = False
        self._problems = {"source": checked.passing, "sync": outcome.problems}
        # The inventory first: who sees "synced" finds the objects listed.
        await self._inventory.store_statuses(self._drift.healths, self._actuations, self._origin.commit)
        await self._report_sync()

    async def _finalize(self, live: Object, spec: Mapping[str, Any]) -> float:
        if RECONCILER_FINALIZER not in (live["metadata"].get("finalizers") or []):
            return GIT_PERIOD_SECONDS
        self._drift.pause()
        timeout = seconds((spec.get("override") or {}).get("reconcileTimeout"), RECONCILE_SECONDS)
        gone = await tear_down(
            self._object, self._inventory, self._applier, self._origin, timeout_seconds=timeout, log=self._log
        )
        return GIT_PERIOD_SECONDS if gone else self._retry_seconds()

    # Reports

    async def _report_loop(self) -> None:
        """Write what the watches saw: the state of each object, and what stands in the way of correcting it."""
        while True:
            await self._status_due.wait()
            await asyncio.sleep(_STATUS_PAUSE_SECONDS)
            self._status_due.clear()
            if self._rolling or not self._origin.commit:
                continue
            try:
                await self._inventory.store_statuses(self._drift.healths, self._actuations, self._origin.commit)
                if not self._problems.get("rendering") and "sync" in self._problems:
                    await self._report_sync()
            except (ApiError, UnknownKindError, aiohttp.ClientError, OSError, TimeoutError) as error:
                self._log.warning("cannot write the inventory's status: %s", error or repr(error))
                self._status_due.set()

    async def _report_sync(self) -> None:
        problems = tuple(dict.fromkeys([*self._problems.get("sync", ()), *self._drift.problems]))
        await self._report(
            [Report("sync", self._origin.commit, problems)], running=False, stage="Sync", message="Sync Completed"
        )

    async def _fail(
        self,
        block: str,
        stage: str,
        problems: Sequence[Problem],
        *,
        message: str = "",
        rendered: Rendered | None = None,
    ) -> None:
        for problem in problems:
            self._log.error("KNV%04d: %s", problem.code, problem.text)
        reports = [Report(block, self._origin.commit, tuple(problems), message)]
        if block != "source" and self._origin.commit:
            reports.insert(0, Report("source", self._origin.commit, tuple(self._problems.get("source", ()))))
        if rendered is not None:
            reports.append(self._rendering(rendered))
        self._problems = {**self._problems, block: problems}
        await self._report(reports, running=False, stage=stage, message=message or stage)

    def _rendering(self, rendered: Rendered) -> Report:
        return Report("rendering", self._origin.commit, (), rendered.message)

    async def _report(self, reports: Sequence[Report], *, running: bool, stage: str, message: str) -> None:
        live = await self._object.read()
        spec = (live or {}).get("spec") or {}
        problems = {**self._problems, **{report.block: report.problems for report in reports}}
        is_synced = not running and stage == "Sync" and not any(problems.values())

        def change(status: Mapping[str, Any]) -> dict[str, Any]:
            after = dict(status)
            for report in reports:
                after = with_report(after, report, spec)
            if is_synced:
                after["lastSyncedCommit"] = self._origin.commit
            return with_syncing(
                after, running=running, stage=stage, message=message, commit=self._origin.commit, problems=problems
            )

        await self._object.update_status(change)

    def _retry_seconds(self) -> float:
        self._failures += 1
        return float(min(_FIRST_RETRY_SECONDS * 2 ** min(self._failures - 1, 10), _LONGEST_RETRY_SECONDS))


def _wanted(live: Object | None) -> tuple[Any, ...]:
    """What of the sync object itself makes a reconciler look again."""
    metadata = (live or {}).get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    return metadata.get("generation"), metadata.get("deletionTimestamp"), annotations.get(DELETION_PROPAGATION)


def _period(spec: Mapping[str, Any]) -> float:
    if spec.get("sourceType") == "helm":
        return seconds((spec.get("helm") or {}).get("period"), HELM_PERIOD_SECONDS)
    return seconds((spec.get("git") or {}).get("period"), GIT_PERIOD_SECONDS)


def _context(spec: Mapping[str, Any]) -> dict[str, str]:
    """The annotation that tells where an object came from, in the real one's order and names."""
    if spec.get("sourceType") == "helm":
        helm = spec.get("helm") or {}
        return {key: str(helm[key]) for key in ("repo", "chart", "version") if helm.get(key)}
    git = spec.get("git") or {}
    return {"repo": git.get("repo", ""), "branch": git.get("branch") or "master", "rev": git.get("revision") or "HEAD"}
