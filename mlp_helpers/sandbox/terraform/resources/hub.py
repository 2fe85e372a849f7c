"""Fleets: google_gke_hub_membership, _membership_binding, _scope, _namespace, _feature and _feature_membership."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.terraform.api import Json, Services, accepted
from mlp_helpers.sandbox.terraform.bodies import Shape, from_body, to_body
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.base import parse_identifier
from mlp_helpers.sandbox.terraform.resources.rest import RestResource
from mlp_helpers.sandbox.terraform.rules import Rules, matches, names_the_same, one_of
from mlp_helpers.sandbox.terraform.values import Values

_CLUSTER_PREFIX = "//container.googleapis.com/"
_FEATURES = (
    "configmanagement", "policycontroller", "servicemesh", "multiclusteringress", "multiclusterservicediscovery",
    "fleetobservability",
    "clusterupgrade", "rbacrolebindingactuation", "workloadidentity", "appdevexperience", "dataplanev2",
    "workloadcertificate",
)  # fmt: skip


class HubResource(RestResource):
    """What the fleet's objects share."""

    service = "/gkehub/v1"
    uses_mask = True


class Membership(HubResource):
    """google_gke_hub_membership."""

    collection = "projects/{project}/locations/{location}/memberships"
    name_argument = "membership_id"
    name_parameter = "membershipId"
    shape = Shape(
        local=frozenset({"project", "location", "membership_id"}),
        to_api={
            "endpoint.gke_cluster.resource_link": lambda link: link if link.startswith("//") else _CLUSTER_PREFIX + link
        },
    )
    rules = Rules(
        immutable=frozenset({"membership_id", "location", "project", "endpoint", "authority"}),
        defaults={"location": "global"},
        from_provider=("project",),
        equal={
            "endpoint.gke_cluster.resource_link": lambda left, right: (
                left.removeprefix(_CLUSTER_PREFIX) == right.removeprefix(_CLUSTER_PREFIX)
            ),
            "authority.issuer": names_the_same,
        },
        checks=(
            matches(
                "membership_id",
                r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]|[a-z0-9]",
                "must have at most 63 lower-case letters, digits and hyphens",
            ),
            matches("authority.issuer", r"https://.+|\$\{.*", "must begin with https://"),
        ),
    )

    def state(self, body: Json, seed: Values) -> Values:
        state = super().state(body, seed)
        for served, written in zip(_links(state), _links(seed), strict=False):
            if _CLUSTER_PREFIX + str(written["resource_link"]) == served["resource_link"]:
                served["resource_link"] = written["resource_link"]
        return state


def _links(values: Values) -> list[Values]:
    return [cluster for endpoint in values.get("endpoint") or [] for cluster in endpoint.get("gke_cluster") or []]


class MembershipBinding(HubResource):
    """google_gke_hub_membership_binding."""

    collection = "projects/{project}/locations/{location}/memberships/{membership_id}/bindings"
    name_argument = "membership_binding_id"
    name_parameter = "membershipBindingId"
    shape = Shape(local=frozenset({"project", "location", "membership_id", "membership_binding_id"}))
    rules = Rules(
        immutable=frozenset({"membership_binding_id", "membership_id", "location", "project"}),
        from_provider=("project",),
        renewed=frozenset({"update_time"}),
        equal={"scope": names_the_same},
    )

    def state(self, body: Json, seed: Values) -> Values:
        return super().state(body, seed) | {"state": _state(body)}


class Scope(HubResource):
    """google_gke_hub_scope."""

    collection = "projects/{project}/locations/global/scopes"
    name_argument = "scope_id"
    name_parameter = "scopeId"
    shape = Shape(local=frozenset({"project", "scope_id"}))
    rules = Rules(
        immutable=frozenset({"scope_id", "project"}), from_provider=("project",), renewed=frozenset({"update_time"})
    )

    def state(self, body: Json, seed: Values) -> Values:
        return super().state(body, seed) | {"state": _state(body)}


class Namespace(HubResource):
    """google_gke_hub_namespace."""

    collection = "projects/{project}/locations/global/scopes/{scope_id}/namespaces"
    name_argument = "scope_namespace_id"
    name_parameter = "scopeNamespaceId"
    shape = Shape(local=frozenset({"project", "scope_id", "scope_namespace_id"}))
    rules = Rules(
        immutable=frozenset({"scope_namespace_id", "scope_id", "scope", "project"}),
        from_provider=("project",),
        renewed=frozenset({"update_time"}),
        equal={"scope": names_the_same},
    )

    def state(self, body: Json, seed: Values) -> Values:
        return super().state(body, seed) | {"state": _state(body)}


def _state(body: Json) -> list[Json]:
    code = (body.get("state") or {}).get("code")
    return [{"code": code}] if code else []


_SYNC = "configmanagement.config_sync"
_FEATURE_SYNC = f"fleet_default_member_config.{_SYNC}"


