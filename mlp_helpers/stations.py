"""Where a platform stands: the state of every station of the workbook, read from the platform and not from a memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlp_helpers.config import config_path
from mlp_helpers.configsync import read_sync, repo_sync
from mlp_helpers.errors import MlpError

if TYPE_CHECKING:
    from mlp_helpers.platform import Platform


@dataclass(frozen=True)
class Station:
    """One notebook's aim and how far it is reached.

    Args:
        state: done; partly (begun, or not as it should be); open.
    """

    notebook: str
    what: str
    state: Literal["done", "partly", "open"]
    found: str


def read_stations(platform: Platform) -> list[Station]:
    """Look at every station; what cannot be reached yet is open."""
    return list(_stations(platform))


def _stations(platform: Platform) -> Iterator[Station]:
    written = config_path().exists()
    yield Station(
        "01_configure", "mlp.yaml", "done" if written else "open", "written" if written else "absent: the defaults hold"
    )
    cluster = platform.cluster_info() if platform.is_bootstrapped() else None
    running = cluster is not None and cluster.status == "RUNNING"
    yield Station(
        "02_provision",
        f"cluster {platform.cluster_name}",
        "done" if running else "partly" if cluster else "open",
        cluster.status if cluster else "absent",
    )
    yield from _in_cluster(platform, reachable=running)


def _in_cluster(platform: Platform, *, reachable: bool) -> Iterator[Station]:
    names = (("03_gitops", "root-sync"), ("04_team_space", f"team {platform.team}"), ("05_ray_job", "a finished job"))
    if not reachable:
        yield from (Station(notebook, what, "open", "no cluster yet") for notebook, what in names)
        return
    try:
        root = platform.sync_status()
        team = read_sync(platform.cluster, repo_sync(platform.team))
        jobs = [job.status for job in platform.ray.jobs()] if team.is_synced else []
    except MlpError as error:  # a station that cannot be looked at is not a reason to show none
        yield Station("03_gitops", "the cluster", "partly", error.what)
        return
    yield Station(
        *names[0], "done" if root.is_synced else "partly" if root.exists else "open", root.commit[:8] or root.reason
    )
    yield Station(
        *names[1], "done" if team.is_synced else "partly" if team.exists else "open", team.commit[:8] or team.reason
    )
    finished = jobs.count("SUCCEEDED")
    yield Station(
        *names[2], "done" if finished else "partly" if jobs else "open", f"{finished} of {len(jobs)} succeeded"
    )
