"""The fixed words of Config Sync: namespaces, annotations, labels, and who is called what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONTROLLER_NAMESPACE = "config-management-system"
INVENTORY_NAMESPACE = "resource-group-system"
FIELD_MANAGER = "configsync.gke.io"
SYNC_API_VERSION = "configsync.gke.io/v1beta1"
INVENTORY_API_VERSION = "kpt.dev/v1alpha1"
ERRORS_PAGE = "https://g.co/cloud/acm-errors"

MANAGED = "configmanagement.gke.io/managed"
SOURCE_PATH = "configmanagement.gke.io/source-path"
TOKEN = "configmanagement.gke.io/token"
CLUSTER_NAME = "configmanagement.gke.io/cluster-name"
CLUSTER_SELECTOR = "configmanagement.gke.io/cluster-selector"
CLUSTER_NAME_SELECTOR = "configsync.gke.io/cluster-name-selector"
MANAGER = "configsync.gke.io/manager"
GIT_CONTEXT = "configsync.gke.io/git-context"
RESOURCE_ID = "configsync.gke.io/resource-id"
OWNING_INVENTORY = "config.k8s.io/owning-inventory"
DELETION_PROPAGATION = "configsync.gke.io/deletion-propagation-policy"
DEPENDS_ON = "config.kubernetes.io/depends-on"
LOCAL_CONFIG = "config.kubernetes.io/local-config"
LIFECYCLE_MUTATION = "client.lifecycle.config.k8s.io/mutation"
LIFECYCLE_DELETION = "client.lifecycle.config.k8s.io/deletion"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "configmanagement.gke.io"
DECLARED_VERSION_LABEL = "configsync.gke.io/declared-version"

MANAGER_FINALIZER = "configsync.gke.io/reconciler-manager"
RECONCILER_FINALIZER = "configsync.gke.io/reconciler"

# What the reconciler writes on an object; a source may not, and an abandoned object loses them.
OWN_ANNOTATIONS = (
    MANAGED,
    SOURCE_PATH,
    TOKEN,
    CLUSTER_NAME,
    MANAGER,
    GIT_CONTEXT,
    RESOURCE_ID,
    OWNING_INVENTORY,
)
OWN_LABELS = (MANAGED_BY_LABEL, DECLARED_VERSION_LABEL)


@dataclass(frozen=True, order=True)
class ObjectId:
    """What makes an object the same object in any version of its kind."""

    group: str
    kind: str
    namespace: str
    name: str

    @property
    def group_kind(self) -> str:
        """`Deployment.apps`, or `Service` for the core group."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def path(self) -> str:
        """`namespace/name`, or `name` of a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def resource_id(self) -> str:
        """The value of the annotation `configsync.gke.io/resource-id`."""
        return "_".join([self.group, self.kind.lower(), *([self.namespace] if self.namespace else []), self.name])

    def __str__(self) -> str:
        return f"{self.group_kind}, {self.path}"


@dataclass(frozen=True)
class SyncId:
    """One RootSync or RepoSync, and the names that follow from it."""

    kind: str
    namespace: str
    name: str

    @property
    def is_root(self) -> bool:
        return self.kind == "RootSync"

    @property
    def scope(self) -> str:
        """`:root`, or the namespace of a RepoSync."""
        return ":root" if self.is_root else self.namespace

    @property
    def manager(self) -> str:
        """The value of the annotation `configsync.gke.io/manager` on the objects of this sync."""
        default = "root-sync" if self.is_root else "repo-sync"
        return self.scope if self.name == default else f"{self.scope}_{self.name}"

    @property
    def inventory(self) -> str:
        """The value of the annotation `config.k8s.io/owning-inventory`."""
        return f"{self.namespace}_{self.name}"

    @property
    def reconciler(self) -> str:
        """The name of the reconciler's Deployment and ServiceAccount."""
        if self.is_root:
            return "root-reconciler" if self.name == "root-sync" else f"root-reconciler-{self.name}"
        if self.name == "repo-sync":
            return f"ns-reconciler-{self.namespace}"
        # The length keeps "a" + "b-c" and "a-b" + "c" apart.
        return f"ns-reconciler-{self.namespace}-{self.name}-{len(self.name)}"


def group_of(api_version: str) -> str:
    """`apps` of `apps/v1`, empty for the core group."""
    return api_version.rpartition("/")[0]


def version_of(api_version: str) -> str:
    """`v1` of `apps/v1`."""
    return api_version.rpartition("/")[2]


def id_of(obj: Mapping[str, Any]) -> ObjectId:
    """The identity of a manifest or of a live object."""
    metadata = obj.get("metadata") or {}
    return ObjectId(
        group_of(obj.get("apiVersion", "")),
        obj.get("kind", ""),
        metadata.get("namespace", ""),
        metadata.get("name", ""),
    )


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of an object; empty if it has none."""
    return dict((obj.get("metadata") or {}).get("annotations") or {})


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an object; empty if it has none."""
    return dict((obj.get("metadata") or {}).get("labels") or {})


def seconds(duration: str | None, default: float) -> float:
    """Seconds of a Go duration such as `15s`, `1m30s` or `500ms`; the default if there is none."""
    if not duration:
        return default
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    total, number, rest = 0.0, "", duration
    while rest:
        if rest[0].isdigit() or rest[0] == ".":
            number, rest = number + rest[0], rest[1:]
            continue
        unit = next((unit for unit in units if rest.startswith(unit)), "")
        if not unit or not number:
            return default
        total, number, rest = total + float(number) * units[unit], "", rest[len(unit) :]
    return total if not number else default
