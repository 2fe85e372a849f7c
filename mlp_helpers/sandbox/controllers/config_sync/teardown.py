"""Deletes the objects of a sync that is deleted with deletion-propagation-policy Foreground; otherwise they stay."""

from __future__ import annotations

import logging

from mlp_helpers.sandbox.controllers.config_sync.apply import Applier
from mlp_helpers.sandbox.controllers.config_sync.decide import Origin, rank
from mlp_helpers.sandbox.controllers.config_sync.inventory import Inventory
from mlp_helpers.sandbox.controllers.config_sync.names import RECONCILER_FINALIZER
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, error_summary
from mlp_helpers.sandbox.controllers.config_sync.rollout import Rollout
from mlp_helpers.sandbox.controllers.config_sync.status import with_condition
from mlp_helpers.sandbox.controllers.config_sync.sync_object import SyncObject


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
    rollout = Rollout(applier, origin, reconcile_seconds=timeout_seconds, log=log)
    problems = list((await rollout.prune(ids)).problems)
    left = await rollout.until_gone(ids) if not problems else []
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
