"""The status of a RootSync or RepoSync, as the real reconciler and reconciler manager write it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, error_summary, errors_status

# block of the status -> what a condition calls its errors
ERROR_SOURCES = {"rendering": "RenderingError", "source": "SourceError", "sync": "SyncError"}


def now_text() -> str:
    """The present, as Kubernetes writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Report:
    """How one stage (source, rendering or sync) went for one version of the source."""

    block: str
    commit: str
    problems: tuple[Problem, ...] = ()
    message: str = ""


def source_reference(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`gitStatus` or `helmStatus`: what was synced from where."""
    if spec.get("sourceType") == "helm":
        helm = spec.get("helm") or {}
        reference = {key: helm[key] for key in ("repo", "chart", "version") if helm.get(key)}
        return {"helmStatus": reference}
    git = spec.get("git") or {}
    return {
        "gitStatus": {
            "repo": git.get("repo", ""),
            "branch": git.get("branch") or "master",
            "revision": git.get("revision") or "HEAD",
            "dir": git.get("dir") or ".",
        }
    }


def with_report(status: Mapping[str, Any], report: Report, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The status after a stage; unchanged, times included, if the stage says nothing new."""
    # A reconciler that has just started and cannot reach its source does not know the commit; the status still does.
    commit = report.commit or (status.get(report.block) or {}).get("commit", "")
    block: dict[str, Any] = {**source_reference(spec), "commit": commit, **errors_status(report.problems)}
    if not report.problems:
        del block["errors"]
    if report.message:
        block["message"] = report.message
    before = {key: value for key, value in (status.get(report.block) or {}).items() if key != "lastUpdate"}
    if before == block:
        return dict(status)
    return {**status, report.block: {**block, "lastUpdate": now_text()}}


def with_syncing(
    status: Mapping[str, Any],
    *,
    running: bool,
    stage: str,
    message: str,
    commit: str,
    problems: Mapping[str, Sequence[Problem]],
) -> dict[str, Any]:
    """The status with its Syncing condition: which stage is at work, or how the last one ended.

    Args:
        status: The status so far.
        running: Whether the stage is still at work.
        stage: `Source`, `Rendering` or `Sync`: the condition's reason.
        message: The condition's message.
        commit: The version of the source that is meant.
        problems: The errors of each block of the status.
    """
    sources = [ERROR_SOURCES[block] for block in ("source", "rendering", "sync") if problems.get(block)]
    every = [problem for block in problems.values() for problem in block]
    extra: dict[str, Any] = {"commit": commit, "errorSummary": error_summary(every)}
    if sources:
        extra["errorSourceRefs"] = sources
    return with_condition(status, "Syncing", is_true=running, reason=stage, message=message, extra=extra)


def with_condition(
    status: Mapping[str, Any],
    name: str,
    *,
    is_true: bool,
    reason: str = "",
    message: str = "",
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The status with one condition set; its times move only if something else does."""
    conditions = [dict(condition) for condition in status.get("conditions") or []]
    before = next((condition for condition in conditions if condition["type"] == name), None)
    after: dict[str, Any] = {"type": name, "status": "True" if is_true else "False", **(extra or {})}
    after.update({key: value for key, value in (("reason", reason), ("message", message)) if value})
    times = ("lastTransitionTime", "lastUpdateTime")
    if before is not None and {key: value for key, value in before.items() if key not in times} == after:
        return dict(status)
    now = now_text()
    after["lastUpdateTime"] = now
    moved = before is None or before["status"] != after["status"]
    after["lastTransitionTime"] = now if moved else (before or {}).get("lastTransitionTime", now)
    others = [condition for condition in conditions if condition["type"] != name]
    return {**status, "conditions": sorted([*others, after], key=lambda condition: str(condition["type"]))}


def condition(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One condition of a status; empty if it is not there."""
    return next((one for one in status.get("conditions") or [] if one.get("type") == name), {})
