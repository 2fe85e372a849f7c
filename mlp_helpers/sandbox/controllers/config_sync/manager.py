"""The reconciler manager: gives each RootSync and RepoSync its account, its rights and its reconciler."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from mlp_helpers.sandbox.controllers.client import Client, ForbiddenError, NotFoundError, Object
from mlp_helpers.sandbox.controllers.config_sync.accounts import (
    NAMESPACE_ROLE,
    own_bindings,
    service_account,
    shared_bindings,
)
from mlp_helpers.sandbox.controllers.config_sync.deployments import reconciler_deployment
from mlp_helpers.sandbox.controllers.config_sync.health import State, health
from mlp_helpers.sandbox.controllers.config_sync.names import (
    CONTROLLER_NAMESPACE,
    MANAGER_FINALIZER,
    RECONCILER_FINALIZER,
    SYNC_API_VERSION,
    SyncId,
)
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem
from mlp_helpers.sandbox.controllers.config_sync.reconciler import CLUSTER_VARIABLE
from mlp_helpers.sandbox.controllers.config_sync.status import with_condition
from mlp_helpers.sandbox.controllers.config_sync.sync_object import SyncObject
from mlp_helpers.sandbox.controllers.config_sync.sync_rules import secret_fault, secret_of, spec_fault
from mlp_helpers.sandbox.controllers.loop import Informer, Key, Manager, own_key

FIELD_MANAGER = "reconciler-manager"


async def run(kubeconfig: Mapping[str, object], environment: Mapping[str, str], log: logging.Logger) -> None:
    """Look after all syncs of a cluster until cancelled.

    Args:
        kubeconfig: The account of the manager's pod.
        environment: CLUSTER_NAME.
        log: The pod's log.
    """
    client = Client(kubeconfig, user_agent="reconciler-manager/sandbox")
    manager = Manager(client)
    secrets = manager.informer("v1", "Secret")
    deployments = manager.informer("apps/v1", "Deployment", namespace=CONTROLLER_NAMESPACE)
    for kind in ("RootSync", "RepoSync"):
        syncs = manager.informer(SYNC_API_VERSION, kind)
        controller = SyncController(
            client, kind, syncs, secrets, deployments, environment.get(CLUSTER_VARIABLE, ""), log
        )
        manager.register(
            controller,
            {syncs: own_key, secrets: controller.keys_of_secret, deployments: controller.keys_of_deployment},
        )
    try:
        await manager.run()
    finally:
        await client.close()


class SyncController:
    """Reconciles the syncs of one kind."""

    def __init__(
        self,
        client: Client,
        kind: str,
        syncs: Informer,
        secrets: Informer,
        deployments: Informer,
        cluster: str,
        log: logging.Logger,
    ) -> None:
        self.name = f"reconciler-manager.{kind}"
        self._client, self._kind, self._cluster, self._log = client, kind, cluster, log
        self._syncs, self._secrets, self._deployments = syncs, secrets, deployments

    def keys_of_secret(self, secret: Object) -> Iterable[Key]:
        """The syncs that authenticate with a Secret."""
        name, namespace = secret["metadata"]["name"], secret["metadata"].get("namespace", "")
        for sync in self._syncs.list(namespace):
            if secret_of(sync.get("spec") or {})[1] == name:
                yield namespace, sync["metadata"]["name"]

    def keys_of_deployment(self, deployment: Object) -> Iterable[Key]:
        """The sync that a reconciler's Deployment belongs to."""
        labels = deployment["metadata"].get("labels") or {}
        if labels.get("configsync.gke.io/sync-kind") == self._kind:
            yield labels["configsync.gke.io/sync-namespace"], labels["configsync.gke.io/sync-name"]

    async def reconcile(self, key: Key) -> float | None:
        """Bring one sync's reconciler about, or away."""
        namespace, name = key
        live = self._syncs.get(name, namespace)
        if live is None:
            return None
        sync = SyncId(self._kind, namespace, name)
        obj = SyncObject(self._client, sync)
        if live["metadata"].get("deletionTimestamp"):
            await self._remove(sync, obj, live)
            return None
        spec = live.get("spec") or {}
        auth, secret_name = secret_of(spec)
        fault = spec_fault(sync, spec)
        secret = self._secrets.get(secret_name, namespace) if secret_name else None
        if not fault and secret_name:
            fault = secret_fault(auth, secret_name, secret)
        if fault:
            self._log.error("%s %s/%s: KNV1061: %s", sync.kind, namespace, name, fault)
            await self._stall(obj, live, fault)
            return None
        await obj.set_finalizer(MANAGER_FINALIZER, is_present=True)
        await self._ensure(sync, spec, secret)
        await self._show_progress(sync, obj, live)
        return None

    async def _stall(self, obj: SyncObject, live: Object, fault: str) -> None:
        message = Problem(1061, fault).message if not fault.startswith(("Secret", "git secret")) else fault

        def change(status: Mapping[str, Any]) -> dict[str, Any]:
            stalled = with_condition(status, "Stalled", is_true=True, reason="Validation", message=message)
            still = with_condition(stalled, "Reconciling", is_true=False)
            return {**still, "observedGeneration": live["metadata"].get("generation", 1)}

        await obj.update_status(change)

    async def _ensure(self, sync: SyncId, spec: Mapping[str, Any], secret: Object | None) -> None:
        role_refs = (spec.get("override") or {}).get("roleRefs") or []
        for wanted in [service_account(sync), *self._bindings(sync), *own_bindings(sync, role_refs)]:
            await self._apply(wanted)
        copied = await self._copy_secret(sync, secret) if secret is not None else None
        await self._apply(
            reconciler_deployment(
                sync,
                cluster=self._cluster,
                secret=copied["metadata"]["name"] if copied else "",
                secret_version=copied["metadata"]["resourceVersion"] if copied else "",
            )
        )

    def _bindings(self, sync: SyncId) -> list[Object]:
        """The shared bindings of the sync's scope, for all syncs that are to stay."""
        staying = [
            live
            for live in self._syncs.list(sync.namespace)
            if not live["metadata"].get("deletionTimestamp")
            or RECONCILER_FINALIZER in (live["metadata"].get("finalizers") or [])
        ]
        ids = {SyncId(self._kind, sync.namespace, live["metadata"]["name"]): live for live in staying}
        restricted = [
            one for one, live in ids.items() if ((live.get("spec") or {}).get("override") or {}).get("roleRefs")
        ]
        return shared_bindings(list(ids), restricted)

    async def _copy_secret(self, sync: SyncId, secret: Object) -> Object:
        """A pod can only read Secrets of its own namespace, so a RepoSync's credentials are copied beside it."""
        if sync.is_root:
            return secret
        name = f"{sync.reconciler}-{secret['metadata']['name']}"
        copy = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "namespace": CONTROLLER_NAMESPACE,
                "name": name,
                "labels": service_account(sync)["metadata"]["labels"],
            },
            "type": secret.get("type", "Opaque"),
            "data": secret.get("data") or {},
        }
        return await self._apply(copy)

    async def _show_progress(self, sync: SyncId, obj: SyncObject, live: Object) -> None:
        deployment = self._deployments.get(sync.reconciler, CONTROLLER_NAMESPACE)
        judged = health(deployment)
        is_ready = judged.state is State.CURRENT

        def change(status: Mapping[str, Any]) -> dict[str, Any]:
            after = with_condition(status, "Stalled", is_true=False)
            where = f"Deployment ({CONTROLLER_NAMESPACE}/{sync.reconciler})"
            after = with_condition(
                after,
                "Reconciling",
                is_true=not is_ready,
                reason="" if is_ready else "Deployment",
                message="" if is_ready else f"{where} {judged.state}: {judged.message}",
            )
            return {
                **after,
                "observedGeneration": live["metadata"].get("generation", 1),
                "reconciler": sync.reconciler,
            }

        await obj.update_status(change)

    async def _remove(self, sync: SyncId, obj: SyncObject, live: Object) -> None:
        """Take the reconciler away, but not before it has done its own last work."""
        finalizers = live["metadata"].get("finalizers") or []
        if RECONCILER_FINALIZER in finalizers or MANAGER_FINALIZER not in finalizers:
            return
        await self._delete("apps/v1", "Deployment", sync.reconciler)
        await self._delete("v1", "ServiceAccount", sync.reconciler)
        _, secret = secret_of(live.get("spec") or {})
        if secret and not sync.is_root:
            await self._delete("v1", "Secret", f"{sync.reconciler}-{secret}")
        role_refs = ((live.get("spec") or {}).get("override") or {}).get("roleRefs") or []
        for made in own_bindings(sync, role_refs):
            await self._delete(
                made["apiVersion"], made["kind"], made["metadata"]["name"], made["metadata"].get("namespace", "")
            )
        await self._drop_subject(sync)
        await obj.set_finalizer(MANAGER_FINALIZER, is_present=False)

    async def _drop_subject(self, sync: SyncId) -> None:
        bindings = self._bindings(sync)
        if not bindings and not sync.is_root:
            await self._delete("rbac.authorization.k8s.io/v1", "RoleBinding", NAMESPACE_ROLE, sync.namespace)
        for made in bindings:
            try:
                await self._apply(made)
            except ForbiddenError as error:
                # The namespace is ending too, and has taken the binding with it.
                self._log.debug("%s: %s", made["metadata"]["name"], error)

    async def _delete(self, api_version: str, kind: str, name: str, namespace: str = CONTROLLER_NAMESPACE) -> None:
        resource = await self._client.resource(api_version, kind)
        try:
            await self._client.delete(resource, name, namespace if resource.namespaced else "")
        except NotFoundError:
            self._log.debug("%s %s is gone already", kind, name)

    async def _apply(self, wanted: Mapping[str, Any]) -> Object:
        return await self._client.apply(wanted, manager=FIELD_MANAGER)
