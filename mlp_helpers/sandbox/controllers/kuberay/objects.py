"""What belongs to a Ray cluster beside its pods: the head's Service and the token's Secret. Pure."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.controllers.kuberay.names import (
    CLUSTER_LABEL,
    DEFAULT_PORTS,
    IDENTIFIER_LABEL,
    NODE_TYPE_LABEL,
    OPERATOR,
    TOKEN_KEY,
    head_service_name,
    owner_reference,
)
from mlp_helpers.sandbox.controllers.kuberay.pods import token_secret_name


def head_service(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """The Service of the head: headless unless the cluster asks for a type."""
    name, group = cluster["metadata"]["name"], cluster["spec"]["headGroupSpec"]
    labels = {
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": OPERATOR,
        CLUSTER_LABEL: name,
        IDENTIFIER_LABEL: f"{name}-head"[:63],
        NODE_TYPE_LABEL: "head",
    }
    user = group.get("headService") or {}
    spec: dict[str, Any] = {
        "selector": labels,
        "ports": [
            {"name": port, "port": number, "targetPort": number, "appProtocol": "tcp", "protocol": "TCP"}
            for port, number in sorted(_ports(group).items())
        ],
        "publishNotReadyAddresses": True,
        **(user.get("spec") or {}),
    }
    if group.get("serviceType"):
        spec["type"] = group["serviceType"]
    else:
        spec.setdefault("type", "ClusterIP")
        spec["clusterIP"] = "None"
    annotations = {
        **(cluster["spec"].get("headServiceAnnotations") or {}),
        **((user.get("metadata") or {}).get("annotations") or {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": head_service_name(name),
            "namespace": cluster["metadata"]["namespace"],
            "labels": {**((user.get("metadata") or {}).get("labels") or {}), **labels},
            "annotations": annotations,
            "ownerReferences": [owner_reference(cluster)],
        },
        "spec": spec,
    }


def _ports(group: Mapping[str, Any]) -> dict[str, int]:
    """The ports that the head's container names, and Ray's own where it names none."""
    container = group["template"]["spec"]["containers"][0]
    named = {port["name"]: int(port["containerPort"]) for port in container.get("ports") or [] if port.get("name")}
    missing = {name: number for name, number in DEFAULT_PORTS.items() if number not in named.values()}
    return {**missing, **named}


def token_secret(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret with a fresh token."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": token_secret_name(cluster),
            "namespace": cluster["metadata"]["namespace"],
            "labels": {CLUSTER_LABEL: cluster["metadata"]["name"], "app.kubernetes.io/created-by": OPERATOR},
            "ownerReferences": [owner_reference(cluster)],
        },
        "type": "Opaque",
        "data": {TOKEN_KEY: base64.b64encode(secrets.token_urlsafe(32).encode()).decode()},
    }
