"""Which types the sandbox emulates, and the facts about them that the bindings lost (from the public documentation)."""

from __future__ import annotations

from typing import Any

RESOURCES = {
    "google": (
        "google_compute_firewall",
        "google_compute_network",
        "google_compute_router",
        "google_compute_router_nat",
        "google_compute_subnetwork",
        "google_container_cluster",
        "google_container_node_pool",
        "google_gke_hub_feature",
        "google_gke_hub_feature_membership",
        "google_gke_hub_membership",
        "google_gke_hub_membership_binding",
        "google_gke_hub_namespace",
        "google_gke_hub_scope",
        "google_project_iam_member",
        "google_project_service",
        "google_service_account",
        "google_service_account_iam_member",
        "google_storage_bucket",
        "google_storage_bucket_iam_member",
    ),
    "github": (
        "github_branch",
        "github_branch_default",
        "github_branch_protection_v3",
        "github_repository",
        "github_repository_ruleset",
    ),
}
DATA_SOURCES = {
    "google": ("google_client_config", "google_project"),
    "github": ("github_repository",),
}

# Values that Terraform must not print.
SENSITIVE = {
    "google_container_cluster": ("master_auth.client_key",),
    "google_client_config": ("access_token",),
}
SENSITIVE_PROVIDER = {"hashicorp/google": ("access_token", "credentials"), "integrations/github": ("token",)}

# Blocks that may be given more than once, but not without end.
MAX_ITEMS = {
    "google_storage_bucket": {"lifecycle_rule": 100},
}


def add_lost_facts(schemas: dict[str, Any]) -> None:
    """Put the lost facts into a provider's schemas."""
    types = schemas["resource_schemas"] | schemas["data_source_schemas"]
    for name, paths in SENSITIVE.items():
        if name in types:
            for path in paths:
                _mark_sensitive(types[name]["block"], path)
    for attribute in SENSITIVE_PROVIDER[schemas["source"]]:
        _mark_sensitive(schemas["provider"]["block"], attribute)
    for name, blocks in MAX_ITEMS.items():
        if name in types:
            for block, limit in blocks.items():
                types[name]["block"]["block_types"][block]["max_items"] = limit


def _mark_sensitive(block: dict[str, Any], path: str) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        block = block["block_types"][parent]["block"]
    block["attributes"][name]["sensitive"] = True
