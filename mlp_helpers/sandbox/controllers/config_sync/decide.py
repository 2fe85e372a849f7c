"""What to do with which object, and in which order. Pure: declared and live objects in, decisions out."""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.checks import dependencies, is_disabled
from mlp_helpers.sandbox.controllers.config_sync.names import (
    CLUSTER_NAME,
    CONTROLLER_NAMESPACE,
    DECLARED_VERSION_LABEL,
    GIT_CONTEXT,
    LIFECYCLE_DELETION,
    MANAGED,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    MANAGER,
    OWN_ANNOTATIONS,
    OWN_LABELS,
    OWNING_INVENTORY,
    RESOURCE_ID,
    SOURCE_PATH,
    TOKEN,
    ObjectId,
    SyncId,
    annotations_of,
    id_of,
    labels_of,
)
from mlp_helpers.sandbox.controllers.config_sync.parse import Declared
from mlp_helpers.sandbox.controllers.config_sync.problems import Place, Problem, ProblemsError

# What others need comes first; everything not named here follows, and what can refuse others comes last.
FIRST_KINDS = (
    "Namespace",
    "ResourceQuota",
    "StorageClass.storage.k8s.io",
    "CustomResourceDefinition.apiextensions.k8s.io",
    "MutatingWebhookConfiguration.admissionregistration.k8s.io",
    "ServiceAccount",
    "PodSecurityPolicy.policy",
    "Role.rbac.authorization.k8s.io",
    "ClusterRole.rbac.authorization.k8s.io",
    "RoleBinding.rbac.authorization.k8s.io",
    "ClusterRoleBinding.rbac.authorization.k8s.io",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "PriorityClass.scheduling.k8s.io",
    "Deployment.apps",
    "StatefulSet.apps",
    "CronJob.batch",
    "PodDisruptionBudget.policy",
)
LAST_KINDS = ("ValidatingWebhookConfiguration.admissionregistration.k8s.io",)
_CRD = "CustomResourceDefinition.apiextensions.k8s.io"


def rank(object_id: ObjectId) -> tuple[int, ObjectId]:
    """The place of an object in the order of applying; deletion goes the other way round."""
    if object_id.group_kind in FIRST_KINDS:
        return FIRST_KINDS.index(object_id.group_kind), object_id
    return len(FIRST_KINDS) + (object_id.group_kind in LAST_KINDS), object_id


@dataclass(frozen=True)
class Plan:
    """What one version of the source means for the cluster."""

    waves: tuple[tuple[Declared, ...], ...]
    needs: Mapping[ObjectId, frozenset[ObjectId]]
    prune: tuple[ObjectId, ...]
    abandon: tuple[ObjectId, ...]

    @property
    def declared(self) -> dict[ObjectId, Declared]:
        return {one.id: one for wave in self.waves for one in wave}


def plan(objects: Sequence[Declared], unknown: Sequence[Declared], inventory: Collection[ObjectId]) -> Plan:
    """Decide what to apply, to prune and to let go.

    Args:
        objects: Declared objects that passed the checks.
        unknown: Declared objects of kinds that the cluster does not know; they are not applied, nor pruned.
        inventory: What the sync manages so far.

    Raises:
        ProblemsError: KNV2006 if nothing is declared while objects are managed; KNV2009 if dependencies are wrong.
    """
    if inventory and not objects and not unknown:
        text = (
            f"The source of truth declares no objects, while {len(inventory)} are managed. Config Sync does not delete "
            "everything at once: check the branch and the directory; to remove all objects, delete the sync with "
            "configsync.gke.io/deletion-propagation-policy: Foreground."
        )
        raise ProblemsError([Problem(2006, text)])
    wanted = [one for one in objects if not is_disabled(one)]
    kept = {one.id for one in (*objects, *unknown)}
    disabled = {one.id for one in objects if is_disabled(one)}
    needs = _needs(wanted)
    return Plan(
        waves=_waves(wanted, needs),
        needs=needs,
        prune=tuple(sorted(set(inventory) - kept, key=rank, reverse=True)),
        abandon=tuple(sorted(set(inventory) & disabled, key=rank)),
    )


