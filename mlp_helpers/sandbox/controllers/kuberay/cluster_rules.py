"""What a RayCluster must keep beyond its schema. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.controllers.kuberay.names import LONGEST_CLUSTER_NAME

# A Service is named after the cluster, so the stricter rule of Services counts.
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def metadata_fault(metadata: Mapping[str, Any]) -> str:
    """What is wrong with a RayCluster's name; empty if nothing is."""
    name = metadata["name"]
    if len(name) > LONGEST_CLUSTER_NAME:
        return f"RayCluster name should be no more than {LONGEST_CLUSTER_NAME} characters"
    if not _SERVICE_NAME.fullmatch(name):
        return "RayCluster name should be a valid DNS1035 label: lower case letters, digits and -, a letter first"
    return ""


def spec_fault(spec: Mapping[str, Any]) -> str:
    """What is wrong with a RayCluster's spec; empty if nothing is."""
    if not _containers(spec["headGroupSpec"]):
        return "headGroupSpec should have at least one container"
    seen: set[str] = set()
    for group in spec.get("workerGroupSpecs") or []:
        name = group["groupName"]
        if name in seen:
            return f"worker group names must be unique: {name}"
        seen.add(name)
        if not _containers(group):
            return f"workerGroupSpec {name} should have at least one container"
        low, high = group.get("minReplicas", 0), group.get("maxReplicas", 0)
        if low > high:
            return f"worker group {name} has minReplicas {low} greater than maxReplicas {high}"
        if low < 0 or high < 0:
            return f"worker group {name} has negative minReplicas or maxReplicas"
    return ""


def _containers(group: Mapping[str, Any]) -> list[Any]:
    return list(((group.get("template") or {}).get("spec") or {}).get("containers") or [])
