"""Watches every declared kind and puts back what others change or delete, within about a second."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Mapping

from mlp_helpers.sandbox.controllers.client import ApiError, ForbiddenError, Object, UnknownKindError
from mlp_helpers.sandbox.controllers.config_sync.apply import Applier
from mlp_helpers.sandbox.controllers.config_sync.checks import ignores_mutation
from mlp_helpers.sandbox.controllers.config_sync.decide import Claim, Origin, claim, contains, decorated
from mlp_helpers.sandbox.controllers.config_sync.health import Health, health
from mlp_helpers.sandbox.controllers.config_sync.names import ObjectId, SyncId
from mlp_helpers.sandbox.controllers.config_sync.parse import Declared
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError
from mlp_helpers.sandbox.controllers.loop import Informer, Key, Manager, own_key

# More corrections of one object than this in a minute mean that something else insists on its own version.
FIGHT_CORRECTIONS = 5
FIGHT_WINDOW_SECONDS = 60.0
_FIGHT_PAUSE_SECONDS = 10.0


class Drift:
    """The remediator of one sync.

    Args:
        manager: Runs the watches; they act as the reconciler's own account.
        sync: Whose objects these are; a RepoSync watches its own namespace only.
        applier: Who writes.
        changed: Called whenever a health or a problem changed.
        log: The reconciler's log.
    """

    def __init__(
        self, manager: Manager, sync: SyncId, applier: Applier, *, changed: Callable[[], None], log: logging.Logger
    ) -> None:
        self._manager, self._sync, self._applier = manager, sync, applier
        self._changed, self._log = changed, log
        self._origin: Origin | None = None
        self._declared: Mapping[ObjectId, Declared] = {}
        self._watches: dict[tuple[str, str], _KindWatch] = {}
        self._corrections: defaultdict[ObjectId, deque[float]] = defaultdict(deque)
        self._problems: dict[ObjectId | str, Problem] = {}
        self.healths: dict[ObjectId, Health] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What stands in the way of correcting at this moment."""
        return tuple(self._problems.values())

    async def follow(self, declared: Mapping[ObjectId, Declared], origin: Origin) -> None:
        """Keep these objects as declared from now on; objects left out are not touched any more."""
        self._declared, self._origin = declared, origin
        gone = (self.healths.keys() | self._problems.keys()) - declared.keys()
        for object_id in gone:
            if isinstance(object_id, ObjectId):
                self.healths.pop(object_id, None)
                self._problems.pop(object_id, None)
        for one in declared.values():
            watch = self._watches.get((one.api_version, one.id.kind)) or await self._watch(one)
            if watch is not None:
                # Also an object that was deleted before the watch began is looked at.
                self._manager.enqueue(watch, (one.id.namespace, one.id.name))

    def pause(self) -> None:
        """Correct nothing until `follow`: while a new version is applied, the old one is not what is wanted."""
        self._declared = {}

    async def _watch(self, one: Declared) -> _KindWatch | None:
        try:
            resource = await self._manager.client.resource(one.api_version, one.id.kind)
            namespace = self._sync.namespace if resource.namespaced and not self._sync.is_root else ""
            # An informer waits in silence where it may not look; the person who wrote the Role wants to know.
            await self._manager.client.list(resource, namespace, field_selector=f"metadata.name={one.id.name}")
        except (UnknownKindError, ApiError) as error:
            text = f"could not watch {one.id.group_kind} for drift: {error}"
            code = 2013 if isinstance(error, ForbiddenError) else 2002
            self._set_problem(one.id.group_kind, Problem(code, f"{_PERMISSION if code == 2013 else ''}{text}"))
            return None
        self._set_problem(one.id.group_kind, None)
        informer = self._manager.informer(one.api_version, one.id.kind, namespace=namespace)
        watch = _KindWatch(self, one, informer)
        self._watches[one.api_version, one.id.kind] = watch
        self._manager.register(watch, {informer: own_key})
        return watch

    async def correct(self, object_id: ObjectId, live: Object | None) -> float | None:
        """Look at one object and put it back if it is not as declared."""
        one, origin = self._declared.get(object_id), self._origin
        if one is None or origin is None:
            return None
        self._note_health(object_id, health(live))
        if live is not None and (_is_as_wanted(one, live, origin) or claim(live, self._sync) is Claim.CONFLICT):
            self._set_problem(object_id, None)
            return None
        if live is not None and live["metadata"].get("deletionTimestamp"):
            return None  # the end of the deletion is the next change
        if self._is_fight(object_id):
            return _FIGHT_PAUSE_SECONDS
        try:
            now = await self._applier.apply(one, origin)
        except ProblemsError as error:
            forbidden = isinstance(error.__cause__, ForbiddenError)
            self._set_problem(object_id, _not_permitted(one, error) if forbidden else error.problems[0])
            return _FIGHT_PAUSE_SECONDS
        self._set_problem(object_id, None)
        # Some values are stored in another form (1000m as 1): applying those again changes nothing, so it is no drift.
        if live is None or now["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            self._note_correction(object_id, "deleted" if live is None else "changed")
            self._note_health(object_id, health(now))
        return None

    def _note_correction(self, object_id: ObjectId, what: str) -> None:
        self._log.info("drift corrected: %s had been %s", object_id, what)
        self._corrections[object_id].append(asyncio.get_running_loop().time())

    def _is_fight(self, object_id: ObjectId) -> bool:
        times = self._corrections[object_id]
        start = asyncio.get_running_loop().time() - FIGHT_WINDOW_SECONDS
        while times and times[0] < start:
            times.popleft()
        if len(times) <= FIGHT_CORRECTIONS:
            return False
        text = (
            f"detected excessive object updates: {object_id} was corrected {len(times)} times in a minute. Something "
            "else in the cluster writes the same fields; find it (metadata.managedFields names it) and stop it."
        )
        self._set_problem(object_id, Problem(2005, text, (self._declared[object_id].subject,)))
        return True

    def _note_health(self, object_id: ObjectId, seen: Health) -> None:
        if self.healths.get(object_id) != seen:
            self.healths[object_id] = seen
            self._changed()

    def _set_problem(self, key: ObjectId | str, problem: Problem | None) -> None:
        if self._problems.get(key) == problem:
            return
        if problem is None:
            del self._problems[key]
        else:
            self._problems[key] = problem
            self._log.error("KNV%04d: %s", problem.code, problem.text)
        self._changed()


class _KindWatch:
    """One declared kind as the loop sees it."""

    def __init__(self, drift: Drift, one: Declared, informer: Informer) -> None:
        self.name = f"drift.{one.id.kind}.{one.api_version}"
        self._drift, self._group, self._kind, self._informer = drift, one.id.group, one.id.kind, informer

    async def reconcile(self, key: Key) -> float | None:
        namespace, name = key
        return await self._drift.correct(
            ObjectId(self._group, self._kind, namespace, name), self._informer.get(name, namespace)
        )


_PERMISSION = "Insufficient permission. To fix, make sure the reconciler has sufficient permissions. "


def _not_permitted(one: Declared, error: ProblemsError) -> Problem:
    return Problem(2013, f"{_PERMISSION}{error.problems[0].text}", (one.subject,))


def _is_as_wanted(one: Declared, live: Object, origin: Origin) -> bool:
    return ignores_mutation(one) or contains(live, decorated(one, origin))
