"""What the spec of a RootSync or RepoSync must keep (KNV1061), its secret included. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.names import CONTROLLER_NAMESPACE, SyncId

LONGEST_ROOT_NAME = 38
LONGEST_NAMESPACE_AND_NAME = 45
SECRET_KEYS = {"token": ("token", "username"), "ssh": ("ssh",), "cookiefile": ("cookie_file",)}
_SOURCES = {"git": ("repo",), "helm": ("repo", "chart"), "oci": ("image",)}


def spec_fault(sync: SyncId, spec: Mapping[str, Any]) -> str:
    """What is wrong with a sync's spec, in one sentence; empty if nothing is."""
    return _name_fault(sync) or _source_fault(sync, spec)


def _name_fault(sync: SyncId) -> str:
    if sync.is_root:
        if sync.namespace != CONTROLLER_NAMESPACE:
            return f"RootSync objects are only allowed in the {CONTROLLER_NAMESPACE} namespace"
        if len(sync.name) > LONGEST_ROOT_NAME:
            return f'RootSync name "{sync.name}" is too long: at most {LONGEST_ROOT_NAME} characters'
        return ""
    if sync.namespace == CONTROLLER_NAMESPACE:
        return f"RepoSync objects are not allowed in the {CONTROLLER_NAMESPACE} namespace"
    if len(sync.namespace) + len(sync.name) > LONGEST_NAMESPACE_AND_NAME:
        return (
            f'RepoSync namespace "{sync.namespace}" and name "{sync.name}" are too long: together at most '
            f"{LONGEST_NAMESPACE_AND_NAME} characters"
        )
    return ""


def _source_fault(sync: SyncId, spec: Mapping[str, Any]) -> str:
    kind = spec.get("sourceType") or "git"
    source = spec.get(kind)
    if not source:
        return f"{sync.kind}s must specify spec.{kind} when spec.sourceType is {kind}"
    missing = next((field for field in _SOURCES[kind] if not source.get(field)), "")
    if missing:
        return f"{sync.kind}s must specify spec.{kind}.{missing}"
    if not sync.is_root and spec.get("sourceFormat") == "hierarchy":
        return "RepoSyncs must use the source format unstructured"
    overrides = spec.get("override") or {}
    if not sync.is_root and ("roleRefs" in overrides or "namespaceStrategy" in overrides):
        return "spec.override.roleRefs and spec.override.namespaceStrategy are for RootSyncs only"
    auth, secret = source.get("auth", "none"), (source.get("secretRef") or {}).get("name", "")
    if auth in SECRET_KEYS and not secret:
        return f'{sync.kind}s must specify spec.{kind}.secretRef.name when spec.{kind}.auth is "{auth}"'
    if auth not in SECRET_KEYS and auth != "githubapp" and secret:
        return f'{sync.kind}s must not specify spec.{kind}.secretRef when spec.{kind}.auth is "{auth}"'
    return ""


def secret_of(spec: Mapping[str, Any]) -> tuple[str, str]:
    """The kind of authentication and the name of the Secret that it takes; empty if it takes none."""
    source = spec.get(spec.get("sourceType") or "git") or {}
    auth = source.get("auth", "none")
    return auth, (source.get("secretRef") or {}).get("name", "") if auth in SECRET_KEYS else ""


def secret_fault(auth: str, name: str, secret: Mapping[str, Any] | None) -> str:
    """What is wrong with the Secret of a sync, in one sentence; empty if nothing is."""
    if secret is None:
        return f"Secret {name} not found: create one to allow client authentication"
    for key in SECRET_KEYS[auth]:
        if not (secret.get("data") or {}).get(key):
            return f'git secretType was set as "{auth}" but {key} key is not present in {name} secret'
    return ""
