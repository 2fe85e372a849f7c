"""Validation of what makes pods: Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlp_helpers.sandbox.kubernetes.selectors import matches_selector
from mlp_helpers.sandbox.kubernetes.validation.metadata import labels_problems
from mlp_helpers.sandbox.kubernetes.validation.pods import check_pod_spec
from mlp_helpers.sandbox.kubernetes.validation.problems import Problem, forbidden, invalid, not_supported, required

__all__ = [
    "check_cron_job",
    "check_deployment",
    "check_job",
    "check_job_update",
    "check_replicated",
    "check_selector_unchanged",
    "check_stateful_set_update",
]

Object = dict[str, Any]

_IMMUTABLE = "field is immutable"
_POSITIVE = "must be greater than or equal to 0"
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def check_replicated(obj: Object) -> list[Problem]:
    """A workload with a selector and a template that must fit each other."""
    spec = obj.get("spec") or {}
    problems = _non_negative(spec, ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"))
    selector, template = spec.get("selector"), spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector:  # an empty one would select every pod
        problems.append(required("spec.selector"))
    else:
        problems += check_selector(selector, "spec.selector")
    if not selector or not matches_selector(selector, labels):
        words = "`selector` does not match template `labels`"
        problems.append(invalid("spec.template.metadata.labels", labels or None, words))
    problems += labels_problems("spec.template.metadata.labels", labels)
    problems += check_pod_spec(template.get("spec") or {}, "spec.template.spec")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy in ("OnFailure", "Never"):
        problems.append(not_supported("spec.template.spec.restartPolicy", policy, ["Always"]))
    return problems


def check_deployment(obj: Object) -> list[Problem]:
    """What is wrong with a deployment."""
    return check_replicated(obj) + _check_strategy((obj.get("spec") or {}).get("strategy") or {}, "spec.strategy")


def _check_strategy(strategy: Object, path: str) -> list[Problem]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        return [not_supported(f"{path}.type", kind or "", ["Recreate", "RollingUpdate"])]
    if kind == "Recreate":
        words = "may not be specified when strategy `type` is 'Recreate'"
        return [forbidden(f"{path}.rollingUpdate", words)] if rolling else []
    if not rolling:
        return [required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")]
    if all(rolling.get(name) in (0, "0%") for name in ("maxUnavailable", "maxSurge")):
        words = "may not be 0 when `maxSurge` is 0"
        return [invalid(f"{path}.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], words)]
    return []


def check_selector(selector: Object, path: str) -> list[Problem]:
    """What is wrong with a label selector."""
    problems = labels_problems(f"{path}.matchLabels", selector.get("matchLabels") or {})
    for number, expression in enumerate(selector.get("matchExpressions") or ()):
        field, operator = f"{path}.matchExpressions[{number}]", expression.get("operator", "")
        values = expression.get("values") or ()
        if operator not in _OPERATORS:
            problems.append(invalid(f"{field}.operator", operator, "not a valid selector operator"))
        elif operator in ("In", "NotIn") and not values:
            problems.append(required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist") and values:
            words = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            problems.append(forbidden(f"{field}.values", words))
    return problems


def _non_negative(spec: Object, fields: Sequence[str], path: str = "spec") -> list[Problem]:
    return [invalid(f"{path}.{name}", spec[name], _POSITIVE) for name in fields if (spec.get(name) or 0) < 0]


def check_selector_unchanged(old: Object, new: Object) -> list[Problem]:
    """A workload's selector is fixed."""
    before, after = (one.get("spec", {}).get("selector") for one in (old, new))
    return [] if before == after else [invalid("spec.selector", after, _IMMUTABLE)]


def check_stateful_set_update(old: Object, new: Object) -> list[Problem]:
    """Most of a StatefulSet's spec is fixed."""
    mutable = (
        *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
        *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
    )
    before, after = ({k: v for k, v in (one.get("spec") or {}).items() if k not in mutable} for one in (old, new))
    if before == after:
        return []
    words = (
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template',"
        " 'updateStrategy',"
        " 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    )
    return [forbidden("spec", words)]


def check_job(obj: Object) -> list[Problem]:
    """What is wrong with a job."""
    return check_job_spec(obj.get("spec") or {}, "spec")


def check_job_spec(spec: Object, path: str) -> list[Problem]:
    """What is wrong with the spec of a job or a job template."""
    counts = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
    problems = _non_negative(spec, counts, path)
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        problems.append(required(f"{path}.completions", "when completion mode is Indexed"))
    template = (spec.get("template") or {}).get("spec") or {}
    field, policy = f"{path}.template.spec.restartPolicy", template.get("restartPolicy")
    found = check_pod_spec(template, f"{path}.template.spec")
    if policy == "Always":
        problems.append(required(field, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        found = [one for one in found if one.field != field]
        problems.append(not_supported(field, policy, ["OnFailure", "Never"]))
    return problems + found


def check_job_update(old: Object, new: Object) -> list[Problem]:
    """A job's selector, template and completions are fixed."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    fixed = ["completions", "selector", "completionMode", "template"]
    if before.get("completionMode") == "Indexed":
        fixed.remove("completions")
    if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
        fixed.remove("template")  # the scheduling directives of a suspended job may change
    return [
        invalid(f"spec.{name}", after.get(name), _IMMUTABLE) for name in fixed if before.get(name) != after.get(name)
    ]


def check_cron_job(obj: Object) -> list[Problem]:
    """What is wrong with a cron job."""
    spec = obj.get("spec") or {}
    schedule = spec.get("schedule", "")
    problems = _non_negative(spec, ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"))
    if not schedule:
        problems.append(required("spec.schedule"))
    elif not schedule.startswith("@"):
        parts = schedule.split()
        if len(parts) != 5:
            words = f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
            problems.append(invalid("spec.schedule", schedule, words))
    policy = spec.get("concurrencyPolicy")
    if policy not in ("Allow", "Forbid", "Replace"):
        problems.append(not_supported("spec.concurrencyPolicy", policy, ["Allow", "Forbid", "Replace"]))
    template = (spec.get("jobTemplate") or {}).get("spec") or {}
    return problems + check_job_spec(template, "spec.jobTemplate.spec")
