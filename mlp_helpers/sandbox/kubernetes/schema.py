"""What a server makes of an object before it looks at rights and policies: decode, default, prune, validate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mlp_helpers.sandbox.kubernetes import defaults, structural
from mlp_helpers.sandbox.kubernetes.custom_rules import check_rules
from mlp_helpers.sandbox.kubernetes.decoding import decode, decode_metadata, refused
from mlp_helpers.sandbox.kubernetes.definitions import schema_of
from mlp_helpers.sandbox.kubernetes.errors import invalid as invalid_error
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.validation import cluster, configuration, definitions, pods, policies, workloads
from mlp_helpers.sandbox.kubernetes.validation.metadata import check_metadata, check_metadata_update
from mlp_helpers.sandbox.kubernetes.validation.problems import Problem, Raw, invalid, is_blocking

__all__ = ["Prepared", "default", "prepare", "unknown_fields", "validate", "validate_update"]

Object = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete"
    " validation"
)


@dataclass(frozen=True)
class Prepared:
    """An object that a server accepts, with defaults, and what it warns of."""

    obj: Object
    warnings: list[str] = field(default_factory=list)


def prepare(kind: Kind, obj: Object, *, field_validation: str) -> Prepared:
    """Decode, default, prune and validate.

    Args:
        kind: What the object is to be.
        obj: As the client sent it, or as a patch made it; is changed.
        field_validation: What to do with fields that the kind does not have: `Strict` refuses, `Ignore` drops them,
        anything
            else drops and warns.

    Raises:
        ApiError: 400 if it cannot be read, 422 if it is not valid.
    """
    unknown = unknown_fields(kind, obj)
    if unknown and field_validation == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise refused(kind, f"strict decoding error: {listed}")
    warnings = [] if field_validation == "Ignore" else [f'unknown field "{path}"' for path in unknown]
    default(kind, obj)
    validate(kind, obj)
    return Prepared(obj, warnings)


def unknown_fields(kind: Kind, obj: Object) -> list[str]:
    """Drop what the kind does not have; returns the paths of it.

    Raises:
        ApiError: 400 for a value of the wrong type in an object of a built-in kind, or in metadata.
    """
    if kind.built_in:
        return decode(_stored(kind), obj)
    return decode_metadata(kind, obj) + structural.prune(kind.schema, obj)


def _stored(kind: Kind) -> Kind:
    """Events of events.k8s.io come here in the form in which they are kept."""
    if kind.group != "events.k8s.io":
        return kind
    return dataclasses.replace(kind, group="", schema=schema_of("", "v1", kind.name))


def default(kind: Kind, obj: Object) -> None:
    """Fill in what is missing."""
    if kind.built_in:
        defaults.apply_defaults(kind, obj)
    else:
        structural.apply_defaults(kind.schema, obj)


def validate(kind: Kind, obj: Object) -> None:
    """Refuse an object that is not valid.

    Raises:
        ApiError: 422 with every problem.
    """
    problems = check_metadata(kind, obj)
    if kind.built_in:
        check = _CHECKS.get(kind.resource)
        problems += check(obj) if check else []
    else:
        problems += structural.validate_schema(kind.schema, obj, is_root=True)
        if _has_rules(kind):
            blocked = any(is_blocking(one) for one in problems)
            problems += [invalid("<nil>", Raw("null"), _UNCHECKED)] if blocked else check_rules(kind.schema, obj)
    _refuse(kind, obj, problems)


def validate_update(kind: Kind, old: Object, new: Object) -> None:
    """Refuse an update of what may not change.

    Raises:
        ApiError: 422 with every problem.
    """
    # A real server looks at the metadata once for all kinds and once more for each, and tells what it finds twice.
    problems = check_metadata_update(old, new) * 2
    if kind.built_in:
        check = _UPDATE_CHECKS.get(kind.resource)
        problems += check(old, new) if check else []
    elif _has_rules(kind):
        without_old = {(one.field, one.message) for one in check_rules(kind.schema, new)}
        problems += [one for one in check_rules(kind.schema, new, old) if (one.field, one.message) not in without_old]
    _refuse(kind, new, problems)


@lru_cache(maxsize=256)
def _has_rules(kind: Kind) -> bool:
    return "x-kubernetes-validations" in repr(kind.schema)


def _refuse(kind: Kind, obj: Object, problems: list[Problem]) -> None:
    if problems:
        name = (obj.get("metadata") or {}).get("name", "")
        raise invalid_error(kind.name, kind.group, name, [one.cause() for one in problems])


_CHECKS: dict[str, Callable[[Object], list[Problem]]] = {
    "configmaps": configuration.check_config_map,
    "cronjobs.batch": workloads.check_cron_job,
    f"clusterrolebindings.{_RBAC}": configuration.check_binding,
    f"clusterroles.{_RBAC}": configuration.check_role,
    "customresourcedefinitions.apiextensions.k8s.io": definitions.check_definition,
    "daemonsets.apps": workloads.check_replicated,
    "deployments.apps": workloads.check_deployment,
    "horizontalpodautoscalers.autoscaling": cluster.check_autoscaler,
    "jobs.batch": workloads.check_job,
    "limitranges": configuration.check_limit_range,
    "namespaces": configuration.check_namespace,
    "networkpolicies.networking.k8s.io": cluster.check_network_policy,
    "persistentvolumeclaims": configuration.check_claim,
    "poddisruptionbudgets.policy": cluster.check_disruption_budget,
    "pods": pods.check_pod,
    "priorityclasses.scheduling.k8s.io": cluster.check_priority_class,
    "replicasets.apps": workloads.check_replicated,
    "resourcequotas": configuration.check_quota,
    f"rolebindings.{_RBAC}": configuration.check_binding,
    f"roles.{_RBAC}": configuration.check_role,
    "secrets": configuration.check_secret,
    "services": configuration.check_service,
    "statefulsets.apps": workloads.check_replicated,
    "storageclasses.storage.k8s.io": cluster.check_storage_class,
    f"validatingadmissionpolicies.{_ADMISSION}": policies.check_policy,
    f"validatingadmissionpolicybindings.{_ADMISSION}": policies.check_policy_binding,
}

_UPDATE_CHECKS: dict[str, Callable[[Object, Object], list[Problem]]] = {
    f"clusterrolebindings.{_RBAC}": configuration.check_binding_update,
    "configmaps": configuration.check_data_update,
    "customresourcedefinitions.apiextensions.k8s.io": definitions.check_definition_update,
    "daemonsets.apps": workloads.check_selector_unchanged,
    "deployments.apps": workloads.check_selector_unchanged,
    "jobs.batch": workloads.check_job_update,
    "persistentvolumeclaims": configuration.check_claim_update,
    "pods": pods.check_pod_update,
    "priorityclasses.scheduling.k8s.io": cluster.check_priority_class_update,
    "replicasets.apps": workloads.check_selector_unchanged,
    f"rolebindings.{_RBAC}": configuration.check_binding_update,
    "secrets": configuration.check_secret_update,
    "services": configuration.check_service_update,
    "statefulsets.apps": workloads.check_stateful_set_update,
    "storageclasses.storage.k8s.io": cluster.check_storage_class_update,
}
