"""Memberships, features and nested objects of the fleet; no HTTP."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from mlp_helpers.sandbox.google.compute.locations import region_of
from mlp_helpers.sandbox.google.compute.rules import relative
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.hub import errors
from mlp_helpers.sandbox.google.operations import moment

Json = dict[str, Any]

CLUSTER_LINK = "//container.googleapis.com/"

FEATURE_APIS: Mapping[str, str] = {
    "appdevexperience": "",
    "cloudbuild": "",
    "clusterupgrade": "",
    "configmanagement": "anthosconfigmanagement.googleapis.com",
    "dataplanev2": "",
    "fleetobservability": "",
    "identityservice": "",
    "multiclusteringress": "multiclusteringress.googleapis.com",
    "multiclusterservicediscovery": "",
    "policycontroller": "anthospolicycontroller.googleapis.com",
    "rbacrolebindingactuation": "",
    "servicemesh": "mesh.googleapis.com",
    "workloadcertificate": "",
    "workloadidentity": "",
}
"""The features, and the API that a project must have enabled for each."""

NESTED: Mapping[str, tuple[str, str]] = {
    "scopes": ("scopeId", "Scope"),
    "namespaces": ("scopeNamespaceId", "Namespace"),
    "rbacrolebindings": ("rbacrolebindingId", "RBACRoleBinding"),
    "bindings": ("membershipBindingId", "MembershipBinding"),
}
"""Objects of team access: parameter with the new id, and message. They are kept and read back, no more."""

_ID = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_COLLECTION = "hub"


class HubStore:
    """The fleet's objects by name, such as `projects/P/locations/L/memberships/M` (P is the project's id)."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def find(self, name: str) -> Json | None:
        """An object, or None."""
        return self._documents.get(_COLLECTION, name)

    def get(self, name: str) -> Json:
        """An object, or the service's refusal."""
        found = self.find(name)
        if found is None:
            raise errors.not_found(name)
        return found

    def write(self, name: str, body: Json) -> Json:
        """Write an object."""
        body = {**body, "updateTime": moment(time.time())}
        self._documents.put(_COLLECTION, name, body)
        return body

    def delete(self, name: str) -> None:
        """Forget an object and what is nested in it."""
        for nested, _ in self._documents.list(_COLLECTION, f"{name}/"):
            self._documents.delete(_COLLECTION, nested)
        self._documents.delete(_COLLECTION, name)

    def within(self, parent: str, collection: str) -> list[Json]:
        """The objects of a collection; the location `-` stands for all."""
        scope, _, location = parent.partition("/locations/")
        pattern = re.compile(f"{re.escape(parent)}/{collection}/[^/]+")
        if location == "-":
            pattern = re.compile(f"{re.escape(scope)}/locations/[^/]+/{collection}/[^/]+")
        return [body for name, body in self._documents.list(_COLLECTION, f"{scope}/") if pattern.fullmatch(name)]

    def new_id(self, name: str) -> None:
        """Refuse a name that is taken or malformed."""
        short = name.rpartition("/")[2]
        if not _ID.fullmatch(short):
            raise errors.invalid_field("resource_id", f"'{short}' must match {_ID.pattern}")
        if self.find(name) is not None:
            raise errors.already_exists(name)

    def memberships(self, project: str) -> Iterator[Json]:
        """All memberships of a project."""
        yield from self.within(f"projects/{project}/locations/-", "memberships")

    def membership_of(self, project: str, cluster: str) -> Json | None:
        """The membership of a cluster."""
        return next((found for found in self.memberships(project) if cluster_of(found) == cluster), None)


def cluster_of(membership: Mapping[str, Any]) -> str:
    """The cluster behind a membership, `projects/P/locations/L/clusters/C`; empty for a cluster outside GKE.

    gcloud makes the link from the endpoint that it talks to, so what stands before `projects/` may be anything.
    """
    link = str(((membership.get("endpoint") or {}).get("gkeCluster") or {}).get("resourceLink") or "")
    return relative(link).replace("/zones/", "/locations/")


def new_object(name: str, body: Json) -> Json:
    """An object with what the service adds to all of them."""
    now = moment(time.time())
    return {**body, "name": name, "uid": str(uuid.uuid4()), "createTime": now, "updateTime": now}


def new_membership(name: str, body: Json, cluster: Json) -> Json:
    """A membership of a GKE cluster as it is read back."""
    _, project, _, location, *_ = name.split("/")
    link = cluster_of(body)
    cluster_location = link.split("/")[3]
    if location not in ("global", region_of(cluster_location)):
        region = region_of(cluster_location)
        raise errors.invalid_field("name", f"membership location must be 'global' or '{region}', not '{location}'")
    issuer = f"https://container.googleapis.com/v1/{link}"
    authority = {"issuer": issuer, **(body.get("authority") or {})}
    authority |= {"workloadIdentityPool": f"{project}.svc.id.goog", "identityProvider": issuer}
    if relative(authority["issuer"]).replace("/zones/", "/locations/") != link:
        raise errors.invalid_field(
            "authority.issuer", f"{authority['issuer']} is not the issuer of the cluster, {issuer}"
        )
    made = new_object(name, body)
    made["uniqueId"] = made.pop("uid")
    return {
        **made,
        "authority": authority,
        "endpoint": {
            "gkeCluster": {"resourceLink": f"{CLUSTER_LINK}{link}"},
            "kubernetesMetadata": {
                "kubernetesApiServerVersion": f"v{cluster['currentMasterVersion']}",
                "nodeCount": int(cluster.get("currentNodeCount", 0)),
                "updateTime": made["createTime"],
            },
            "googleManaged": True,
        },
        "externalId": cluster["id"],
        "state": {"code": "READY"},
    }


def new_feature(name: str, body: Json) -> Json:
    """A feature as it is read back."""
    made = new_object(name, body)
    made.pop("uid")
    return {**made, "resourceState": {"state": "ACTIVE"}, "state": {"state": {"code": "OK"}}}


def patched(current: Json, patch: Json, mask: str, allowed: frozenset[str]) -> Json:
    """The object after a PATCH of the fields in a mask."""
    fields = [part.strip() for part in mask.split(",") if part.strip()] or [
        field for field in patch if field in allowed
    ]
    changed = dict(current)
    for field in fields:
        head = _camel(field.partition(".")[0])
        if field != "*" and head not in allowed:
            raise errors.invalid_field("update_mask", f"'{field}' cannot be changed")
        for one in allowed & patch.keys() if field == "*" else [head]:
            changed[one] = patch.get(one)
    return {key: value for key, value in changed.items() if value is not None}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)
