"""Deletes the objects of a sync that is deleted with deletion-propagation-policy Foreground; otherwise they stay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from mlp_helpers.sandbox.controllers.config_sync.apply import Applier
from mlp_helpers.sandbox.controllers.config_sync.decide import Origin, rank
from mlp_helpers.sandbox.controllers.config_sync.inventory import Inventory
from mlp_helpers.sandbox.controllers.config_sync.names import RECONCILER_FINALIZER, ObjectId
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, error_summary
from mlp_helpers.sandbox.controllers.config_sync.rollout import Rollout
from mlp_helpers.sandbox.controllers.config_sync.status import with_condition
from mlp_helpers.sandbox.controllers.config_sync.sync_object import SyncObject

_LOOK_SECONDS = 0.2


async def tear_down(
    sync: SyncObject,
    inventory: Inventory,
    applier: Applier,
    origin: Origin,
    *,
    timeout_seconds: float,
    log: logging.Logger,
) -> bool:
    """Delete everything that a sync manages, then let the sync itself go.

    Returns:
        Whether all is gone; if not, the sync says why and the caller tries again.
    """
    await sync.update_status(
        lambda status: with_condition(
            status, "ReconcilerFinalizing", is_true=True, reason="ResourcesDeleting", message="Deleting managed objects"
        )
    )
    ids = sorted(await inventory.load(), key=rank, reverse=True)
    outcome = await Rollout(applier, origin, reconcile_seconds=timeout_seconds, log=log).prune(ids)
    problems = list(outcome.problems)
    left = await _wait_until_gone(applier, origin, ids, timeout_seconds) if not problems else []
    problems += [Problem(2009, f"failed to prune {one}: it is still there (finalizers?)") for one in left]
    if problems:
        extra = {"errors": [problem.as_status() for problem in problems], "errorSummary": error_summary(problems)}
        await sync.update_status(
            lambda status: with_condition(
                status,
                "ReconcilerFinalizerFailure",
                is_true=True,
                reason="DestroyFailure",
                message="Failed to delete managed objects",
                extra=extra,
            )
        )
        return False
    await inventory.remove()
    await sync.set_finalizer(RECONCILER_FINALIZER, is_present=False)
    log.info("deleted %d managed objects", len(ids))
    return True


async def _wait_until_gone(
    applier: Applier, origin: Origin, ids: Collection[ObjectId], timeout_seconds: float
) -> list[ObjectId]:
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    left = list(ids)
    while True:
        left = [one for one in left if await applier.is_managed(one, origin)]
        if not left or asyncio.get_running_loop().time() > deadline:
            return left
        await asyncio.sleep(_LOOK_SECONDS)
