"""Who a reconciler is and what it may do: ServiceAccount, roles and bindings, as plain objects. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.names import CONTROLLER_NAMESPACE, SyncId

_RBAC = "rbac.authorization.k8s.io"
ROOT_ROLE = "configsync.gke.io:root-reconciler"
NAMESPACE_ROLE = "configsync.gke.io:ns-reconciler"
SYSTEM_LABELS = {"configmanagement.gke.io/system": "true", "configmanagement.gke.io/arch": "csmr"}


def base_roles() -> list[dict[str, Any]]:
    """The ClusterRoles that let a reconciler read its sync and keep its inventory, and nothing else."""
    return [_base_role(ROOT_ROLE, "rootsyncs"), _base_role(NAMESPACE_ROLE, "reposyncs")]


def _base_role(name: str, plural: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": SYSTEM_LABELS},
        "rules": [
            {
                "apiGroups": ["configsync.gke.io"],
                "resources": [plural],
                "verbs": ["get", "list", "watch", "update", "patch"],
            },
            {
                "apiGroups": ["configsync.gke.io"],
                "resources": [f"{plural}/status"],
                "verbs": ["get", "list", "watch", "update", "patch"],
            },
            {"apiGroups": ["kpt.dev"], "resources": ["resourcegroups", "resourcegroups/status"], "verbs": ["*"]},
        ],
    }


def service_account(sync: SyncId) -> dict[str, Any]:
    """The account that the reconciler of a sync runs as."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"namespace": CONTROLLER_NAMESPACE, "name": sync.reconciler, "labels": sync_labels(sync)},
    }


def sync_labels(sync: SyncId) -> dict[str, str]:
    """Labels of everything that belongs to one reconciler."""
    return {
        **SYSTEM_LABELS,
        "configsync.gke.io/sync-kind": sync.kind,
        "configsync.gke.io/sync-name": sync.name,
        "configsync.gke.io/sync-namespace": sync.namespace,
        "configsync.gke.io/reconciler": sync.reconciler,
    }


def shared_bindings(syncs: Sequence[SyncId], restricted: Iterable[SyncId]) -> list[dict[str, Any]]:
    """The bindings that reconcilers of one scope share.

    Args:
        syncs: The root syncs, or the repo syncs of one namespace.
        restricted: Root syncs whose `override.roleRefs` replaces cluster-admin.
    """
    if not syncs:
        return []
    if not syncs[0].is_root:
        return [binding("RoleBinding", NAMESPACE_ROLE, "ClusterRole", NAMESPACE_ROLE, syncs, syncs[0].namespace)]
    admins = [sync for sync in syncs if sync not in set(restricted)]
    base = binding("ClusterRoleBinding", f"{ROOT_ROLE}-base", "ClusterRole", ROOT_ROLE, syncs)
    return [base, binding("ClusterRoleBinding", ROOT_ROLE, "ClusterRole", "cluster-admin", admins)]


def own_bindings(sync: SyncId, role_refs: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The bindings of one root sync for its `override.roleRefs`."""
    bindings = []
    for reference in role_refs:
        namespace = reference.get("namespace", "")
        words = "/".join([reference["kind"], namespace, reference["name"]])
        name = f"{sync.reconciler}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        made = binding(kind, name, reference["kind"], reference["name"], [sync], namespace)
        made["metadata"]["labels"] = sync_labels(sync)
        bindings.append(made)
    return bindings


def binding(
    kind: str, name: str, role_kind: str, role: str, syncs: Sequence[SyncId], namespace: str = ""
) -> dict[str, Any]:
    """A RoleBinding or ClusterRoleBinding of reconcilers to a role."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": SYSTEM_LABELS, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": _RBAC, "kind": role_kind, "name": role},
        "subjects": [
            {"kind": "ServiceAccount", "name": sync.reconciler, "namespace": CONTROLLER_NAMESPACE}
            for sync in sorted(syncs, key=lambda sync: sync.reconciler)
        ],
    }
