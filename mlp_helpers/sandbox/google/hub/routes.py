"""The fleet's API in its versions v1, v1beta and v1alpha, whose bodies are the same.

Python's client takes an endpoint with a path (`api_endpoint="http://127.0.0.1:P/gkehub"`), and the same routes are
served at the root as well (`api_endpoint="http://127.0.0.1:P"`); the Connect Gateway's client likewise.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlp_helpers.sandbox.google.admission import Admission, ProjectService
from mlp_helpers.sandbox.google.calls import Call, Handler, Json, Route
from mlp_helpers.sandbox.google.clusters import ClusterHost
from mlp_helpers.sandbox.google.container.store import ContainerStore
from mlp_helpers.sandbox.google.hub import errors
from mlp_helpers.sandbox.google.hub.features import FeatureRules, member_state
from mlp_helpers.sandbox.google.hub.operations import HubOperations, shown
from mlp_helpers.sandbox.google.hub.store import (
    FEATURE_APIS,
    NESTED,
    HubStore,
    cluster_of,
    new_feature,
    new_membership,
    new_object,
    patched,
)

VERSIONS = ("v1", "v1beta", "v1alpha")

_MEMBERSHIP_FIELDS = frozenset({"labels", "description", "externalId", "infrastructureType", "endpoint", "authority"})
_FEATURE_FIELDS = frozenset({"labels", "spec", "membershipSpecs", "fleetDefaultMemberConfig", "scopeSpecs"})
_NESTED_FIELDS = frozenset({"labels", "namespaceLabels", "role", "user", "group", "scope"})


class HubService(ProjectService):
    """GKE Hub."""

    name = errors.SERVICE

    def __init__(
        self,
        admission: Admission,
        store: HubStore,
        clusters: ContainerStore,
        operations: HubOperations,
        host: ClusterHost,
    ) -> None:
        super().__init__(admission)
        self._store, self._clusters, self._host = store, clusters, host
        self._operations = operations
        self._rules = FeatureRules(store, admission.projects)

    def routes(self) -> Sequence[Route]:
        return [route for version in VERSIONS for route in self._routes_of(version)]

    def _routes_of(self, version: str) -> list[Route]:
        place = f"/{version}/projects/{{project}}/locations/{{location}}"
        member, feature, operation = (f"{place}/{kind}/{{name}}" for kind in ("memberships", "features", "operations"))
        scope = f"{place}/scopes/{{parent}}"
        return [
            Route("GET", f"{place}/memberships", self._list("memberships"), "gkehub.memberships.list"),
            Route("POST", f"{place}/memberships", self._create_membership, "gkehub.memberships.create"),
            Route("GET", member, self._get("memberships"), "gkehub.memberships.get"),
            Route("PATCH", member, self._patch_membership, "gkehub.memberships.update"),
            Route("DELETE", member, self._delete_membership, "gkehub.memberships.delete"),
            Route("GET", f"{place}/features", self._list_features, "gkehub.features.list"),
            Route("POST", f"{place}/features", self._create_feature, "gkehub.features.create"),
            Route("GET", feature, self._get_feature, "gkehub.features.get"),
            Route("PATCH", feature, self._patch_feature, "gkehub.features.update"),
            Route("DELETE", feature, self._delete_feature, "gkehub.features.delete"),
            Route("GET", f"{place}/operations", self._list_operations, "gkehub.operations.list"),
            Route("GET", operation, self._get_operation, "gkehub.operations.get"),
            *self._nested_routes(place, "scopes", ""),
            *self._nested_routes(scope, "namespaces", "scopes"),
            *self._nested_routes(scope, "rbacrolebindings", "scopes"),
            *self._nested_routes(f"{place}/memberships/{{parent}}", "bindings", "memberships"),
        ]

    def _nested_routes(self, place: str, kind: str, above: str) -> list[Route]:
        one = f"{place}/{kind}/{{name}}"
        return [
            Route("GET", f"{place}/{kind}", self._list(kind, above), f"gkehub.{kind}.list"),
            Route("POST", f"{place}/{kind}", self._create_nested(kind, above), f"gkehub.{kind}.create"),
            Route("GET", one, self._get(kind, above), f"gkehub.{kind}.get"),
            Route("PATCH", one, self._patch_nested(kind, above), f"gkehub.{kind}.update"),
            Route("DELETE", one, self._delete_nested(kind, above), f"gkehub.{kind}.delete"),
        ]

    def _place(self, project: str, location: str, above: str = "", parent: str = "") -> str:
        place = f"projects/{self.admission.projects.get(project).id}/locations/{location}"
        return f"{place}/{above}/{parent}" if above else place

    # Any object

    def _list(self, kind: str, above: str = "") -> Handler:
        async def handler(call: Call, project: str, location: str, parent: str = "") -> Json:
            found = self._store.within(self._place(project, location, above, parent), kind)
            field = "resources" if kind in ("memberships", "features") else kind
            return {("membershipBindings" if kind == "bindings" else field): found} if found else {}

        return handler

    def _get(self, kind: str, above: str = "") -> Handler:
        async def handler(call: Call, project: str, location: str, name: str, parent: str = "") -> Json:
            return self._store.get(f"{self._place(project, location, above, parent)}/{kind}/{name}")

        return handler

    def _create_nested(self, kind: str, above: str) -> Handler:
        parameter, message = NESTED[kind]

        async def handler(call: Call, project: str, location: str, parent: str = "") -> Json:
            place = self._place(project, location, above, parent)
            if above:
                self._store.get(place)
            name = f"{place}/{kind}/{call.query.text(parameter)}"
            self._store.new_id(name)
            made = new_object(name, await call.json()) | {"state": {"code": "READY"}}
            return self._begin(call, "create", name, message, made)

        return handler

    def _patch_nested(self, kind: str, above: str) -> Handler:
        async def handler(call: Call, project: str, location: str, name: str, parent: str = "") -> Json:
            full = f"{self._place(project, location, above, parent)}/{kind}/{name}"
            body = patched(self._store.get(full), await call.json(), call.query.text("updateMask"), _NESTED_FIELDS)
            return self._begin(call, "update", full, NESTED[kind][1], body)

        return handler

    def _delete_nested(self, kind: str, above: str) -> Handler:
        async def handler(call: Call, project: str, location: str, name: str, parent: str = "") -> Json:
            full = f"{self._place(project, location, above, parent)}/{kind}/{name}"
            self._store.get(full)
            for nested in ("namespaces", "rbacrolebindings"):
                if self._store.within(full, nested):
                    raise errors.has_children(full, nested)
            return self._begin(call, "delete", full, NESTED[kind][1])

        return handler

    def _begin(self, call: Call, verb: str, name: str, message: str, body: Json | None = None) -> Json:
        return shown(self._operations.begin(verb, name, message, body), _version(call))

    # Memberships

    async def _create_membership(self, call: Call, project: str, location: str) -> Json:
        name = f"{self._place(project, location)}/memberships/{call.query.text('membershipId')}"
        body = await call.json()
        self._store.new_id(name)
        cluster = cluster_of(body)
        if not cluster:
            raise errors.invalid_field("endpoint.gke_cluster", "not emulated in the sandbox: clusters outside GKE")
        found = self._clusters.find(cluster)
        if found is None:
            raise errors.invalid_field("endpoint.gke_cluster.resource_link", f"cluster {cluster} does not exist")
        member = self._store.membership_of(name.split("/")[1], cluster)
        if member is not None:
            raise errors.already_registered(cluster, member["name"])
        return self._begin(call, "create", name, "Membership", new_membership(name, body, found))

    async def _patch_membership(self, call: Call, project: str, location: str, name: str) -> Json:
        full = f"{self._place(project, location)}/memberships/{name}"
        body = patched(self._store.get(full), await call.json(), call.query.text("updateMask"), _MEMBERSHIP_FIELDS)
        return self._begin(call, "update", full, "Membership", body)

    async def _delete_membership(self, call: Call, project: str, location: str, name: str) -> Json:
        full = f"{self._place(project, location)}/memberships/{name}"
        self._store.get(full)
        if self._store.within(full, "bindings") and not call.query.flag("force"):
            raise errors.has_children(full, "bindings")
        return self._begin(call, "delete", full, "Membership")

    # Features

    async def _create_feature(self, call: Call, project: str, location: str) -> Json:
        short = call.query.text("featureId")
        if short not in FEATURE_APIS:
            raise errors.invalid_field("feature_id", f"'{short}' is not a feature of the fleet")
        if location != "global":
            raise errors.invalid_field("parent", "features are in the location 'global'")
        if FEATURE_APIS[short]:
            self.admission.project(project, FEATURE_APIS[short])
        name = f"{self._place(project, location)}/features/{short}"
        if self._store.find(name) is not None:
            raise errors.already_exists(name)
        body = await call.json()
        specs = body.pop("membershipSpecs", None) or {}
        feature = self._rules.with_specs(new_feature(name, body), specs)
        return self._begin(call, "create", name, "Feature", feature)

    async def _patch_feature(self, call: Call, project: str, location: str, name: str) -> Json:
        full = f"{self._place(project, location)}/features/{name}"
        current, body = self._store.get(full), await call.json()
        specs = body.pop("membershipSpecs", None)
        mask = call.query.text("updateMask").replace("membership_specs", "membershipSpecs")
        others = ",".join(part for part in mask.split(",") if not part.startswith("membershipSpecs"))
        feature = patched(current, body, others, _FEATURE_FIELDS) if others or not mask else current
        if "membershipSpecs" in mask or "*" in mask or not mask:
            feature = self._rules.with_specs(feature, specs or {})
        return self._begin(call, "update", full, "Feature", feature)

    async def _delete_feature(self, call: Call, project: str, location: str, name: str) -> Json:
        full = f"{self._place(project, location)}/features/{name}"
        members = self._store.get(full).get("membershipSpecs") or {}
        if members and not call.query.flag("force"):
            raise errors.feature_in_use(full, len(members))
        return self._begin(call, "delete", full, "Feature")

    async def _get_feature(self, call: Call, project: str, location: str, name: str) -> Json:
        return await self._with_states(self._store.get(f"{self._place(project, location)}/features/{name}"))

    async def _list_features(self, call: Call, project: str, location: str) -> Json:
        found = self._store.within(self._place(project, location), "features")
        return {"resources": [await self._with_states(feature) for feature in found]} if found else {}

    async def _with_states(self, feature: Json) -> Json:
        """The feature with what its members report."""
        states = {}
        for key, spec in (feature.get("membershipSpecs") or {}).items():
            membership = self._rules.membership_at(key)
            if membership is not None and "configmanagement" in spec:
                seen = await self._host.sync_state(cluster_of(membership))
                states[key] = member_state(key, spec, seen)
            else:
                states[key] = {"state": {"code": "OK"}}
        return {**feature, "membershipStates": states} if states else feature

    # Operations

    async def _list_operations(self, call: Call, project: str, location: str) -> Json:
        place = self._place(project, location)
        found = [one for one in self._operations.engine.all() if location == "-" or one.scope == place]
        return {"operations": [shown(operation, _version(call)) for operation in found]}

    async def _get_operation(self, call: Call, project: str, location: str, name: str) -> Json:
        operation = self._operations.engine.get(name)
        if operation is None:
            raise errors.not_found(f"{self._place(project, location)}/operations/{name}")
        return shown(operation, _version(call))


def _version(call: Call) -> str:
    return call.path.split("/")[1]
