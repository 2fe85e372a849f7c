"""Namespaces: what a new one gets, and how an ending one is emptied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlp_helpers.sandbox.controllers.client import (
    AlreadyExistsError,
    ApiError,
    Client,
    ForbiddenError,
    NotFoundError,
    Object,
    Resource,
)
from mlp_helpers.sandbox.controllers.conditions import Condition, condition, timestamp, with_conditions
from mlp_helpers.sandbox.controllers.loop import Key, Manager, key_of

_ROOT_CA = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
_LOOK_AGAIN_SECONDS = 1.0


@dataclass
class Leftovers:
    """What an ending namespace still holds: instances per resource and per finalizer, and what could not be deleted."""

    resources: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def termination_conditions(left: Leftovers) -> list[Condition]:
    """The conditions of an ending namespace, in the real controller's words."""
    remaining = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(left.resources.items()))
    holding = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(left.finalizers.items()))
    failed = "; ".join(left.failures)
    return [
        condition(
            "NamespaceDeletionDiscoveryFailure", False, "ResourcesDiscovered", "All resources successfully discovered"
        ),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            False,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        condition(
            "NamespaceDeletionContentFailure",
            bool(failed),
            "ContentDeletionFailed" if failed else "ContentDeleted",
            f"Failed to delete all resource types, {len(left.failures)} remaining: {failed}"
            if failed
            else "All content successfully deleted, may be waiting on finalization",
        ),
        condition(
            "NamespaceContentRemaining",
            bool(remaining),
            "SomeResourcesRemain" if remaining else "ContentRemoved",
            f"Some resources are remaining: {remaining}" if remaining else "All content successfully removed",
        ),
        condition(
            "NamespaceFinalizersRemaining",
            bool(holding),
            "SomeFinalizersRemain" if holding else "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {holding}"
            if holding
            else "All content-preserving finalizers finished",
        ),
    ]


class NamespaceController:
    """Gives a namespace its ServiceAccount and root certificate, and deletes the contents of one that ends."""

    name = "namespace-controller"

    def __init__(self, manager: Manager) -> None:
        self._client: Client = manager.client
        self._namespaces = manager.informer("v1", "Namespace")
        self._accounts = manager.informer("v1", "ServiceAccount", field_selector="metadata.name=default")
        self._config_maps = manager.informer("v1", "ConfigMap", field_selector=f"metadata.name={_ROOT_CA}")
        manager.register(
            self,
            {
                self._namespaces: lambda namespace: [("", namespace["metadata"]["name"])],
                self._accounts: lambda account: [("", key_of(account)[0])],
                self._config_maps: lambda config_map: [("", key_of(config_map)[0])],
            },
        )

    async def reconcile(self, key: Key) -> float | None:
        namespace = self._namespaces.get(key[1])
        if namespace is None:
            return None
        if "deletionTimestamp" in namespace["metadata"]:
            return await self._terminate(namespace)
        await self._furnish(key[1])
        return None

    async def _furnish(self, name: str) -> None:
        if self._accounts.get("default", name) is None:
            await self._create("ServiceAccount", name, "default", {})
        wanted = {"ca.crt": self._client.authority}
        config_map = self._config_maps.get(_ROOT_CA, name)
        if config_map is None:
            await self._create("ConfigMap", name, _ROOT_CA, {"data": wanted})
        elif config_map.get("data") != wanted:
            await self._client.replace({**config_map, "data": wanted})

    async def _create(self, kind: str, namespace: str, name: str, content: Mapping[str, object]) -> None:
        metadata: Object = {"name": name, "namespace": namespace}
        if name == _ROOT_CA:
            metadata["annotations"] = {"kubernetes.io/description": _DESCRIPTION}
        try:
            await self._client.create({"apiVersion": "v1", "kind": kind, "metadata": metadata, **content})
        except AlreadyExistsError:
            return  # the informer has yet to see it
        except ForbiddenError as error:
            causes = (error.status.get("details") or {}).get("causes") or ()
            if not any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
                raise

    async def _terminate(self, namespace: Object) -> float | None:
        name = namespace["metadata"]["name"]
        left = Leftovers()
        for resource in await self._client.all_resources(verbs=("list", "delete")):
            if resource.namespaced:
                await self._empty(resource, name, left)
        conditions = with_conditions(
            (namespace.get("status") or {}).get("conditions"), termination_conditions(left), timestamp()
        )
        status = {"phase": "Terminating", "conditions": conditions}
        try:
            if status != namespace.get("status"):
                namespace = await self._client.replace_status({**namespace, "status": status})
            if left.resources or left.failures:
                return _LOOK_AGAIN_SECONDS
            await self._finalize(namespace)
        except NotFoundError:
            return None
        return None

    async def _empty(self, resource: Resource, namespace: str, left: Leftovers) -> None:
        full_name = f"{resource.plural}.{resource.group}"
        items, _ = await self._client.list(resource, namespace)
        for item in items:
            if "deletionTimestamp" in item["metadata"]:
                continue
            try:
                await self._client.delete(resource, item["metadata"]["name"], namespace)
            except NotFoundError:
                continue
            except ApiError as error:
                left.failures.append(str(error))
        if items:
            items, _ = await self._client.list(resource, namespace)
        if items:
            left.resources[full_name] = len(items)
        for item in items:
            for finalizer in item["metadata"].get("finalizers") or ():
                left.finalizers[finalizer] = left.finalizers.get(finalizer, 0) + 1

    async def _finalize(self, namespace: Object) -> None:
        """Take the server's own finalizer away; the namespace then goes."""
        spec = namespace.get("spec") or {}
        kept = [finalizer for finalizer in spec.get("finalizers") or () if finalizer != "kubernetes"]
        resource = await self._client.resource("v1", "Namespace")
        path = resource.path("", namespace["metadata"]["name"], "finalize")
        await self._client.raw("PUT", path, body={**namespace, "spec": {**spec, "finalizers": kept}})
