"""The Deployments of Config Sync: one reconciler for each sync, and the reconciler manager. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.accounts import SYSTEM_LABELS, sync_labels
from mlp_helpers.sandbox.controllers.config_sync.names import CONTROLLER_NAMESPACE, SyncId
from mlp_helpers.sandbox.controllers.config_sync.reconciler import CLUSTER_VARIABLE, NAME_VARIABLE, SCOPE_VARIABLE
from mlp_helpers.sandbox.controllers.config_sync.source import PASSWORD_VARIABLE, USERNAME_VARIABLE

VERSION = "v1.22.0"
RECONCILER_IMAGE = "gcr.io/config-management-release/reconciler"
MANAGER_IMAGE = "gcr.io/config-management-release/reconciler-manager"
MANAGER_NAME = "reconciler-manager"
SECRET_VERSION = "configsync.gke.io/secret-resource-version"

_RESOURCES = {"requests": {"cpu": "50m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


def reconciler_deployment(sync: SyncId, *, cluster: str, secret: str, secret_version: str) -> dict[str, Any]:
    """The Deployment of a sync's reconciler.

    Args:
        sync: Whose reconciler it is.
        cluster: The name of the cluster in the fleet.
        secret: The Secret in the controllers' namespace with the Git credentials; empty for none.
        secret_version: Its resource version: a new one makes a new pod, because a pod reads its environment once.
    """
    environment: list[dict[str, Any]] = [
        {"name": SCOPE_VARIABLE, "value": sync.scope},
        {"name": NAME_VARIABLE, "value": sync.name},
        {"name": CLUSTER_VARIABLE, "value": cluster},
        {"name": "RECONCILER_NAME", "value": sync.reconciler},
    ]
    if secret:
        environment += [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for name, key in ((USERNAME_VARIABLE, "username"), (PASSWORD_VARIABLE, "token"))
        ]
    return _deployment(
        sync.reconciler,
        labels={"app": "reconciler", **sync_labels(sync)},
        selector={"app": "reconciler", "configsync.gke.io/reconciler": sync.reconciler},
        annotations={SECRET_VERSION: secret_version} if secret else {},
        container={
            "name": "reconciler",
            "image": f"{RECONCILER_IMAGE}:{VERSION}",
            "env": environment,
            "resources": _RESOURCES,
        },
    )


def manager_deployment(*, cluster: str) -> dict[str, Any]:
    """The Deployment of the reconciler manager."""
    return _deployment(
        MANAGER_NAME,
        labels={"app": MANAGER_NAME, **SYSTEM_LABELS},
        selector={"app": MANAGER_NAME},
        annotations={},
        container={
            "name": MANAGER_NAME,
            "image": f"{MANAGER_IMAGE}:{VERSION}",
            "env": [{"name": CLUSTER_VARIABLE, "value": cluster}],
            "resources": _RESOURCES,
        },
    )


def _deployment(
    name: str,
    *,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    annotations: Mapping[str, str],
    container: Mapping[str, Any],
) -> dict[str, Any]:
    secure = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": CONTROLLER_NAMESPACE, "name": name, "labels": dict(labels)},
        "spec": {
            "replicas": 1,
            # Two reconcilers of one sync would write against each other.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": dict(selector)},
            "template": {
                "metadata": {"labels": dict(labels), "annotations": dict(annotations)},
                "spec": {
                    "serviceAccountName": name,
                    "containers": [{**container, "securityContext": secure}],
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                },
            },
        },
    }
