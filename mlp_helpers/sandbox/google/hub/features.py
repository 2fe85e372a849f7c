"""What a feature means to the members: whose specs a change touches, and the states that are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.google.hub import errors
from mlp_helpers.sandbox.google.hub.store import HubStore, cluster_of
from mlp_helpers.sandbox.google.resourcemanager.store import ProjectStore

Json = dict[str, Any]

_KEY = re.compile(r"projects/([^/]+)/locations/([^/]+)/memberships/([^/]+)")


class FeatureRules:
    """Specs of members, kept under keys with the project's number, as the service shows them."""

    def __init__(self, store: HubStore, projects: ProjectStore) -> None:
        self._store, self._projects = store, projects

    def key_of(self, membership: str) -> str:
        """The key of a membership in `membershipSpecs` and `membershipStates`."""
        _, project, *rest = membership.split("/")
        return "/".join(["projects", self._projects.get(project).number, *rest])

    def membership_at(self, key: str) -> Json | None:
        """The membership that a key names, by the project's number or id."""
        match = _KEY.fullmatch(key)
        project = self._projects.find(match[1]) if match else None
        if match is None or project is None:
            return None
        return self._store.find(f"projects/{project.id}/locations/{match[2]}/memberships/{match[3]}")

    def with_specs(self, feature: Json, specs: Mapping[str, Any]) -> Json:
        """The feature with the specs that a caller sent: a PATCH changes the keys sent; an empty spec removes one."""
        kept = dict(feature.get("membershipSpecs") or {})
        for key, spec in specs.items():
            membership = self.membership_at(key)
            if membership is None and spec:
                raise errors.invalid_field(f'membership_specs["{key}"]', "membership does not exist")
            stable = self.key_of(membership["name"]) if membership else key
            if spec:
                kept[stable] = {"origin": {"type": "USER"}, **spec}
            else:
                kept.pop(stable, None)
        return _with_map(feature, "membershipSpecs", kept)

    def with_default(self, feature: Json, membership: str) -> Json:
        """The feature with the fleet's default spec for a new member."""
        default = feature.get("fleetDefaultMemberConfig")
        if not default:
            return feature
        specs = feature.get("membershipSpecs") or {}
        spec = {**default, "origin": {"type": "FLEET"}}
        return _with_map(feature, "membershipSpecs", {**specs, self.key_of(membership): spec})

    def without(self, feature: Json, membership: str) -> Json:
        """The feature without a member that is gone."""
        specs = {
            key: spec for key, spec in (feature.get("membershipSpecs") or {}).items() if key != self.key_of(membership)
        }
        return _with_map(feature, "membershipSpecs", specs)

    def sync_specs(self, feature: Mapping[str, Any]) -> dict[str, Json]:
        """The `configmanagement` spec of each cluster that a feature configures."""
        wanted = {}
        for key, spec in (feature.get("membershipSpecs") or {}).items():
            membership = self.membership_at(key)
            if membership and cluster_of(membership) and "configmanagement" in spec:
                wanted[cluster_of(membership)] = spec["configmanagement"]
        return wanted


def _with_map(feature: Json, field: str, value: Json) -> Json:
    """A feature does not show a map that is empty."""
    rest = {key: kept for key, kept in feature.items() if key != field}
    return {**rest, field: value} if value else rest


def member_state(key: str, spec: Json, seen: Mapping[str, Any]) -> Json:
    """The state of a member in `configmanagement`, as gcloud's `config-management status` reads it."""
    shown: Json = {"clusterName": key.rpartition("/")[2], "membershipSpec": spec.get("configmanagement", {}), **seen}
    problems = (shown.get("configSyncState") or {}).get("errors") or []
    code = "ERROR" if problems else "OK"
    return {"state": {"code": code}, "configmanagement": shown}
