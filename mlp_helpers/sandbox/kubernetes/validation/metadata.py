"""Validation of the metadata that all objects have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlp_helpers.sandbox.kubernetes import names
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.validation.problems import Problem, forbidden, invalid, required, where

__all__ = ["check_metadata", "check_metadata_update", "labels_problems"]

Object = dict[str, Any]

_LABELLED = ("namespaces",)
_SEGMENTS = ("clusterrolebindings", "clusterroles", "rolebindings", "roles")
_ANNOTATIONS_SIZE = 256 * 1024
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp")


def _name_check(kind: Kind) -> Callable[[str], Sequence[str]]:
    if kind.group == "rbac.authorization.k8s.io" and kind.plural in _SEGMENTS:
        return names.path_segment
    if kind.plural in _LABELLED and not kind.group:
        return names.namespace_name
    if kind.plural == "services" and not kind.group:
        return names.dns_label
    return names.dns_subdomain


def check_metadata(kind: Kind, obj: Object) -> list[Problem]:
    """What is wrong with an object's metadata."""
    metadata = obj.get("metadata") or {}
    name = metadata.get("name", "")
    if not name:
        problems = [required("metadata.name", "name or generateName is required")]
    else:
        problems = where("metadata.name", name, _name_check(kind))
    problems += labels_problems("metadata.labels", metadata.get("labels") or {})
    problems += _annotations(metadata.get("annotations") or {})
    problems += _owners(metadata.get("ownerReferences") or ())
    for number, finalizer in enumerate(metadata.get("finalizers") or ()):
        problems += where(f"metadata.finalizers[{number}]", finalizer, names.qualified_finalizer)
    return problems


def labels_problems(field: str, labels: dict[str, str]) -> list[Problem]:
    """What is wrong with labels."""
    problems = []
    for key, value in labels.items():
        problems += where(field, key, names.label_key)
        problems += where(field, value, names.label_value)
    return problems


def _annotations(annotations: dict[str, str]) -> list[Problem]:
    problems = [found for key in annotations for found in where("metadata.annotations", key, _annotation_key)]
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS_SIZE:
        words = f"Too long: may not be more than {_ANNOTATIONS_SIZE} bytes"
        problems.append(Problem("FieldValueTooLong", "metadata.annotations", words))
    return problems


def _annotation_key(key: str) -> list[str]:
    return names.label_key(key.lower())


def _owners(owners: Sequence[Object]) -> list[Problem]:
    problems = []
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                problems.append(invalid(f"metadata.ownerReferences.{field}", "", "must not be empty"))
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        first, second = controllers[:2]
        words = (
            'Only one reference can have Controller set to true. Found "true" in references for'
            f" {first.get('kind')}/{first.get('name')} and {second.get('kind')}/{second.get('name')}"
        )
        problems.append(invalid("metadata.ownerReferences", "", words))
    return problems


def check_metadata_update(old: Object, new: Object) -> list[Problem]:
    """What an update may not change; what it leaves out counts as unchanged."""
    before, after = old.get("metadata") or {}, new.get("metadata") or {}
    problems = [
        invalid(f"metadata.{field}", after[field], "field is immutable")
        for field in _IMMUTABLE
        if field in after and field in before and after[field] != before[field]
    ]
    if before.get("deletionTimestamp"):
        added = [one for one in after.get("finalizers") or () if one not in (before.get("finalizers") or ())]
        if added:
            shown = ", ".join(f'"{one}"' for one in added)
            words = "no new finalizers can be added if the object is being deleted, found new finalizers"
            words += f" []string{{{shown}}}"
            problems.append(forbidden("metadata.finalizers", words))
    return problems
