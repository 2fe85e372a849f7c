"""What admission judges, and where it looks things up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlp_helpers.sandbox.kubernetes.errors import ApiError, forbidden
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.rbac import User

__all__ = ["AdmissionRequest", "Storage", "refusal"]

Object = dict[str, Any]


@dataclass
class AdmissionRequest:
    """One write.

    Args:
        operation: CREATE, UPDATE or DELETE.
        kind: Of the object.
        namespace: Empty for cluster-scoped kinds.
        name: Of the object.
        obj: The object as it is to be; None for a deletion.
        old: The object as it is; None for a creation.
        user: Who asks.
        subresource: Through which subresource, or empty.
        dry_run: Whether nothing will be kept.
    """

    operation: str
    kind: Kind
    namespace: str
    name: str
    obj: Object | None
    old: Object | None
    user: User
    subresource: str = ""
    dry_run: bool = False

    def creates(self, *resources: str) -> bool:
        """Whether a new object of one of these resources is to come into being."""
        return self.operation == "CREATE" and not self.subresource and self.kind.resource in resources


class Storage(Protocol):
    """The cluster's objects; `store.Store` is one."""

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        ...

    def list(self, resource: str, namespace: str = "") -> list[Object]:
        """Objects in the order of namespace and name."""
        ...

    def write(self, change_type: str, resource: str, thing: Object, previous: Object | None = None) -> Object:
        """Keep an object under the next version."""
        ...


def refusal(request: AdmissionRequest, why: str, *, causes: Sequence[Object] = ()) -> ApiError:
    """The 403 of a write that the cluster's rules do not allow."""
    return forbidden(request.kind.resource, request.name, why, causes=causes)
