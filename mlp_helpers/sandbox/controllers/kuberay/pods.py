"""The pods of a Ray cluster: the head's and the workers', from their templates. Pure."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mlp_helpers.sandbox.controllers.kuberay.names import (
    AGENT_PORT,
    CLUSTER_LABEL,
    DASHBOARD_PORT,
    GCS_PORT,
    GROUP_LABEL,
    HEAD_GROUP,
    IDENTIFIER_LABEL,
    IS_RAY_NODE_LABEL,
    LONGEST_PREFIX,
    METRICS_PORT,
    NODE_TYPE_LABEL,
    OPERATOR,
    TOKEN_KEY,
    WAIT_CONTAINER,
    head_address,
    owner_reference,
    suffix,
    uses_token,
)
from mlp_helpers.sandbox.controllers.quantities import parse_quantity

# Options of `ray start` that stand alone when they are true.
_FLAGS = ("block", "no-monitor", "disable-usage-stats", "log-color", "include-log-monitor")
_WAIT_SCRIPT = """\
waited=0
until ray health-check --address {address} >/dev/null 2>&1; do
  echo "$waited seconds: the head at {address} does not answer yet"
  waited=$((waited + 5))
  sleep 5
done
"""


def head_pod(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """The pod of a cluster's head."""
    group = cluster["spec"]["headGroupSpec"]
    parameters = {
        "dashboard-host": "0.0.0.0",
        **_common_parameters(group),
    }
    pod = _pod(cluster, group, "head", HEAD_GROUP, f"{_cut(cluster['metadata']['name'])}-head-{suffix()}")
    _make_ray_container(cluster, pod, parameters, address="127.0.0.1", node_type="head")
    return pod


