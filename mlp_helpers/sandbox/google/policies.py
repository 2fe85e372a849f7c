"""IAM policies: which members a caller is, which permissions a role holds, and how a policy is replaced.

Roles are Google's predefined ones as far as the platform grants them; each is a list of permission patterns, since the
sandbox only ever asks "does this role hold that permission". A role that is not in the table is refused when it is
granted, so that a grant never silently does nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from mlp_helpers.sandbox.google.errors import GoogleError, invalid_argument
from mlp_helpers.sandbox.identities import Identity

Policy = dict[str, Any]

_READ = ("*.get", "*.list", "*.getIamPolicy", "*.aggregatedList")
_OBJECT_READ = ("storage.objects.get", "storage.objects.list", "storage.folders.get", "storage.managedFolders.list")
_OBJECT_WRITE = (
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.update",
    "storage.multipartUploads.*",
)

ROLES: Mapping[str, tuple[str, ...]] = {
    "roles/owner": ("*",),
    "roles/editor": ("*.get", "*.list", "*.create", "*.update", "*.delete", "*.use", "*.enable", "gkehub.gateway.*"),
    "roles/viewer": _READ,
    "roles/browser": ("resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy"),
    "roles/storage.admin": ("storage.*",),
    "roles/storage.objectAdmin": ("storage.objects.*", "storage.multipartUploads.*", "storage.managedFolders.*"),
    "roles/storage.objectUser": (*_OBJECT_READ, *_OBJECT_WRITE),
    "roles/storage.objectViewer": _OBJECT_READ,
    "roles/storage.objectCreator": ("storage.objects.create", "storage.multipartUploads.*"),
    "roles/storage.bucketViewer": ("storage.buckets.get", "storage.buckets.list"),
    "roles/storage.legacyBucketOwner": (
        "storage.buckets.*",
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.list",
    ),
    "roles/storage.legacyBucketWriter": (
        "storage.buckets.get",
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.list",
    ),
    "roles/storage.legacyBucketReader": ("storage.buckets.get", "storage.objects.list"),
    "roles/storage.legacyObjectOwner": ("storage.objects.get", "storage.objects.update", "storage.objects.*IamPolicy"),
    "roles/storage.legacyObjectReader": ("storage.objects.get",),
    "roles/container.admin": ("container.*", "resourcemanager.projects.get"),
    "roles/container.clusterAdmin": ("container.clusters.*", "container.operations.*", "resourcemanager.projects.get"),
    "roles/container.developer": (
        "container.clusters.get",
        "container.clusters.list",
        "container.clusters.connect",
        "container.pods.*",
        "container.services.*",
    ),
    "roles/container.viewer": ("container.*.get", "container.*.list", "container.clusters.connect"),
    "roles/container.clusterViewer": (
        "container.clusters.get",
        "container.clusters.list",
        "container.clusters.connect",
    ),
    "roles/container.defaultNodeServiceAccount": (
        "logging.logEntries.create",
        "monitoring.timeSeries.*",
        "autoscaling.sites.*",
    ),
    "roles/container.nodeServiceAccount": (
        "logging.logEntries.create",
        "monitoring.timeSeries.*",
        "autoscaling.sites.*",
    ),
    "roles/gkehub.admin": ("gkehub.*", "resourcemanager.projects.get"),
    "roles/gkehub.editor": ("gkehub.memberships.*", "gkehub.features.*", "gkehub.operations.*"),
    "roles/gkehub.viewer": ("gkehub.*.get", "gkehub.*.list", "resourcemanager.projects.get"),
    "roles/gkehub.gatewayAdmin": ("gkehub.gateway.*",),
    "roles/gkehub.gatewayEditor": ("gkehub.gateway.*",),
    "roles/gkehub.gatewayReader": ("gkehub.gateway.get", "gkehub.gateway.generateCredentials"),
    "roles/serviceusage.serviceUsageAdmin": ("serviceusage.*",),
    "roles/serviceusage.serviceUsageConsumer": (
        "serviceusage.services.get",
        "serviceusage.services.list",
        "serviceusage.services.use",
    ),
    "roles/serviceusage.serviceUsageViewer": ("serviceusage.services.get", "serviceusage.services.list"),
    "roles/resourcemanager.projectIamAdmin": ("resourcemanager.projects.get", "resourcemanager.projects.*IamPolicy"),
    "roles/iam.serviceAccountAdmin": ("iam.serviceAccounts.*",),
    "roles/iam.serviceAccountCreator": (
        "iam.serviceAccounts.create",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
    ),
    "roles/iam.serviceAccountUser": (
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
    ),
    "roles/iam.serviceAccountTokenCreator": ("iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.signBlob"),
    "roles/iam.workloadIdentityUser": ("iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.get"),
    "roles/compute.admin": ("compute.*",),
    "roles/compute.networkAdmin": (
        "compute.networks.*",
        "compute.subnetworks.*",
        "compute.routers.*",
        "compute.addresses.*",
        "compute.firewalls.get",
        "compute.firewalls.list",
        "compute.regions.*",
        "compute.zones.*",
        "compute.globalOperations.*",
        "compute.regionOperations.*",
    ),
    "roles/compute.networkUser": (
        "compute.networks.use",
        "compute.subnetworks.use",
        "compute.networks.get",
        "compute.subnetworks.get",
    ),
    "roles/compute.securityAdmin": ("compute.firewalls.*",),
    "roles/compute.viewer": ("compute.*.get", "compute.*.list", "compute.*.aggregatedList"),
    # Granted to nodes and workloads; nothing in the sandbox asks for what they hold.
    "roles/artifactregistry.reader": ("artifactregistry.*.get", "artifactregistry.*.list"),
    "roles/artifactregistry.writer": ("artifactregistry.*",),
    "roles/logging.logWriter": ("logging.logEntries.create",),
    "roles/logging.viewer": ("logging.*.list", "logging.*.get"),
    "roles/monitoring.metricWriter": ("monitoring.timeSeries.create",),
    "roles/monitoring.viewer": ("monitoring.*.list", "monitoring.*.get"),
    "roles/stackdriver.resourceMetadata.writer": ("stackdriver.resourceMetadata.write",),
    "roles/secretmanager.secretAccessor": ("secretmanager.versions.access",),
    "roles/autoscaling.metricsWriter": ("autoscaling.sites.*",),
}

_MEMBER = re.compile(
    r"(user|serviceAccount|group|domain|projectOwner|projectEditor|projectViewer|deleted):.+|principal(Set)?://.+"
)
_ANYONE = {"allUsers", "allAuthenticatedUsers"}
_SUBJECT = re.compile(
    r"principal://(?P<pool>.+/workloadIdentityPools/[^/]+)/subject/ns/(?P<namespace>[^/]+)/sa/[^/]+\Z"
)


def members_of(identity: Identity) -> set[str]:
    """Every way in which a policy can name an identity."""
    members = _ANYONE | {f"group:{group}" for group in identity.groups}
    if subject := _SUBJECT.match(identity.email):
        sets = f"principalSet://{subject['pool']}"
        return members | {identity.email, f"{sets}/namespace/{subject['namespace']}", f"{sets}/*"}
    kind = "serviceAccount" if identity.email.endswith(".gserviceaccount.com") else "user"
    return members | {f"{kind}:{identity.email}", f"domain:{identity.email.rpartition('@')[2]}"}


def role_holds(role: str, permission: str) -> bool:
    """Whether a predefined role holds a permission."""
    return any(fnmatchcase(permission, pattern) for pattern in ROLES.get(role, ()))


def allows(identity: Identity, permission: str, policies: Iterable[Policy]) -> bool:
    """Whether any of the policies gives the permission to the caller; the sandbox's admins have all."""
    if identity.is_admin:
        return True
    members = members_of(identity)
    return any(
        role_holds(binding["role"], permission) and not members.isdisjoint(binding.get("members", ()))
        for policy in policies
        for binding in policy.get("bindings", ())
    )


