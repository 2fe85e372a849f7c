"""The fleet's operations: what happens between a call and its end."""

from __future__ import annotations

import secrets
import time
from typing import Any

from mlp_helpers.sandbox.google.clusters import ClusterHost
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.hub import errors
from mlp_helpers.sandbox.google.hub.features import FeatureRules
from mlp_helpers.sandbox.google.hub.store import HubStore, cluster_of
from mlp_helpers.sandbox.google.operations import Finish, Operation, Operations, long_running, moment

Json = dict[str, Any]

_SYNC = "configmanagement"


class HubOperations:
    """Changes of the fleet, applied when their operation ends; Config Sync follows the `configmanagement` feature."""

    def __init__(
        self, documents: Documents, store: HubStore, rules: FeatureRules, host: ClusterHost, *, seconds: float
    ) -> None:
        self._store, self._rules, self._host = store, rules, host
        self.engine = Operations(
            documents,
            service="gkehub",
            seconds=seconds,
            new_name=lambda: f"operation-{time.time_ns() // 1_000_000}-{secrets.token_hex(6)}",
            work=self._work,
        )

    def begin(self, verb: str, target: str, message: str, body: Json | None = None) -> Operation:
        """Begin to create, update or delete an object; `body` is how it will be."""
        for operation in self.engine.all():
            if operation.target == target and not operation.is_done:
                raise errors.operation_running(target, operation.name)
        scope = "/".join(target.split("/")[:4])
        return self.engine.begin(verb, scope=scope, target=target, arguments={"message": message, "body": body})

    async def _work(self, operation: Operation) -> Finish:
        message, target = operation.arguments["message"], operation.target
        if message == "Feature":
            return await self._change_feature(operation)
        if message == "Membership":
            return await self._change_membership(operation)
        if operation.kind == "delete":
            return lambda: self._store.delete(target)
        return lambda: self._store.write(target, operation.arguments["body"])

    async def _change_feature(self, operation: Operation) -> Finish:
        target, body = operation.target, operation.arguments["body"]
        before = self._rules.sync_specs(self._store.find(target) or {})
        after = self._rules.sync_specs(body or {})
        await self._configure(before, after)
        if operation.kind == "delete":
            return lambda: self._store.delete(target)
        return lambda: self._store.write(target, body)

    async def _configure(self, before: dict[str, Json], after: dict[str, Json]) -> None:
        for cluster in before.keys() | after.keys():
            if before.get(cluster) != after.get(cluster):
                await self._host.configure_sync(cluster, after.get(cluster))

    async def _change_membership(self, operation: Operation) -> Finish:
        """A new member gets the fleet's default; of a member that goes, the features forget."""
        target, body = operation.target, operation.arguments["body"]
        scope = target.partition("/locations/")[0]
        features = self._store.within(f"{scope}/locations/-", "features")
        if operation.kind == "delete":
            cluster = cluster_of(self._store.find(target) or {})
            changed = [self._rules.without(feature, target) for feature in features]
            if any(cluster in self._rules.sync_specs(feature) for feature in features):
                await self._host.configure_sync(cluster, None)
            return lambda: self._finish_membership(target, None, changed)
        if operation.kind == "update":
            return lambda: self._store.write(target, body)
        changed = [self._rules.with_default(feature, target) for feature in features]
        for feature in changed:
            spec = (feature.get("membershipSpecs") or {}).get(self._rules.key_of(target), {})
            if _SYNC in spec:
                await self._host.configure_sync(cluster_of(body), spec[_SYNC])
        return lambda: self._finish_membership(target, body, changed)

    def _finish_membership(self, target: str, body: Json | None, features: list[Json]) -> Json | None:
        for feature in features:
            if feature != self._store.find(feature["name"]):
                self._store.write(feature["name"], feature)
        if body is None:
            self._store.delete(target)
            return None
        return self._store.write(target, body)


def shown(operation: Operation, version: str) -> Json:
    """An operation as the fleet shows it."""
    message = operation.arguments.get("message", "")
    metadata: Json = {
        "@type": f"type.googleapis.com/google.cloud.gkehub.{version}.OperationMetadata",
        "createTime": moment(operation.started),
        "target": operation.target,
        "verb": operation.kind,
        "apiVersion": version,
    }
    if operation.ended is not None:
        metadata["endTime"] = moment(operation.ended)
    response_type = "" if operation.kind == "delete" else f"google.cloud.gkehub.{version}.{message}"
    name = f"{operation.scope}/operations/{operation.name}"
    return long_running(operation, name=name, metadata=metadata, response_type=response_type)
