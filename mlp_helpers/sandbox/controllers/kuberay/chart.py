"""The chart kuberay-operator as the sandbox installs it: our own manifests for the same objects. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

CHART = "kuberay-operator"
VERSIONS = ("1.7.0",)
IMAGE = "quay.io/kuberay/operator"

_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_ALL = ["create", "delete", "get", "list", "patch", "update", "watch"]


def definitions() -> dict[str, dict[str, Any]]:
    """The CustomResourceDefinitions of the chart, by file."""
    text = (resources.files(__package__) / "crds.yaml").read_text("utf-8")
    items = yaml.load(text, yaml.CSafeLoader)["items"]
    return {f"crds/ray.io_{item['spec']['names']['plural']}.yaml": item for item in items}


def manifests(values: Mapping[str, Any], release: str, namespace: str, version: str) -> dict[str, dict[str, Any]]:
    """The objects of a release, by file.

    Args:
        values: The chart's values; those that the sandbox does not know change nothing, as with Helm.
        release: The release's name.
        namespace: Where the operator is installed.
        version: The chart's version, which is the operator's too.
    """
    name = _full_name(values, release)
    namespace = values.get("namespaceOverride") or namespace
    labels = {
        "app.kubernetes.io/name": values.get("nameOverride") or CHART,
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/version": f"v{version}",
        "app.kubernetes.io/managed-by": "Helm",
        "helm.sh/chart": f"{CHART}-{version}",
    }
    account = (values.get("serviceAccount") or {}).get("name") or name
    files = {"deployment.yaml": _deployment(values, name, namespace, labels, account, version)}
    files["service.yaml"] = _service(values, name, namespace, labels)
    if (values.get("serviceAccount") or {}).get("create", True):
        metadata = {"name": account, "namespace": namespace, "labels": labels}
        files["serviceaccount.yaml"] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    if values.get("rbacEnable", True):
        files |= _access(values, name, namespace, labels, account)
    return {f"templates/{file}": obj for file, obj in files.items()}


def _full_name(values: Mapping[str, Any], release: str) -> str:
    if values.get("fullnameOverride"):
        return str(values["fullnameOverride"])
    name = values.get("nameOverride") or CHART
    return release if name in release else f"{release}-{name}"


def _deployment(
    values: Mapping[str, Any], name: str, namespace: str, labels: Mapping[str, str], account: str, version: str
) -> dict[str, Any]:
    image = values.get("image") or {}
    selector = {key: labels[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/instance")}
    container: dict[str, Any] = {
        "name": CHART,
        "image": f"{image.get('repository') or IMAGE}:{image.get('tag') or f'v{version}'}",
        "command": ["/manager"],
        "args": _arguments(values),
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": values.get("env") or [],
        "livenessProbe": _probe(),
        "readinessProbe": _probe(),
        "resources": values.get("resources")
        or {"limits": {"cpu": "100m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "512Mi"}},
        "securityContext": values.get("securityContext")
        or {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec: dict[str, Any] = {"serviceAccountName": account, "containers": [container]}
    for value, field in (
        ("podSecurityContext", "securityContext"),
        ("nodeSelector", "nodeSelector"),
        ("tolerations", "tolerations"),
        ("affinity", "affinity"),
        ("priorityClassName", "priorityClassName"),
    ):
        if values.get(value):
            spec[field] = values[value]
    template = {
        "metadata": {
            "labels": {**selector, "app.kubernetes.io/component": CHART, **(values.get("labels") or {})},
            "annotations": values.get("annotations") or {},
        },
        "spec": spec,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "replicas": int(values.get("replicas") or 1),
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector},
            "template": template,
        },
    }


def _arguments(values: Mapping[str, Any]) -> list[str]:
    arguments = ["--enable-leader-election=" + str(bool(values.get("leaderElectionEnabled", True))).lower()]
    watched = values.get("watchNamespace") or []
    if watched:
        arguments.append("--watch-namespace=" + ",".join(watched))
    gates = {gate["name"]: gate["enabled"] for gate in values.get("featureGates") or []}
    if gates:
        words = ",".join(f"{gate}={str(bool(enabled)).lower()}" for gate, enabled in gates.items())
        arguments.append(f"--feature-gates={words}")
    return arguments


def _probe() -> dict[str, Any]:
    return {
        "httpGet": {"path": "/metrics", "port": "http"},
        "initialDelaySeconds": 10,
        "periodSeconds": 5,
        "failureThreshold": 5,
    }


def _service(values: Mapping[str, Any], name: str, namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    service = values.get("service") or {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "type": service.get("type") or "ClusterIP",
            "ports": [{"name": "http", "port": service.get("port") or 8080, "targetPort": "http", "protocol": "TCP"}],
            "selector": {key: labels[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/instance")},
        },
    }


def _access(
    values: Mapping[str, Any], name: str, namespace: str, labels: Mapping[str, str], account: str
) -> dict[str, dict[str, Any]]:
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    election = f"{name}-leader-election"
    leases = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": _ALL},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": _ALL},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    ]
    files = {
        "leader_election_role.yaml": _role(election, labels, leases, namespace),
        "leader_election_role_binding.yaml": _binding(election, labels, subject, namespace),
    }
    watched = values.get("watchNamespace") or ([namespace] if values.get("singleNamespaceInstall") else [])
    if values.get("crNamespacedRbacEnable", True) and watched:
        for where in watched:
            files[f"role-{where}.yaml"] = _role(name, labels, operator_rules(), where)
            files[f"rolebinding-{where}.yaml"] = _binding(name, labels, subject, where)
        return files
    files["role.yaml"] = _role(name, labels, operator_rules(), "")
    files["rolebinding.yaml"] = _binding(name, labels, subject, "")
    return files


def operator_rules() -> list[dict[str, Any]]:
    """What the operator may do: the kinds it makes and those it looks at, nothing on everything."""
    return [
        {"apiGroups": ["ray.io"], "resources": ["rayclusters", "rayjobs", "rayservices"], "verbs": _ALL},
        {
            "apiGroups": ["ray.io"],
            "resources": [
                f"{plural}/{part}" for plural in ("rayclusters", "rayjobs", "rayservices") for part in _PARTS
            ],
            "verbs": ["get", "patch", "update"],
        },
        {"apiGroups": [""], "resources": ["pods", "services", "serviceaccounts", "secrets"], "verbs": _ALL},
        {"apiGroups": [""], "resources": ["pods/status", "services/status"], "verbs": ["get", "patch", "update"]},
        {
            "apiGroups": [""],
            "resources": ["pods/proxy", "services/proxy"],
            "verbs": ["create", "delete", "get", "patch", "update"],
        },
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch", "update"]},
        {"apiGroups": [""], "resources": ["endpoints"], "verbs": _READ},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": _ALL},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "list", "update"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": _ALL},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingressclasses"], "verbs": _READ},
        {"apiGroups": [_RBAC], "resources": ["roles", "rolebindings"], "verbs": _ALL},
    ]


_PARTS = ("finalizers", "status")


def _role(name: str, labels: Mapping[str, str], rules: list[dict[str, Any]], namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": {"name": name, "labels": dict(labels), **({"namespace": namespace} if namespace else {})},
        "rules": rules,
    }


def _binding(name: str, labels: Mapping[str, str], subject: Mapping[str, str], namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, "labels": dict(labels), **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": _RBAC, "kind": "Role" if namespace else "ClusterRole", "name": name},
        "subjects": [dict(subject)],
    }
