"""The emulated types, one small module a service; a module is imported when one of its types is first used."""

from __future__ import annotations

import importlib
from functools import cache

from mlp_helpers.sandbox.terraform.errors import NotEmulatedError
from mlp_helpers.sandbox.terraform.resources.base import DataSource, Resource
from mlp_helpers.sandbox.terraform.schemas import Block

# Where each type lives: module and class.
_RESOURCES = {
    "github_branch": "branches:Branch",
    "github_branch_default": "branches:BranchDefault",
    "github_branch_protection_v3": "branches:BranchProtection",
    "github_repository": "repositories:Repository",
    "github_repository_ruleset": "rulesets:RepositoryRuleset",
    "google_compute_firewall": "compute:Firewall",
    "google_compute_network": "compute:Network",
    "google_compute_router": "compute:Router",
    "google_compute_router_nat": "compute:RouterNat",
    "google_compute_subnetwork": "compute:Subnetwork",
    "google_container_cluster": "cluster:Cluster",
    "google_container_node_pool": "node_pool:NodePool",
    "google_gke_hub_feature": "hub:Feature",
    "google_gke_hub_feature_membership": "hub:FeatureMembership",
    "google_gke_hub_membership": "hub:Membership",
    "google_gke_hub_membership_binding": "hub:MembershipBinding",
    "google_gke_hub_namespace": "hub:Namespace",
    "google_gke_hub_scope": "hub:Scope",
    "google_project_iam_member": "iam:ProjectIamMember",
    "google_project_service": "project:ProjectService",
    "google_service_account": "iam:ServiceAccount",
    "google_service_account_iam_member": "iam:ServiceAccountIamMember",
    "google_storage_bucket": "storage:Bucket",
    "google_storage_bucket_iam_member": "iam:BucketIamMember",
}
_DATA_SOURCES = {
    "github_repository": "repositories:RepositoryData",
    "google_client_config": "project:ClientConfig",
    "google_project": "project:ProjectData",
}


def resource(type_name: str, block: Block) -> Resource:
    """The resource of a type.

    Raises:
        NotEmulatedError: The sandbox has no such type.
    """
    if type_name not in _RESOURCES:
        raise NotEmulatedError(type_name)
    made = _class(_RESOURCES[type_name])(block)
    assert isinstance(made, Resource)
    return made


def data_source(type_name: str, block: Block) -> DataSource:
    """The data source of a type.

    Raises:
        NotEmulatedError: The sandbox has no such type.
    """
    if type_name not in _DATA_SOURCES:
        raise NotEmulatedError(f"data {type_name}")
    made = _class(_DATA_SOURCES[type_name])(block)
    assert isinstance(made, DataSource)
    return made


@cache
def _class(place: str) -> type[Resource] | type[DataSource]:
    module, name = place.split(":")
    found: type[Resource] | type[DataSource] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return found
