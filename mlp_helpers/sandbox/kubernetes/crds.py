"""CustomResourceDefinitions: served as soon as they are written, gone with their objects."""

from __future__ import annotations

import copy
from typing import Any

from mlp_helpers.sandbox.kubernetes import merge
from mlp_helpers.sandbox.kubernetes.errors import ApiError, cause
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry
from mlp_helpers.sandbox.kubernetes.merge import Writer
from mlp_helpers.sandbox.kubernetes.store import Store

__all__ = ["API_VERSION", "RESOURCE", "establish", "missing_version"]

Object = dict[str, Any]

RESOURCE = "customresourcedefinitions.apiextensions.k8s.io"
API_VERSION = "apiextensions.k8s.io/v1"
_CONDITIONS = (
    ("NamesAccepted", "NoConflicts", "no conflicts found"),
    ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
)


def establish(store: Store, registry: Registry, crd: Object, now: str) -> None:
    """Serve the kinds of a new definition and say so in its status.

    A real server takes a second for this; its answer to the creation therefore has no conditions yet.
    """
    kind = registry.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    served = copy.deepcopy(crd)
    names = served["spec"]["names"]
    served["status"] |= {
        "conditions": [
            {"type": sort, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}
            for sort, reason, message in _CONDITIONS
        ],
        "acceptedNames": copy.deepcopy(names),
    }
    if kind is not None:
        merge.record_update(crd, served, kind.schema, Writer("kube-apiserver", API_VERSION, now, "status"))
    registry.register(served)
    store.write("MODIFIED", RESOURCE, served, crd)


def missing_version(kind: Kind, name: str) -> ApiError:
    """The 422 of an update of a custom resource that does not say from which version it was made."""
    why = cause("FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
    message = f'{kind.resource} "{name}" is invalid: {why["field"]}: {why["message"]}'
    details = {"name": name, "group": kind.group, "kind": kind.plural, "causes": [why]}
    return ApiError(422, "Invalid", message, details=details)
