"""Carries out a plan: wave after wave, each waiting for what it needs; then what is no longer declared goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mlp_helpers.sandbox.controllers.config_sync.apply import Applier
from mlp_helpers.sandbox.controllers.config_sync.decide import Origin, Plan, prune_waves
from mlp_helpers.sandbox.controllers.config_sync.health import Health, State, health
from mlp_helpers.sandbox.controllers.config_sync.inventory import Actuation
from mlp_helpers.sandbox.controllers.config_sync.names import ObjectId
from mlp_helpers.sandbox.controllers.config_sync.parse import Declared
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError, Subject

_FIRST_LOOK_SECONDS = 0.05
_LONGEST_LOOK_SECONDS = 1.0


@dataclass
class Outcome:
    """What a run did, object by object."""

    actuations: dict[ObjectId, Actuation] = field(default_factory=dict)
    healths: dict[ObjectId, Health] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def failed(self, object_id: ObjectId) -> bool:
        return self.actuations.get(object_id, Actuation("Apply", "Pending")).outcome in ("Failed", "Skipped")


class Rollout:
    """One run of one plan.

    Args:
        applier: Who writes.
        origin: The sync and version that the objects come from.
        reconcile_seconds: How long a dependency may take to become ready.
        log: The reconciler's log.
    """

    def __init__(self, applier: Applier, origin: Origin, *, reconcile_seconds: float, log: logging.Logger) -> None:
        self._applier, self._origin, self._log = applier, origin, log
        self._reconcile_seconds = reconcile_seconds
        self._outcome = Outcome()

    async def run(self, plan: Plan) -> Outcome:
        """Apply, release and prune; one object's failure does not stop the others."""
        for wave in plan.waves:
            for one in wave:
                await self._apply(one, plan)
        for object_id in plan.abandon:
            await self._applier.release(object_id, self._origin)
        await self.prune(plan.prune)
        return self._outcome

    async def prune(self, ids: Collection[ObjectId]) -> Outcome:
        """Delete objects, and let go what they need only when they are gone."""
        needs = {one: await self._applier.needs(one) for one in ids}
        waves = prune_waves(ids, needs)
        stuck: list[ObjectId] = []
        for number, wave in enumerate(waves):
            for one in wave:
                await self._prune(one, [other for other in stuck if one in _needed(other, needs)])
            if number < len(waves) - 1:
                stuck += await self.until_gone(wave)
        return self._outcome

    async def until_gone(self, ids: Iterable[ObjectId]) -> list[ObjectId]:
        """Wait until objects are gone, or no longer this sync's own; those that still are when time is up."""
        deadline = asyncio.get_running_loop().time() + self._reconcile_seconds
        pause, left = _FIRST_LOOK_SECONDS, list(ids)
        while True:
            left = [one for one in left if await self._applier.is_managed(one, self._origin)]
            if not left or asyncio.get_running_loop().time() > deadline:
                return left
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)

    async def _prune(self, object_id: ObjectId, users: Sequence[ObjectId]) -> None:
        if users:
            text = f"skipped prune of {object_id}: {users[0]} needs it and is not gone"
            self._note(object_id, Actuation("Delete", "Skipped", text), [Problem(2009, text, (Subject(object_id),))])
            return
        try:
            await self._applier.prune(object_id, self._origin)
        except ProblemsError as error:
            self._note(object_id, Actuation("Delete", "Failed", str(error)), error.problems)
        else:
            self._log.info("pruned %s", object_id)
            self._outcome.actuations[object_id] = Actuation("Delete", "Succeeded")

    async def _apply(self, one: Declared, plan: Plan) -> None:
        needs = plan.needs[one.id]
        blocker = next((need for need in sorted(needs) if self._outcome.failed(need)), None)
        if blocker is None:
            blocker = await self._unready(sorted(needs), plan)
        if blocker is not None:
            text = f"skipped apply of {one.id}: dependency {blocker} is not applied or not ready"
            self._note(one.id, Actuation("Apply", "Skipped", text), [Problem(2009, text, (one.subject,))])
            return
        try:
            live = await self._applier.apply(one, self._origin)
        except ProblemsError as error:
            self._note(one.id, Actuation("Apply", "Failed", str(error)), error.problems)
            return
        self._outcome.actuations[one.id] = Actuation("Apply", "Succeeded")
        self._outcome.healths[one.id] = health(live)

    async def _unready(self, needs: list[ObjectId], plan: Plan) -> ObjectId | None:
        """Wait for dependencies; the one that did not become ready in time, if any."""
        deadline = asyncio.get_running_loop().time() + self._reconcile_seconds
        for need in needs:
            pause = _FIRST_LOOK_SECONDS
            while self._outcome.healths[need].state is not State.CURRENT:
                if asyncio.get_running_loop().time() >= deadline:
                    return need
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)
                self._outcome.healths[need] = health(await self._applier.live(plan.declared[need]))
        return None

    def _note(self, object_id: ObjectId, actuation: Actuation, problems: Iterable[Problem]) -> None:
        self._outcome.actuations[object_id] = actuation
        for problem in problems:
            self._log.error("KNV%04d: %s", problem.code, problem.text)
            self._outcome.problems.append(problem)


def _needed(one: ObjectId, needs: Mapping[ObjectId, Collection[ObjectId]]) -> list[ObjectId]:
    return [*needs.get(one, ()), ObjectId("", "Namespace", "", one.namespace)]