class Feature(HubResource):
    """google_gke_hub_feature: one a project; the fleet's defaults for its members live in it."""

    collection = "projects/{project}/locations/{location}/features"
    name_parameter = "featureId"
    shape = Shape(local=frozenset({"project", "location", "name"}))
    rules = Rules(
        immutable=frozenset({"name", "location", "project"}),
        from_provider=("project",),
        renewed=frozenset({"update_time"}),
        checks=(
            one_of("name", *_FEATURES),
            one_of(f"{_FEATURE_SYNC}.source_format", "hierarchy", "unstructured"),
            one_of(
                "fleet_default_member_config.configmanagement.management",
                "MANAGEMENT_AUTOMATIC",
                "MANAGEMENT_MANUAL",
                "MANAGEMENT_UNSPECIFIED",
            ),
            one_of(
                "fleet_default_member_config.policycontroller.policy_controller_hub_config.install_spec",
                "INSTALL_SPEC_NOT_INSTALLED",
                "INSTALL_SPEC_ENABLED",
                "INSTALL_SPEC_SUSPENDED",
                "INSTALL_SPEC_DETACHED",
            ),
        ),
    )

    def state(self, body: Json, seed: Values) -> Values:
        resource_state = body.get("resourceState") or {}
        states = [
            {"state": resource_state.get("state", ""), "has_resources": resource_state.get("hasResources", False)}
        ]
        inner = (body.get("state") or {}).get("state") or {}
        feature = {
            "state": [
                {
                    "code": inner.get("code", ""),
                    "description": inner.get("description", ""),
                    "update_time": inner.get("updateTime", ""),
                }
            ]
        }
        return super().state(body, seed) | {
            "resource_state": states if resource_state else [],
            "state": [feature] if inner else [],
        }


class FeatureMembership(HubResource):
    """google_gke_hub_feature_membership: a member's part of a feature, kept in the feature's membershipSpecs."""

    collection = "projects/{project}/locations/{location}/features"
    name_argument = "feature"
    import_formats = (
        "projects/{project}/locations/{location}/features/{feature}/membershipId/{membership}",
        "{project}/{location}/{feature}/{membership}",
    )
    shape = Shape(local=frozenset({"project", "location", "feature", "membership", "membership_location"}))
    rules = Rules(
        immutable=frozenset({"feature", "location", "membership", "membership_location", "project"}),
        from_provider=("project",),
        defaults={f"{_SYNC}.source_format": "hierarchy"},
        served=frozenset({"policycontroller.policy_controller_hub_config.policy_content"}),
        checks=(
            one_of(f"{_SYNC}.source_format", "hierarchy", "unstructured", ""),
            one_of(
                "configmanagement.management", "MANAGEMENT_AUTOMATIC", "MANAGEMENT_MANUAL", "MANAGEMENT_UNSPECIFIED"
            ),
            one_of("mesh.management", "MANAGEMENT_AUTOMATIC", "MANAGEMENT_MANUAL", "MANAGEMENT_UNSPECIFIED"),
        ),
    )

    def identity(self, values: Values) -> Values:
        return {"id": f"{self.relative_name(values)}/membershipId/{values['membership']}"}

    def create(self, services: Services, values: Values) -> Values:
        with services.lock(self.relative_name(values)):
            feature = services.google.find(self.url(values))
            if feature is None:
                raise ProviderError(
                    f"Error creating FeatureMembership: there is no feature {values['feature']}",
                    "The feature belongs to the project: create google_gke_hub_feature first.",
                )
            operation = self._set(services, feature, values, self._spec(values))
            with accepted():
                self.wait(services, operation, values, "create")
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        feature = services.google.find(self.url(state))
        spec = next((spec for name, spec in _specs(feature).items() if _is_of(name, state)), None)
        if not spec:
            return None
        return from_body(self.block, self.shape, spec, state) | {"id": state["id"]}

    def update(self, services: Services, prior: Values, values: Values) -> None:
        self._put(services, values, self._spec(values), "update")

    def delete(self, services: Services, state: Values) -> None:
        try:
            self._put(services, state, {}, "delete")
        except ApiError as error:
            if error.status != 404:
                raise

    def imported(self, identifier: str, provider: Any) -> Values:
        return parse_identifier(identifier, provider, *self.import_formats)

    def _spec(self, values: Values) -> Json:
        return to_body(self.block, self.shape, values)

    def _put(self, services: Services, values: Values, spec: Json, action: str) -> None:
        with services.lock(self.relative_name(values)):
            feature = services.google.call("GET", self.url(values))
            self.wait(services, self._set(services, feature, values, spec), values, action)

    def _set(self, services: Services, feature: Json, values: Values, spec: Json) -> Json:
        """Send this member's part only: PATCH changes the keys of a map that are sent; an empty part removes one."""
        key = next((name for name in _specs(feature) if _is_of(name, values)), None) or self.fill(
            "projects/{project}/locations/{membership_location}/memberships/{membership}",
            {**values, "membership_location": values.get("membership_location") or "global"},
        )
        return services.google.call(
            "PATCH", self.url(values), {"membershipSpecs": {key: spec}}, updateMask="membershipSpecs"
        )


def _specs(feature: Json | None) -> dict[str, Json]:
    return dict((feature or {}).get("membershipSpecs") or {})


def _is_of(name: str, values: Values) -> bool:
    """Whether a key of membershipSpecs names the member; the project may stand there by number."""
    location = values.get("membership_location") or "global"
    return name.split("/")[2:] == ["locations", location, "memberships", str(values["membership"])]