def worker_pod(cluster: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    """A pod of one group of workers."""
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    address = head_address(name, namespace)
    parameters = {"address": f"{address}:{_gcs_port(cluster)}", **_common_parameters(group)}
    prefix = _cut(f"{name}-{group['groupName']}")
    pod = _pod(cluster, group, "worker", group["groupName"], f"{prefix}-worker-{suffix()}")
    _make_ray_container(cluster, pod, parameters, address=address, node_type="worker")
    _wait_for_head(cluster, pod, f"{address}:{_gcs_port(cluster)}")
    return pod


def start_command(parameters: Mapping[str, str], node_type: str) -> str:
    """The `ray start` line for parameters."""
    words = ["ray start", *(["--head"] if node_type == "head" else [])]
    for name, value in sorted(parameters.items()):
        if name in _FLAGS and value in ("true", ""):
            words.append(f"--{name}")
        elif name not in _FLAGS or value != "false":
            words.append(f"--{name}={value}")
    return " ".join(words)


def group_resources(group: Mapping[str, Any]) -> dict[str, Decimal]:
    """What one pod of a group asks for: cpu, memory, gpu, tpu; limits count before requests."""
    totals = dict.fromkeys(("cpu", "memory", "gpu", "tpu"), Decimal(0))
    for container in group["template"]["spec"]["containers"]:
        resources = container.get("resources") or {}
        wanted = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
        for name, value in wanted.items():
            kind = _kind_of(name)
            if kind:
                totals[kind] += parse_quantity(value)
    return totals


def _kind_of(resource: str) -> str:
    if resource in ("cpu", "memory"):
        return resource
    return "gpu" if resource.endswith("gpu") else "tpu" if resource == "google.com/tpu" else ""


def _common_parameters(group: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that the operator works out; what the user says wins."""
    parameters = {
        "block": "true",
        "dashboard-agent-listen-port": str(AGENT_PORT),
        "metrics-export-port": str(METRICS_PORT),
    }
    first = {"template": {"spec": {"containers": group["template"]["spec"]["containers"][:1]}}}
    resources = group_resources(first)
    limits = (first["template"]["spec"]["containers"][0].get("resources") or {}).get("limits") or {}
    if resources["cpu"]:
        parameters["num-cpus"] = str(math.ceil(resources["cpu"]))
    if limits.get("memory"):
        parameters["memory"] = str(int(parse_quantity(str(limits["memory"]))))
    if resources["gpu"]:
        parameters["num-gpus"] = str(int(resources["gpu"]))
    for ray_name, option in (("CPU", "num-cpus"), ("GPU", "num-gpus"), ("memory", "memory")):
        if (group.get("resources") or {}).get(ray_name):
            parameters[option] = str(int(parse_quantity(group["resources"][ray_name])))
    if group.get("labels"):
        parameters["labels"] = ",".join(f"{key}={value}" for key, value in sorted(group["labels"].items()))
    return {**parameters, **(group.get("rayStartParams") or {})}


def _gcs_port(cluster: Mapping[str, Any]) -> str:
    return str((cluster["spec"]["headGroupSpec"].get("rayStartParams") or {}).get("port", GCS_PORT))


def _cut(prefix: str) -> str:
    return prefix[:LONGEST_PREFIX].rstrip("-")


def _pod(
    cluster: Mapping[str, Any], group: Mapping[str, Any], node_type: str, group_name: str, name: str
) -> dict[str, Any]:
    template = copy.deepcopy(dict(group["template"]))
    metadata = template.get("metadata") or {}
    cluster_name = cluster["metadata"]["name"]
    labels = {
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": OPERATOR,
        IS_RAY_NODE_LABEL: "yes",
        IDENTIFIER_LABEL: f"{cluster_name}-{node_type}"[:63],
        **(metadata.get("labels") or {}),
        # Selectors live on these, so a template cannot change them.
        CLUSTER_LABEL: cluster_name,
        NODE_TYPE_LABEL: node_type,
        GROUP_LABEL: group_name,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": cluster["metadata"]["namespace"],
            "labels": labels,
            "annotations": {"ray.io/ft-enabled": "false", **(metadata.get("annotations") or {})},
            "ownerReferences": [owner_reference(cluster)],
        },
        "spec": template["spec"],
    }


def _make_ray_container(
    cluster: Mapping[str, Any], pod: dict[str, Any], parameters: Mapping[str, str], *, address: str, node_type: str
) -> None:
    """Turn the first container into a Ray node: command, environment, ports, probes, shared memory."""
    container = pod["spec"]["containers"][0]
    command = start_command(parameters, node_type)
    own = " ".join([*(container.get("command") or []), *(container.get("args") or [])])
    if (pod["metadata"]["annotations"]).get("ray.io/overwrite-container-cmd") != "true":
        container["command"] = ["/bin/bash", "-c", "--"]
        container["args"] = ["ulimit -n 65536; " + " && ".join([*([own] if own else []), command])]
    _add_environment(container, _environment(cluster, address, node_type, command))
    ports = container.setdefault("ports", [])
    if not any(port.get("name") == "metrics" or port["containerPort"] == METRICS_PORT for port in ports):
        ports.append({"name": "metrics", "containerPort": METRICS_PORT})
    for name, probe in _probes(node_type).items():
        container.setdefault(name, probe)
    _add_shared_memory(pod["spec"], container)


def _environment(cluster: Mapping[str, Any], address: str, node_type: str, command: str) -> list[dict[str, Any]]:
    metadata = cluster["metadata"]
    values = {
        "RAY_CLUSTER_NAME": metadata["name"],
        "RAY_CLUSTER_NAMESPACE": metadata["namespace"],
        "RAY_PORT": _gcs_port(cluster),
        "RAY_ADDRESS": f"{address}:{_gcs_port(cluster)}",
        "RAY_USAGE_STATS_KUBERAY_IN_USE": "1",
        "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE": "1",
        "KUBERAY_GEN_RAY_START_CMD": command,
    }
    if node_type == "worker":
        values |= {"FQ_RAY_IP": address, "RAY_IP": address.partition(".")[0]}
    environment: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in values.items()]
    environment += [
        {"name": "RAY_CLOUD_INSTANCE_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {
            "name": "RAY_NODE_TYPE_NAME",
            "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{GROUP_LABEL}']"}},
        },
    ]
    return environment + token_environment(cluster)


def token_environment(cluster: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The variables with which Ray asks for, and sends, its token; none without authentication."""
    if not uses_token(cluster):
        return []
    reference = {"name": token_secret_name(cluster), "key": TOKEN_KEY}
    return [
        {"name": "RAY_AUTH_MODE", "value": "token"},
        {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": reference}},
    ]


def token_secret_name(cluster: Mapping[str, Any]) -> str:
    """The Secret with the token: the user's own, else one named after the cluster."""
    options = cluster["spec"].get("authOptions") or {}
    return str(options.get("secretName") or cluster["metadata"]["name"])


def _add_environment(container: dict[str, Any], wanted: list[dict[str, Any]]) -> None:
    environment = container.setdefault("env", [])
    there = {variable["name"] for variable in environment}
    environment += [variable for variable in wanted if variable["name"] not in there]


def _probes(node_type: str) -> dict[str, Any]:
    checks = [f"wget --tries 1 -T 2 -q -O- http://localhost:{AGENT_PORT}/api/local_raylet_healthz | grep success"]
    if node_type == "head":
        checks.append(f"wget --tries 1 -T 10 -q -O- http://localhost:{DASHBOARD_PORT}/api/gcs_healthz | grep success")
    action = {"exec": {"command": ["bash", "-c", " && ".join(checks)]}}
    timing = {"successThreshold": 1, "timeoutSeconds": 5 if node_type == "head" else 2}
    alive = {"periodSeconds": 5, "initialDelaySeconds": 30, "failureThreshold": 120}
    # The real operator looks after 10 s and then every 5 s. Here a person waits for each of them, and nobody is spared.
    ready = {"periodSeconds": 1, "initialDelaySeconds": 1, "failureThreshold": 10}
    return {"livenessProbe": {**action, **timing, **alive}, "readinessProbe": {**action, **timing, **ready}}


def _add_shared_memory(spec: dict[str, Any], container: dict[str, Any]) -> None:
    """Ray's object store wants /dev/shm as large as the pod's memory."""
    if any(mount.get("mountPath") == "/dev/shm" for mount in container.get("volumeMounts") or []):
        return
    resources = container.get("resources") or {}
    memory = (resources.get("requests") or {}).get("memory") or (resources.get("limits") or {}).get("memory")
    medium: dict[str, Any] = {"medium": "Memory", **({"sizeLimit": memory} if memory else {})}
    spec.setdefault("volumes", []).append({"name": "shared-mem", "emptyDir": medium})
    container.setdefault("volumeMounts", []).append({"name": "shared-mem", "mountPath": "/dev/shm"})


def _wait_for_head(cluster: Mapping[str, Any], pod: dict[str, Any], address: str) -> None:
    """A worker that starts before its head would only fail and start again."""
    container = pod["spec"]["containers"][0]
    wait = {
        "name": WAIT_CONTAINER,
        "image": container.get("image", ""),
        "command": ["/bin/bash", "-c", "--"],
        "args": [_WAIT_SCRIPT.format(address=address)],
        "env": copy.deepcopy(container["env"]),
        "resources": {
            "requests": {"cpu": "200m", "memory": "256Mi"},
            "limits": {"cpu": "200m", "memory": "256Mi"},
        },
    }
    for field in ("imagePullPolicy", "securityContext"):
        if container.get(field):
            wait[field] = copy.deepcopy(container[field])
    pod["spec"]["initContainers"] = [*(pod["spec"].get("initContainers") or []), wait]
