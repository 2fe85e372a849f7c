"""Namespaces: nothing is created in one that is missing or ending, and some may not be deleted."""

from __future__ import annotations

from mlp_helpers.sandbox.kubernetes.admission.request import AdmissionRequest, Storage, refusal
from mlp_helpers.sandbox.kubernetes.errors import cause, not_found

__all__ = ["check_namespace", "check_protected"]

_PROTECTED = ("default", "kube-node-lease", "kube-public", "kube-system")


def check_namespace(request: AdmissionRequest, storage: Storage) -> None:
    """Refuse a creation in a namespace that is not there, or is about to go.

    Raises:
        ApiError: 404 or 403.
    """
    if request.operation != "CREATE" or not request.kind.namespaced:
        return
    namespace = storage.get("namespaces", "", request.namespace)
    if namespace is None:
        raise not_found("namespaces", request.namespace)
    if namespace["metadata"].get("deletionTimestamp"):
        name = request.namespace
        why = f"unable to create new content in namespace {name} because it is being terminated"
        message = f"namespace {name} is being terminated"
        raise refusal(request, why, causes=[cause("NamespaceTerminating", "metadata.namespace", message)])


def check_protected(request: AdmissionRequest) -> None:
    """Refuse to delete a namespace that the cluster needs.

    Raises:
        ApiError: 403.
    """
    if request.operation == "DELETE" and request.kind.resource == "namespaces" and request.name in _PROTECTED:
        raise refusal(request, "this namespace may not be deleted")
