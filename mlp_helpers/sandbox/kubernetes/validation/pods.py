"""Validation of pods and pod templates."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mlp_helpers.sandbox.kubernetes import names, quantity
from mlp_helpers.sandbox.kubernetes.pod_defaults import containers_of
from mlp_helpers.sandbox.kubernetes.validation.problems import (
    Problem,
    difference,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    where,
)

__all__ = ["check_pod", "check_pod_spec", "check_pod_update"]

Object = dict[str, Any]

_POSITIVE = "must be greater than or equal to 0"
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_VOLUME_META = ("name",)
_MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_pod(pod: Object) -> list[Problem]:
    """What is wrong with a pod."""
    return check_pod_spec(pod.get("spec") or {}, "spec")


def check_pod_spec(spec: Object, path: str) -> list[Problem]:
    """What is wrong with the spec of a pod or a pod template."""
    volumes, problems = _check_volumes(spec.get("volumes") or (), f"{path}.volumes")
    if not spec.get("containers"):
        problems.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for field, number, container in containers_of(spec):
        problems += _check_container(container, f"{path}.{field}[{number}]", volumes)
        name = container.get("name", "")
        if name in seen:
            problems.append(duplicate(f"{path}.{field}[{number}].name", name))
        seen.add(name)
    problems += _one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART_POLICIES)
    problems += _one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    if spec.get("serviceAccountName"):
        problems += where(f"{path}.serviceAccountName", spec["serviceAccountName"], names.dns_subdomain)
    if spec.get("nodeName"):
        problems += where(f"{path}.nodeName", spec["nodeName"], names.dns_subdomain)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        words = "must be between 1 and 2147483647, inclusive"
        problems.append(invalid(f"{path}.activeDeadlineSeconds", deadline, words))
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        grace = spec["terminationGracePeriodSeconds"]
        problems.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, _POSITIVE))
    return problems


def _one_of(field: str, value: Any, allowed: Sequence[str]) -> list[Problem]:
    if not value:
        return [required(field)]
    return [] if value in allowed else [not_supported(field, value, allowed)]


def _check_volumes(volumes: Sequence[Object], path: str) -> tuple[set[str], list[Problem]]:
    seen: set[str] = set()
    problems: list[Problem] = []
    for number, volume in enumerate(volumes):
        name, field = volume.get("name", ""), f"{path}[{number}]"
        problems += where(f"{field}.name", name, names.dns_label) if name else [required(f"{field}.name")]
        if name in seen:
            problems.append(duplicate(f"{field}.name", name))
        seen.add(name)
        sources = [key for key, value in volume.items() if key not in _VOLUME_META and value is not None]
        problems += [
            forbidden(f"{field}.{extra}", "may not specify more than 1 volume type") for extra in sorted(sources)[1:]
        ]
        problems += _check_volume_source(volume, field)
    return seen, problems


def _check_volume_source(volume: Object, field: str) -> list[Problem]:
    needed = (
        ("secret", "secretName"),
        ("configMap", "name"),
        ("hostPath", "path"),
        ("persistentVolumeClaim", "claimName"),
    )
    return [
        required(f"{field}.{source}.{key}")
        for source, key in needed
        if isinstance(volume.get(source), dict) and not volume[source].get(key)
    ]


def _check_container(container: Object, path: str, volumes: set[str]) -> list[Problem]:
    name = container.get("name", "")
    problems = where(f"{path}.name", name, names.dns_label) if name else [required(f"{path}.name")]
    if not container.get("image"):
        problems.append(required(f"{path}.image"))
    problems += _check_ports(container.get("ports") or (), f"{path}.ports")
    problems += _check_environment(container, path)
    problems += _check_mounts(container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes)
    problems += _one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), _PULL_POLICIES)
    problems += _check_probes(container, path)
    return problems + _check_resources(container.get("resources") or {}, f"{path}.resources")


def _check_ports(ports: Sequence[Object], path: str) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, port in enumerate(ports):
        field, name = f"{path}[{number}]", port.get("name")
        if name:
            problems += [invalid(f"{field}.name", name, words) for words in _port_name(name)]
            if name in seen:
                problems.append(duplicate(f"{field}.name", name))
            seen.add(name)
        if not port.get("containerPort"):
            problems.append(required(f"{field}.containerPort"))
        else:
            problems += check_port(f"{field}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            problems += check_port(f"{field}.hostPort", port["hostPort"])
        problems += _one_of(f"{field}.protocol", port.get("protocol"), _PROTOCOLS)
    return problems


def _port_name(name: str) -> list[str]:
    problems = []
    if len(name) > 15:
        problems.append("must be no more than 15 characters")
    if not all(letter.islower() or letter.isdigit() or letter == "-" for letter in name):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any(letter.isalpha() for letter in name):
        problems.append("must contain at least one letter (a-z)")
    if "--" in name:
        problems.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def check_port(field: str, port: int) -> list[Problem]:
    """A port number in its range."""
    return [] if 1 <= port <= 65535 else [invalid(field, port, "must be between 1 and 65535, inclusive")]


def _check_environment(container: Object, path: str) -> list[Problem]:
    problems = []
    for number, variable in enumerate(container.get("env") or ()):
        field = f"{path}.env[{number}]"
        if not variable.get("name"):
            problems.append(required(f"{field}.name"))
        elif "=" in variable["name"]:
            words = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            problems.append(invalid(f"{field}.name", variable["name"], words))
        source = variable.get("valueFrom")
        if source is not None and variable.get("value"):
            problems.append(invalid(f"{field}.valueFrom", "", "may not be specified when `value` is not empty"))
        if source == {}:
            words = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef`"
            words += " or `fileKeyRef`"
            problems.append(invalid(f"{field}.valueFrom", "", words))
    return problems


def _check_mounts(mounts: Sequence[Object], path: str, volumes: set[str]) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, mount in enumerate(mounts):
        field, name, target = f"{path}[{number}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            problems.append(required(f"{field}.name"))
        elif name not in volumes:
            problems.append(not_found(f"{field}.name", name))
        if not target:
            problems.append(required(f"{field}.mountPath"))
        elif target in seen:
            problems.append(invalid(f"{field}.mountPath", target, "must be unique"))
        seen.add(target)
    return problems


def _check_probes(container: Object, path: str) -> list[Problem]:
    problems = []
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        field = f"{path}.{name}"
        if not any(probe.get(handler) for handler in ("exec", "httpGet", "tcpSocket", "grpc")):
            problems.append(required(field, "must specify a handler type"))
        for number in (
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ):
            if (probe.get(number) or 0) < 0:
                problems.append(invalid(f"{field}.{number}", probe[number], _POSITIVE))
        if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            problems.append(invalid(f"{field}.successThreshold", probe["successThreshold"], "must be 1"))
    return problems


def _check_resources(resources: Object, path: str) -> list[Problem]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    problems: list[Problem] = []
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if quantity.parse(amount) < 0:
                problems.append(invalid(f"{path}.{part}[{name}]", str(amount), _POSITIVE))
    for name, amount in requests.items():
        limit = limits.get(name)
        if "/" in name and not name.startswith("kubernetes.io/"):
            if limit is None:
                problems.append(required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
            elif quantity.parse(limit) != quantity.parse(amount):
                words = f"must be equal to {name} limit of {limit}"
                problems.append(invalid(f"{path}.requests", str(amount), words))
        elif limit is not None and quantity.parse(amount) > quantity.parse(limit):
            words = f"must be less than or equal to {name} limit of {limit}"
            problems.append(invalid(f"{path}.requests", str(amount), words))
    return problems


def check_pod_update(old: Object, new: Object) -> list[Problem]:
    """A pod's spec is fixed but for a few fields."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    problems = []
    for field in ("containers", "initContainers"):
        if len(before.get(field) or ()) != len(after.get(field) or ()):
            return [forbidden("spec." + field, "pod updates may not add or remove containers")]
    has_moved = bool(before.get("nodeName")) and before["nodeName"] != after.get("nodeName")
    fixed, wanted = _without_mutable(before, after), _without_mutable(after, after)
    if has_moved or fixed != wanted:
        problems.append(forbidden("spec", f"{_MUTABLE}\n{difference(fixed, wanted)}"))
    added = after.get("tolerations") or []
    if any(one not in added for one in before.get("tolerations") or ()):
        words = "existing toleration can not be modified except its tolerationSeconds"
        problems.append(forbidden("spec.tolerations", words))
    return problems


def _without_mutable(spec: Mapping[str, Any], images_of: Mapping[str, Any]) -> Object:
    """The spec with everything that may change taken from the new one, and empty values left out."""
    kept = copy.deepcopy(dict(spec))
    for field in ("containers", "initContainers"):
        for container, other in zip(kept.get(field) or (), images_of.get(field) or (), strict=True):
            container["image"] = other.get("image")
            container.pop("resources", None)  # resized through /resize, or filled in by LimitRanger
    for field in (
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "schedulingGates",
        "nodeName",
    ):
        kept.pop(field, None)
    return {name: value for name, value in kept.items() if value not in (None, "", [], {}, False)}
