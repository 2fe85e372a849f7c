"""The rules that a source must keep before anything of it is applied. Pure: objects in, problems out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.names import (
    CONTROLLER_NAMESPACE,
    DELETION_PROPAGATION,
    DEPENDS_ON,
    LIFECYCLE_DELETION,
    LIFECYCLE_MUTATION,
    MANAGED,
    OWN_ANNOTATIONS,
    OWN_LABELS,
    ObjectId,
    SyncId,
    annotations_of,
    labels_of,
)
from mlp_helpers.sandbox.controllers.config_sync.parse import Declared
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SERVER_FIELDS = (
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
ALLOWED_ANNOTATIONS = (MANAGED, DELETION_PROPAGATION)
PATH_NAMED_GROUP = "rbac.authorization.k8s.io"

# Whether a kind is namespaced, by (apiVersion, kind); None for a kind that the cluster does not know.
Kinds = Mapping[tuple[str, str], bool | None]


@dataclass(frozen=True)
class Checked:
    """What a source comes to."""

    objects: tuple[Declared, ...]
    unknown: tuple[Declared, ...]
    blocking: tuple[Problem, ...]
    passing: tuple[Problem, ...]


def check(declared: Sequence[Declared], sync: SyncId, kinds: Kinds) -> Checked:
    """Check a whole source.

    Args:
        declared: Everything that is declared, selectors applied.
        sync: Whose source it is.
        kinds: The scope of each declared kind, kinds that the source itself defines included.

    Returns:
        Objects to apply, with the namespace of a RepoSync filled in; objects of unknown kinds; problems that stop the
        whole sync; problems that stop only the objects of unknown kinds (KNV1021).
    """
    unknown = tuple(one for one in declared if kinds.get((one.api_version, one.obj["kind"])) is None)
    known = [_placed(one, sync, kinds) for one in declared if kinds.get((one.api_version, one.obj["kind"])) is not None]
    blocking = [problem for one in known for problem in _object_problems(one, sync, kinds)]
    blocking += _duplicates(known)
    blocking += _unmanaged_namespaces(known)
    return Checked(tuple(known), unknown, tuple(blocking), tuple(_unknown_kind(one) for one in unknown))


def declared_kinds(declared: Iterable[Declared]) -> dict[tuple[str, str], bool | None]:
    """The kinds that the source's own CustomResourceDefinitions bring along."""
    kinds: dict[tuple[str, str], bool | None] = {}
    for one in declared:
        if one.id.group_kind != "CustomResourceDefinition.apiextensions.k8s.io":
            continue
        spec = one.obj.get("spec") or {}
        for version in spec.get("versions") or []:
            api_version = f"{spec.get('group')}/{version.get('name')}"
            kinds[api_version, str((spec.get("names") or {}).get("kind"))] = spec.get("scope") == "Namespaced"
    return kinds


def _placed(one: Declared, sync: SyncId, kinds: Kinds) -> Declared:
    """A namespaced object without a namespace belongs to the namespace of its RepoSync, or to `default`."""
    if not kinds[one.api_version, one.obj["kind"]] or one.id.namespace:
        return one
    namespace = "default" if sync.is_root else sync.namespace
    return Declared({**one.obj, "metadata": {**(one.obj.get("metadata") or {}), "namespace": namespace}}, one.place)


def _object_problems(one: Declared, sync: SyncId, kinds: Kinds) -> Iterator[Problem]:
    for rule in (_name, _managed_value, _own_metadata, _text_values, _server_fields):
        yield from rule(one)
    yield from _scope(one, sync, kinds)
    yield from _forbidden_places(one, sync)


def _name(one: Declared) -> Iterator[Problem]:
    name = one.id.name
    if not name:
        yield Problem(1031, "Configs must declare metadata.name.", (one.subject,))
    elif one.id.group == PATH_NAMED_GROUP:
        if name in (".", "..") or "/" in name or "%" in name:
            text = f'Configs MUST define a metadata.name that is a valid path segment; "{name}" is not.'
            yield Problem(1036, text, (one.subject,))
    elif len(name) > 253 or not SUBDOMAIN.fullmatch(name):
        text = (
            f'Configs MUST define a metadata.name that is a valid DNS-1123 subdomain; "{name}" is not: at most 253 '
            'lower case letters, digits, "-" and ".", beginning and ending with a letter or digit.'
        )
        yield Problem(1036, text, (one.subject,))


def _managed_value(one: Declared) -> Iterator[Problem]:
    value = annotations_of(one.obj).get(MANAGED)
    if value not in (None, "disabled"):
        text = (
            f'Configs declare the invalid management annotation {MANAGED}={value}. If set, it must be "disabled". '
            "To let Config Sync manage the object, leave it out."
        )
        yield Problem(1005, text, (one.subject,))


def _own_metadata(one: Declared) -> Iterator[Problem]:
    annotations = sorted(set(annotations_of(one.obj)) & set(OWN_ANNOTATIONS) - set(ALLOWED_ANNOTATIONS))
    if annotations:
        text = f"Configs cannot declare annotations that Config Sync sets itself. Remove: {', '.join(annotations)}"
        yield Problem(1010, text, (one.subject,))
    labels = [
        label
        for label, value in labels_of(one.obj).items()
        if label in OWN_LABELS and (label.startswith("configsync.") or value == "configmanagement.gke.io")
    ]
    if labels:
        text = f"Configs cannot declare labels that Config Sync sets itself. Remove: {', '.join(sorted(labels))}"
        yield Problem(1011, text, (one.subject,))


