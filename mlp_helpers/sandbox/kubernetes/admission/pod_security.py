"""Pod Security: namespaces ask by label for a standard, to be enforced or to be warned about."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.kubernetes.admission.pod_standards import Violation, violations
from mlp_helpers.sandbox.kubernetes.admission.request import AdmissionRequest, Storage, refusal
from mlp_helpers.sandbox.kubernetes.jsonpath import find

__all__ = ["check_pod_security"]

Object = dict[str, Any]

_LABEL = "pod-security.kubernetes.io/"
_TEMPLATES = {
    "cronjobs.batch": ".spec.jobTemplate.spec.template",
    "daemonsets.apps": ".spec.template",
    "deployments.apps": ".spec.template",
    "jobs.batch": ".spec.template",
    "podtemplates": ".template",
    "replicasets.apps": ".spec.template",
    "replicationcontrollers": ".spec.template",
    "statefulsets.apps": ".spec.template",
}


def check_pod_security(request: AdmissionRequest, storage: Storage) -> list[str]:
    """Enforce the standard of the namespace on new pods; returns warnings.

    Raises:
        ApiError: 403 with everything that is violated.
    """
    if request.obj is None or request.subresource:
        return []
    if request.kind.resource == "namespaces":
        return _check_existing(request, storage)
    if request.creates("pods"):
        labels = _labels(request, storage)
        found = _violations(labels, "enforce", request.obj)
        if found:
            raise refusal(request, f'violates PodSecurity "{_standard(labels, "enforce")}": {_listed(found)}')
        return _warn(labels, request.obj)
    template = find(request.obj, _TEMPLATES.get(request.kind.resource, ".none"))
    before = find(request.old, _TEMPLATES.get(request.kind.resource, ".none")) if request.old else None
    return _warn(_labels(request, storage), template) if template and template != before else []


def _labels(request: AdmissionRequest, storage: Storage) -> Object:
    namespace = storage.get("namespaces", "", request.namespace) or {"metadata": {}}
    return dict(namespace["metadata"].get("labels") or {})


def _standard(labels: Object, mode: str) -> str:
    level = labels.get(f"{_LABEL}{mode}", "privileged")
    return f"{level}:{labels.get(f'{_LABEL}{mode}-version', 'latest')}"


def _violations(labels: Object, mode: str, pod: Object) -> list[Violation]:
    level = labels.get(f"{_LABEL}{mode}", "privileged")
    return violations(level, pod.get("spec") or {}, (pod.get("metadata") or {}).get("annotations"))


def _listed(found: list[Violation]) -> str:
    return ", ".join(str(one) for one in found)


def _warn(labels: Object, pod: Object) -> list[str]:
    found = _violations(labels, "warn", pod)
    return [f'would violate PodSecurity "{_standard(labels, "warn")}": {_listed(found)}'] if found else []


def _check_existing(request: AdmissionRequest, storage: Storage) -> list[str]:
    """Warn when a stricter label meets pods that are there already."""
    if request.operation != "UPDATE" or request.obj is None or request.old is None:
        return []
    labels, before = (one["metadata"].get("labels") or {} for one in (request.obj, request.old))
    standard = _standard(labels, "enforce")
    if standard == _standard(before, "enforce"):
        return []
    pods_by_reasons: dict[str, list[str]] = {}
    for pod in storage.list("pods", request.name):
        found = _violations(labels, "enforce", pod)
        if found:
            reasons = ", ".join(one.reason for one in found)
            pods_by_reasons.setdefault(reasons, []).append(pod["metadata"]["name"])
    if not pods_by_reasons:
        return []
    first = f'existing pods in namespace "{request.name}" violate the new PodSecurity enforce level "{standard}"'
    return [first, *(f"{_counted(pods)}: {reasons}" for reasons, pods in sorted(pods_by_reasons.items()))]


def _counted(pods: list[str]) -> str:
    others = len(pods) - 1
    if not others:
        return pods[0]
    return f"{pods[0]} (and {others} other {'pod' if others == 1 else 'pods'})"
