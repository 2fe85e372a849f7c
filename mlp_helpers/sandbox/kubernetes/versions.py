"""One stored object in several versions: custom kinds share their storage, and so do the two groups of events."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.kubernetes.kinds import Kind

__all__ = ["from_request", "to_request"]

Object = dict[str, Any]

# events.k8s.io/v1 and the core v1 it is stored in.
_EVENT_FIELDS = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_FROM_CORE = {old: new for new, old in _EVENT_FIELDS.items()}


def to_request(kind: Kind, thing: Object) -> Object:
    """A stored object in the version that was asked for; the stored one is not changed."""
    if kind.group == "events.k8s.io":
        renamed = {_FROM_CORE.get(key, key): value for key, value in thing.items()}
        return {**renamed, "apiVersion": kind.api_version}
    return thing if thing.get("apiVersion") == kind.api_version else {**thing, "apiVersion": kind.api_version}


def from_request(kind: Kind, thing: Object) -> Object:
    """An object that a client wrote, in the version in which it is kept."""
    thing = {**thing, "apiVersion": kind.storage_api_version, "kind": kind.name}
    if kind.group == "events.k8s.io":
        renamed = {_EVENT_FIELDS.get(key, key): value for key, value in thing.items()}
        return {**renamed, "apiVersion": "v1"}
    return thing