def _text_values(one: Declared) -> Iterator[Problem]:
    for field, values in (("annotations", annotations_of(one.obj)), ("labels", labels_of(one.obj))):
        wrong = sorted(key for key, value in values.items() if not isinstance(value, str))
        if wrong:
            text = f"The values of metadata.{field} must be strings: put quotes around the value of {', '.join(wrong)}."
            yield Problem(1054, text, (one.subject,))


def _server_fields(one: Declared) -> Iterator[Problem]:
    metadata = one.obj.get("metadata") or {}
    forbidden = [f"metadata.{key}" for key in SERVER_FIELDS if metadata.get(key)]
    if one.obj.get("status"):
        forbidden.append("status")
    for field in forbidden:
        text = f'Configs with "{field}" specified are not allowed. To fix, remove the field from the config.'
        yield Problem(1045, text, (one.subject,))


def _scope(one: Declared, sync: SyncId, kinds: Kinds) -> Iterator[Problem]:
    if not kinds[one.api_version, one.obj["kind"]]:
        if not sync.is_root:
            text = (
                f"Resources in a namespace repo must be namespace-scoped. {one.id.group_kind} is cluster-scoped: move "
                f"it to a root repo."
            )
            yield Problem(1058, text, (one.subject,))
        elif one.id.namespace:
            yield Problem(1052, "Cluster-scoped objects MUST NOT declare metadata.namespace.", (one.subject,))
    elif not sync.is_root and one.id.namespace != sync.namespace:
        text = (
            f'A namespace repo may only declare resources in its own namespace: this one is "{sync.namespace}", the '
            f'object declares "{one.id.namespace}".'
        )
        yield Problem(1058, text, (one.subject,))


def _forbidden_places(one: Declared, sync: SyncId) -> Iterator[Problem]:
    if one.id == ObjectId("configsync.gke.io", sync.kind, sync.namespace, sync.name):
        text = (
            f"{sync.kind} {sync.namespace}/{sync.name} must not manage itself in its own source. Declare it elsewhere."
        )
        yield Problem(1069, text, (one.subject,))
    elif one.id == ObjectId("", "Namespace", "", CONTROLLER_NAMESPACE) or (
        one.id.namespace == CONTROLLER_NAMESPACE and one.id.group_kind != "RootSync.configsync.gke.io"
    ):
        text = f'Configs must not be declared in the "{CONTROLLER_NAMESPACE}" namespace.'
        yield Problem(1034, text, (one.subject,))


def _duplicates(declared: Iterable[Declared]) -> Iterator[Problem]:
    by_id: dict[ObjectId, list[Declared]] = defaultdict(list)
    for one in declared:
        by_id[one.id].append(one)
    for object_id, several in by_id.items():
        if len(several) < 2 or not object_id.name:
            continue
        where = f' in the namespace "{object_id.namespace}"' if object_id.namespace else ""
        text = (
            f"Configs of the same kind MUST have unique names{where}. Found {len(several)} configs for "
            f'"{object_id.group_kind}" with the name "{object_id.name}". Remove the duplicates from the source.'
        )
        yield Problem(1029, text, tuple(one.subject for one in several))


def _unmanaged_namespaces(declared: Sequence[Declared]) -> Iterator[Problem]:
    unmanaged = {one.id.name for one in declared if one.id.group_kind == "Namespace" and is_disabled(one)}
    for one in declared:
        if one.id.namespace in unmanaged and not is_disabled(one):
            text = (
                f'Managed resources must not be declared in an unmanaged namespace. "{one.id.namespace}" is '
                f"declared with {MANAGED}: disabled; remove that annotation, or disable its resources too."
            )
            yield Problem(1056, text, (one.subject,))


def _unknown_kind(one: Declared) -> Problem:
    text = (
        f'No CustomResourceDefinition is defined for the type "{one.id.group_kind}" in the cluster. '
        "Resource types that are not native Kubernetes objects must have a CustomResourceDefinition."
    )
    return Problem(1021, text, (one.subject,))


def is_disabled(one: Declared) -> bool:
    """Whether the source says that Config Sync keeps its hands off the object."""
    return annotations_of(one.obj).get(MANAGED) == "disabled"


def ignores_mutation(one: Declared) -> bool:
    """Whether the object is created and then left to others."""
    return annotations_of(one.obj).get(LIFECYCLE_MUTATION) == "ignore"


def is_detached(live_annotations: Mapping[str, str]) -> bool:
    """Whether an object outlives its declaration."""
    return live_annotations.get(LIFECYCLE_DELETION) == "detach"


def dependencies(obj: Mapping[str, Any]) -> list[ObjectId]:
    """The objects that the annotation depends-on of a manifest or a live object names.

    Raises:
        ValueError: An entry is not `group/kind/name` or `group/namespaces/NAMESPACE/kind/name`.
    """
    value = annotations_of(obj).get(DEPENDS_ON, "")
    return [_dependency(entry.strip()) for entry in value.split(",") if entry.strip()]


def _dependency(entry: str) -> ObjectId:
    parts = entry.split("/")
    if len(parts) == 3:
        group, kind, name = parts
        return ObjectId(group, kind, "", name)
    if len(parts) == 5 and parts[1] == "namespaces":
        group, _, namespace, kind, name = parts
        return ObjectId(group, kind, namespace, name)
    raise ValueError(f'"{entry}" is not GROUP/KIND/NAME or GROUP/namespaces/NAMESPACE/KIND/NAME')