def _needs(objects: Sequence[Declared]) -> dict[ObjectId, frozenset[ObjectId]]:
    """What must be ready before each object: depends-on, its namespace, the definition of its kind."""
    ids = {one.id for one in objects}
    definitions = {_defined(one): one.id for one in objects if one.id.group_kind == _CRD}
    needs: dict[ObjectId, frozenset[ObjectId]] = {}
    problems: list[Problem] = []
    for one in objects:
        before = {ObjectId("", "Namespace", "", one.id.namespace)} & ids
        if (one.id.group, one.id.kind) in definitions:
            before.add(definitions[one.id.group, one.id.kind])
        try:
            explicit = dependencies(one.obj)
        except ValueError as error:
            problems.append(
                Problem(2009, f"failed to apply {one.id}: invalid depends-on annotation: {error}", (one.subject,))
            )
            continue
        absent = [str(other) for other in explicit if other not in ids]
        if absent:
            text = f"failed to apply {one.id}: external dependency: {'; '.join(absent)} is not declared in this source"
            problems.append(Problem(2009, text, (one.subject,)))
        needs[one.id] = frozenset(before | set(explicit)) - {one.id}
    if problems:
        raise ProblemsError(problems)
    return needs


def _defined(definition: Declared) -> tuple[str, str]:
    spec = definition.obj.get("spec") or {}
    return str(spec.get("group")), str((spec.get("names") or {}).get("kind"))


def _waves(
    objects: Sequence[Declared], needs: Mapping[ObjectId, frozenset[ObjectId]]
) -> tuple[tuple[Declared, ...], ...]:
    left = {one.id: one for one in sorted(objects, key=lambda one: rank(one.id))}
    waves: list[tuple[Declared, ...]] = []
    while left:
        wave = tuple(one for one in left.values() if not needs[one.id] & left.keys())
        if not wave:
            text = "failed to apply: cyclic dependency: " + "; ".join(str(object_id) for object_id in left)
            raise ProblemsError([Problem(2009, text, tuple(one.subject for one in left.values()))])
        waves.append(wave)
        for one in wave:
            del left[one.id]
    return tuple(waves)


def prune_waves(
    ids: Iterable[ObjectId], needs: Mapping[ObjectId, Collection[ObjectId]]
) -> tuple[tuple[ObjectId, ...], ...]:
    """The order of deleting: what needs another goes first; a circle goes all at once.

    Args:
        ids: The objects to delete.
        needs: What each object said that it depends on; its namespace counts without being said.
    """
    left = set(ids)
    waves: list[tuple[ObjectId, ...]] = []
    while left:
        needed = {
            need
            for one in left
            for need in (*needs.get(one, ()), ObjectId("", "Namespace", "", one.namespace))
            if need != one
        }
        wave = (left - needed) or set(left)
        waves.append(tuple(sorted(wave, key=rank, reverse=True)))
        left -= wave
    return tuple(waves)


class Claim(enum.Enum):
    """How a sync stands to an object that is there already."""

    OURS = "ours"
    ADOPT = "adopt"
    CONFLICT = "conflict"


def claim(live: Mapping[str, Any], sync: SyncId) -> Claim:
    """Whether a sync may write an object: a root sync adopts anything that no other root sync has."""
    owner = manager_of(live)
    if owner == sync.manager:
        return Claim.OURS
    if owner is None:
        inventory = annotations_of(live).get(OWNING_INVENTORY, sync.inventory)
        return Claim.ADOPT if sync.is_root or inventory == sync.inventory else Claim.CONFLICT
    return Claim.ADOPT if sync.is_root and not owner.startswith(":root") else Claim.CONFLICT