def with_etag(policy: Mapping[str, Any]) -> Policy:
    """The policy with the etag that belongs to its content."""
    content = {key: value for key, value in policy.items() if key != "etag"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return {**content, "etag": base64.b64encode(digest[:8]).decode()}


def replaced(current: Policy, wanted: Mapping[str, Any], *, stale: GoogleError) -> Policy:
    """The policy that results from a setIamPolicy.

    Args:
        current: Policy now.
        wanted: Policy sent; an etag in it must be the current one.
        stale: Raised when the etag belongs to an older policy: someone else wrote in between.
    """
    if wanted.get("etag") and wanted["etag"] != with_etag(current)["etag"]:
        raise stale
    bindings = []
    for binding in wanted.get("bindings", ()):
        _check_binding(binding)
        if members := sorted(set(binding.get("members", ()))):
            bindings.append({"role": binding["role"], "members": members})
    kept = {key: value for key, value in current.items() if key not in ("bindings", "etag")}
    return with_etag({**kept, "version": 1, "bindings": _merged(bindings)})


def _merged(bindings: list[Policy]) -> list[Policy]:
    by_role: dict[str, set[str]] = {}
    for binding in bindings:
        by_role.setdefault(binding["role"], set()).update(binding["members"])
    return [{"role": role, "members": sorted(members)} for role, members in sorted(by_role.items())]


def _check_binding(binding: Mapping[str, Any]) -> None:
    role = str(binding.get("role", ""))
    if role not in ROLES:
        known = re.match(r"roles/|(projects|organizations)/[^/]+/roles/", role)
        sentence = f"Role {role} is not supported for this resource."
        raise invalid_argument(sentence + (" (not emulated in the sandbox: this role)" if known else ""))
    if binding.get("condition"):
        raise invalid_argument("not emulated in the sandbox: conditions in IAM policies")
    for member in binding.get("members", ()):
        if member not in _ANYONE and not _MEMBER.fullmatch(member):
            raise invalid_argument(f'Invalid argument: Member "{member}" is not of a known type.')
