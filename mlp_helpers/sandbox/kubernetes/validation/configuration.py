"""Validation of what configures a namespace: ConfigMaps, Secrets, Services, quotas, limits, roles and bindings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.kubernetes import names, quantity
from mlp_helpers.sandbox.kubernetes.validation.pods import check_port
from mlp_helpers.sandbox.kubernetes.validation.problems import (
    Problem,
    difference,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    where,
)

__all__ = [
    "check_binding",
    "check_binding_update",
    "check_claim",
    "check_claim_update",
    "check_config_map",
    "check_data_update",
    "check_limit_range",
    "check_namespace",
    "check_quota",
    "check_role",
    "check_secret",
    "check_secret_update",
    "check_service",
    "check_service_update",
]

Object = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_LEVELS = ("privileged", "baseline", "restricted")
_POD_SECURITY = "pod-security.kubernetes.io/"
_SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_QUOTA_NAMES = frozenset(
    (
        *("cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage"),
        *("requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods"),
        *("resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims"),
        *("services.nodeports", "services.loadbalancers"),
    )
)


def check_namespace(obj: Object) -> list[Problem]:
    """Pod Security labels of a namespace."""
    problems = []
    for key, value in (obj["metadata"].get("labels") or {}).items():
        if not key.startswith(_POD_SECURITY):
            continue
        field, mode = f"metadata.labels[{key}]", key.removeprefix(_POD_SECURITY)
        if mode in ("enforce", "audit", "warn") and value not in _LEVELS:
            problems.append(invalid(field, value, f"must be one of {', '.join(_LEVELS)}"))
        elif mode.endswith("-version") and not _is_version(value):
            problems.append(invalid(field, value, 'must be "latest" or "v1.x"'))
    return problems


def _is_version(value: str) -> bool:
    return value == "latest" or (value.startswith("v1.") and value[3:].isdigit())


def check_config_map(obj: Object) -> list[Problem]:
    """Keys of a config map."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    problems = [found for key in data for found in where(f"data[{key}]", key, names.config_key)]
    for key in binary:
        problems += where(f"binaryData[{key}]", key, names.config_key)
        if key in data:
            problems.append(invalid(f"binaryData[{key}]", key, "duplicate of key present in data"))
    return problems


def check_secret(obj: Object) -> list[Problem]:
    """Keys of a secret, and those that its type demands."""
    data = obj.get("data") or {}
    problems = [found for key in data for found in where(f"data[{key}]", key, names.config_key)]
    needed = _SECRET_KEYS.get(obj.get("type", ""), ())
    return problems + [required(f"data[{key}]") for key in needed if key not in data]


def check_data_update(old: Object, new: Object) -> list[Problem]:
    """What is immutable stays as it is."""
    if not old.get("immutable"):
        return []
    words = "field is immutable when `immutable` is set"
    problems = [] if new.get("immutable") else [forbidden("immutable", words)]
    changed = [field for field in ("data", "binaryData") if (old.get(field) or {}) != (new.get(field) or {})]
    return problems + [forbidden(field, words) for field in changed]


def check_secret_update(old: Object, new: Object) -> list[Problem]:
    """A secret keeps its type."""
    problems = check_data_update(old, new)
    if old.get("type") != new.get("type"):
        problems.append(invalid("type", new.get("type"), "field is immutable"))
    return problems


def check_service(obj: Object) -> list[Problem]:
    """Type and ports of a service."""
    spec = obj.get("spec") or {}
    kind, ports = spec.get("type"), spec.get("ports") or ()
    problems = [] if kind in _SERVICE_TYPES else [not_supported("spec.type", kind, _SERVICE_TYPES)]
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        problems.append(required("spec.ports"))
    if kind == "ExternalName" and not spec.get("externalName"):
        problems.append(required("spec.externalName"))
    seen: set[Any] = set()
    names_seen: set[str] = set()
    for number, port in enumerate(ports):
        field, name = f"spec.ports[{number}]", port.get("name", "")
        if not name and len(ports) > 1:
            problems.append(required(f"{field}.name"))
        elif name:
            problems += where(f"{field}.name", name, names.dns_label)
            if name in names_seen:
                problems.append(duplicate(f"{field}.name", name))
        names_seen.add(name)
        problems += check_port(f"{field}.port", port.get("port") or 0)
        if isinstance(port.get("targetPort"), int):
            problems += check_port(f"{field}.targetPort", port["targetPort"])
        identity = (port.get("port"), port.get("protocol"))
        if identity in seen:
            problems.append(duplicate(field, {"port": identity[0], "protocol": identity[1]}))
        seen.add(identity)
    return problems


def check_service_update(old: Object, new: Object) -> list[Problem]:
    """A service keeps its cluster address as long as it has one."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    address = before.get("clusterIP")
    if not address or "ExternalName" in (before.get("type"), after.get("type")) or after.get("clusterIP") == address:
        return []
    given = after.get("clusterIPs") or [after.get("clusterIP", "")]
    return [invalid("spec.clusterIPs[0]", given, "may not change once set")]


def check_claim(obj: Object) -> list[Problem]:
    """Access modes and size of a volume claim."""
    spec = obj.get("spec") or {}
    problems = [] if spec.get("accessModes") else [required("spec.accessModes", "at least 1 access mode is required")]
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        problems.append(required("spec.resources[storage]"))
    elif quantity.parse(size) <= 0:
        problems.append(invalid("spec.resources[storage]", str(size), "must be greater than zero"))
    return problems


def check_claim_update(old: Object, new: Object) -> list[Problem]:
    """A claim's spec is fixed but for its size."""
    before, after = ({**(one.get("spec") or {})} for one in (old, new))
    for spec in (before, after):
        spec.pop("volumeAttributesClassName", None)
        if before.get("volumeName"):
            spec.pop("resources", None)
    if not before.get("volumeName"):
        after.pop("volumeName", None)
    if before == after:
        return []
    words = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    return [forbidden("spec", f"{words}\n{difference(before, after)}")]


