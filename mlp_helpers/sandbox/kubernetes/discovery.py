"""The documents by which clients discover what a cluster serves, in the older and in the aggregated form."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry

__all__ = ["AGGREGATED", "aggregated", "api_versions", "group", "group_list", "resource_list"]

Object = dict[str, Any]
Groups = dict[str, dict[str, list[Kind]]]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_CHANGE = ("get", "patch", "update")
_PROXY = ("create", "delete", "get", "patch", "update")
_CONNECT = ("create", "get")
# Kind (with a group and version, where it is not its parent's) and verbs of the subresources that are not "the object".
_SUBRESOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "scale": ("autoscaling/v1/Scale", _CHANGE),
    "finalize": ("", ("update",)),
    "log": ("", ("get",)),
    "token": ("authentication.k8s.io/v1/TokenRequest", ("create",)),
    "eviction": ("policy/v1/Eviction", ("create",)),
    "binding": ("Binding", ("create",)),
    "attach": ("PodAttachOptions", _CONNECT),
    "exec": ("PodExecOptions", _CONNECT),
    "portforward": ("PodPortForwardOptions", _CONNECT),
    "nodes/proxy": ("NodeProxyOptions", _PROXY),
    "pods/proxy": ("PodProxyOptions", _PROXY),
    "services/proxy": ("ServiceProxyOptions", _PROXY),
}


def _groups(registry: Registry) -> Groups:
    found: Groups = {}
    for kind in registry.all():
        found.setdefault(kind.group, {}).setdefault(kind.version, []).append(kind)
    return found


def _subresource(kind: Kind, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    """Group, version, kind and verbs of a subresource; no group where it is the parent's."""
    described = _SUBRESOURCES.get(f"{kind.plural}/{name}") or _SUBRESOURCES.get(name, ("", _CHANGE))
    parts = (described[0] or kind.name).split("/")
    return (*parts, described[1]) if len(parts) == 3 else ("", "", parts[-1], described[1])  # type: ignore[return-value]


def api_versions(address: str) -> Object:
    """The answer to /api."""
    reachable = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": reachable}


def _group(name: str, versions: dict[str, list[Kind]]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(registry: Registry) -> Object:
    """The answer to /apis."""
    groups = [_group(name, versions) for name, versions in _groups(registry).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Object | None:
    """The answer to /apis/GROUP; None if there is no such group."""
    versions = _groups(registry).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _storage_hash(kind: Kind) -> str:
    # Definitions of custom kinds are hashed as the version in which they were first kept.
    version = "v1beta1" if kind.group == "apiextensions.k8s.io" else kind.storage_version or kind.version
    text = f"{kind.group}/{version}/{kind.name}"
    return b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _optional_names(kind: Kind) -> Object:
    names = {"shortNames": list(kind.short_names), "categories": list(kind.categories)}
    return {key: value for key, value in names.items() if value}


def _resources(kind: Kind) -> list[Object]:
    entry: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.name,
    }
    entry |= {"verbs": list(kind.verbs), **_optional_names(kind)}
    if "create" in kind.verbs and kind.stored:
        entry["storageVersionHash"] = _storage_hash(kind)
    found = [entry]
    for name in kind.subresources:
        group_name, version, target, verbs = _subresource(kind, name)
        below: Object = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
        if group_name:
            below |= {"group": group_name, "version": version}
        found.append({**below, "kind": target, "verbs": list(verbs)})
    return found


def resource_list(registry: Registry, group_name: str, version: str) -> Object | None:
    """The answer to /api/v1 and /apis/GROUP/VERSION; None if there is no such version."""
    kinds = _groups(registry).get(group_name, {}).get(version)
    if not kinds:
        return None
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if group_name else {}),
        "groupVersion": kinds[0].api_version,
        "resources": [one for kind in kinds for one in _resources(kind)],
    }


def aggregated(registry: Registry, *, core: bool) -> Object:
    """The answer to /api (the core group) or /apis (all others) in the aggregated form."""
    items = []
    for name, versions in _groups(registry).items():
        if (name == "") is core:
            listed = [
                {"version": version, "resources": [_discovered(kind) for kind in kinds], "freshness": "Current"}
                for version, kinds in versions.items()
            ]
            items.append({"metadata": {"name": name} if name else {}, "versions": listed})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _discovered(kind: Kind) -> Object:
    # Of built-in kinds a real server leaves group and version of the answer's kind empty.
    own = {"group": "", "version": "", "kind": kind.name} if kind.built_in else kind.gvk
    entry: Object = {
        "resource": kind.plural,
        "responseKind": own,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        **_optional_names(kind),
    }
    below = []
    for name in kind.subresources:
        group_name, version, target, verbs = _subresource(kind, name)
        answer = {"group": group_name, "version": version, "kind": target}
        if not group_name and target == kind.name:
            answer = own
        below.append({"subresource": name, "responseKind": answer, "verbs": list(verbs)})
    return entry | ({"subresources": below} if below else {})
