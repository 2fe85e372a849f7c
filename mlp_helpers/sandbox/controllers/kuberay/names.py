"""The fixed words of KubeRay: labels, variables, ports, and who is called what."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

API_VERSION = "ray.io/v1"
OPERATOR = "kuberay-operator"

CLUSTER_LABEL = "ray.io/cluster"
NODE_TYPE_LABEL = "ray.io/node-type"
GROUP_LABEL = "ray.io/group"
IDENTIFIER_LABEL = "ray.io/identifier"
IS_RAY_NODE_LABEL = "ray.io/is-ray-node"
HEAD_GROUP = "headgroup"
ORIGIN_KIND_LABEL = "ray.io/originated-from-crd"
ORIGIN_NAME_LABEL = "ray.io/originated-from-cr-name"

GCS_PORT, DASHBOARD_PORT, CLIENT_PORT, METRICS_PORT, SERVE_PORT, AGENT_PORT = 6379, 8265, 10001, 8080, 8000, 52365
DEFAULT_PORTS: Mapping[str, int] = {
    "client": CLIENT_PORT,
    "dashboard": DASHBOARD_PORT,
    "gcs-server": GCS_PORT,
    "metrics": METRICS_PORT,
    "serve": SERVE_PORT,
}
TOKEN_KEY = "auth_token"
WAIT_CONTAINER = "wait-gcs-ready"

LONGEST_CLUSTER_NAME = 53
LONGEST_JOB_NAME = 47
LONGEST_PREFIX = 50
# Without vowels and look-alikes, as Kubernetes makes its suffixes.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def suffix(length: int = 5) -> str:
    """A random end of a name."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def head_service_name(cluster: str) -> str:
    """The Service of a cluster's head."""
    return f"{cluster}-head-svc"


def head_address(cluster: str, namespace: str) -> str:
    """The head's full name within the cluster network."""
    return f"{head_service_name(cluster)}.{namespace}.svc.cluster.local"


def uses_token(cluster: Mapping[str, Any]) -> bool:
    """Whether Ray asks for a token."""
    return ((cluster.get("spec") or {}).get("authOptions") or {}).get("mode") == "token"


def owner_reference(owner: Mapping[str, Any]) -> dict[str, Any]:
    """The reference that makes an object go when its owner goes."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