def check_quota(obj: Object) -> list[Problem]:
    """Names and amounts of a quota."""
    problems: list[Problem] = []
    for name, amount in ((obj.get("spec") or {}).get("hard") or {}).items():
        field = f"spec.hard[{name}]"
        if "/" not in name and name not in _QUOTA_NAMES:
            problems.append(invalid(field, name, "must be a standard resource type or fully qualified"))
            problems.append(invalid(field, name, "must be a standard resource for quota"))
        if quantity.parse(amount) < 0:
            problems.append(invalid(field, str(amount), "must be greater than or equal to 0"))
        elif "/" not in name and _counts(name) and quantity.parse(amount) % 1:
            problems.append(invalid(field, str(amount), "must be an integer"))
    return problems


def _counts(name: str) -> bool:
    return "." not in name and name not in ("cpu", "memory", "ephemeral-storage")


def check_limit_range(obj: Object) -> list[Problem]:
    """The limits of each type fit each other."""
    problems: list[Problem] = []
    for number, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
        field = f"spec.limits[{number}]"
        for lower, upper in (
            *(("min", "max"), ("min", "default"), ("min", "defaultRequest")),
            *(("defaultRequest", "max"), ("default", "max"), ("defaultRequest", "default")),
        ):
            problems += _ordered(item, field, lower, upper)
    return problems


def _ordered(item: Mapping[str, Any], field: str, lower: str, upper: str) -> list[Problem]:
    label = {"min": "min", "max": "max", "default": "default", "defaultRequest": "default request"}
    problems = []
    for name, amount in (item.get(lower) or {}).items():
        other = (item.get(upper) or {}).get(name)
        if other is not None and quantity.parse(amount) > quantity.parse(other):
            at, shown = (lower, amount) if lower != "min" or upper == "max" else (upper, amount)
            words = f"{label[lower]} value {amount} is greater than {label[upper]} value {other}"
            problems.append(invalid(f"{field}.{at}[{name}]", str(shown), words))
    return problems


def check_role(obj: Object) -> list[Problem]:
    """Rules of a role or cluster role."""
    problems: list[Problem] = []
    namespaced = bool((obj.get("metadata") or {}).get("namespace"))
    for number, rule in enumerate(obj.get("rules") or ()):
        field = f"rules[{number}]"
        if not rule.get("verbs"):
            problems.append(required(f"{field}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if namespaced:
                words = "namespaced rules cannot apply to non-resource URLs"
                problems.append(invalid(f"{field}.nonResourceURLs", rule["nonResourceURLs"], words))
            continue
        if not rule.get("apiGroups"):
            problems.append(required(f"{field}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            problems.append(required(f"{field}.resources", "resource rules must supply at least one resource"))
    return problems


def check_binding(obj: Object) -> list[Problem]:
    """Role and subjects of a binding."""
    role, namespaced = obj.get("roleRef") or {}, bool((obj.get("metadata") or {}).get("namespace"))
    problems = []
    if role.get("apiGroup") != _RBAC:
        problems.append(not_supported("roleRef.apiGroup", role.get("apiGroup", ""), [_RBAC]))
    kinds = ["Role", "ClusterRole"] if namespaced else ["ClusterRole"]
    if role.get("kind") not in kinds:
        problems.append(not_supported("roleRef.kind", role.get("kind", ""), kinds))
    if not role.get("name"):
        problems.append(required("roleRef.name"))
    for number, subject in enumerate(obj.get("subjects") or ()):
        problems += _check_subject(subject, f"subjects[{number}]", namespaced=namespaced)
    return problems


def _check_subject(subject: Object, field: str, *, namespaced: bool) -> list[Problem]:
    problems = [] if subject.get("name") else [required(f"{field}.name")]
    match subject.get("kind"):
        case "ServiceAccount":
            if subject.get("name"):
                problems += where(f"{field}.name", subject["name"], names.dns_subdomain)
            if subject.get("apiGroup"):
                problems.append(not_supported(f"{field}.apiGroup", subject["apiGroup"], [""]))
            if not namespaced and not subject.get("namespace"):
                problems.append(required(f"{field}.namespace"))
        case "User" | "Group":
            if subject.get("apiGroup") != _RBAC:
                problems.append(not_supported(f"{field}.apiGroup", subject.get("apiGroup", ""), [_RBAC]))
        case other:
            problems.append(not_supported(f"{field}.kind", other or "", ["ServiceAccount", "User", "Group"]))
    return problems


def check_binding_update(old: Object, new: Object) -> list[Problem]:
    """A binding keeps its role."""
    before, after = old.get("roleRef") or {}, new.get("roleRef") or {}
    if before == after:
        return []
    named = {"APIGroup": after.get("apiGroup"), "Kind": after.get("kind"), "Name": after.get("name")}
    return [invalid("roleRef", named, "cannot change roleRef")]