def manager_of(live: Mapping[str, Any]) -> str | None:
    """Who manages an object; None if nobody does, or if the annotations were copied from another object."""
    annotations = annotations_of(live)
    if annotations.get(MANAGED) != "enabled" or annotations.get(RESOURCE_ID) != id_of(live).resource_id:
        return None
    return annotations.get(MANAGER)


def conflict(one: Declared, live: Mapping[str, Any], sync: SyncId) -> Problem:
    """KNV1060, with the names of both managers."""
    owner = manager_of(live) or annotations_of(live).get(OWNING_INVENTORY, "")
    text = (
        f'The "{sync.manager}" reconciler detected a management conflict with the "{owner}" reconciler over {one.id}. '
        "Remove the object from one of the sources of truth, so that one reconciler manages it."
    )
    return Problem(1060, text, (one.subject,))


@dataclass(frozen=True)
class Origin:
    """What the annotations of every applied object tell: which sync, cluster and version of the source."""

    sync: SyncId
    cluster: str
    commit: str
    context: Mapping[str, str]


def decorated(one: Declared, origin: Origin) -> dict[str, Any]:
    """The object as it is applied: as declared, plus the annotations and labels of Config Sync."""
    metadata = dict(one.obj.get("metadata") or {})
    # Null means absent in a manifest, while server-side apply would read it as a value.
    metadata = {key: value for key, value in metadata.items() if value is not None}
    metadata["annotations"] = {
        **annotations_of(one.obj),
        MANAGED: "enabled",
        SOURCE_PATH: one.place.path,
        TOKEN: origin.commit,
        MANAGER: origin.sync.manager,
        GIT_CONTEXT: json.dumps(dict(origin.context), separators=(",", ":")),
        RESOURCE_ID: one.id.resource_id,
        OWNING_INVENTORY: origin.sync.inventory,
        **({CLUSTER_NAME: origin.cluster} if origin.cluster else {}),
    }
    metadata["labels"] = {
        **labels_of(one.obj),
        MANAGED_BY_LABEL: MANAGED_BY,
        DECLARED_VERSION_LABEL: one.version,
    }
    return {**one.obj, "metadata": metadata}


def released(live: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that takes Config Sync's metadata off an object."""
    annotations = {key: None for key in OWN_ANNOTATIONS if key in annotations_of(live)}
    labels = {
        key: None for key in OWN_LABELS if key in labels_of(live) and (key != MANAGED_BY_LABEL or _is_labelled(live))
    }
    return {"metadata": {"annotations": annotations, "labels": labels}}


def _is_labelled(live: Mapping[str, Any]) -> bool:
    return labels_of(live).get(MANAGED_BY_LABEL) == MANAGED_BY


def contains(live: Any, wanted: Any) -> bool:
    """Whether a live value has everything that is wanted; it may have more keys, never other list items."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            value is None or (key in live and contains(live[key], value)) or (value in ({}, []) and key not in live)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(contains, live, wanted))
    return bool(live == wanted)


def implicit_namespaces(
    objects: Iterable[Declared], existing: Mapping[str, Mapping[str, Any]], sync: SyncId
) -> list[Declared]:
    """Namespaces that a root sync creates because declared objects live in them.

    Args:
        objects: Declared objects.
        existing: Live Namespace objects by name; one that others made is left alone.
        sync: Whose objects they are.
    """
    declared = {one.id.name for one in objects if one.id.group_kind == "Namespace"}
    used = {one.id.namespace for one in objects if one.id.namespace and not is_disabled(one)}
    wanted = sorted(used - declared - {CONTROLLER_NAMESPACE})
    return [
        Declared(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                # It may hold what others made, so it outlives the last object that needed it.
                "metadata": {"name": name, "annotations": {LIFECYCLE_DELETION: "detach"}},
            },
            Place(""),
        )
        for name in wanted
        if name not in existing or manager_of(existing[name]) == sync.manager
    ]
