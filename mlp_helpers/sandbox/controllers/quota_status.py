"""The status of ResourceQuotas: what may be used, and what is. (Admission is the API server's.)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from mlp_helpers.sandbox.controllers.client import NotFoundError, Object, Resource, UnknownKindError
from mlp_helpers.sandbox.controllers.loop import Key, Manager, key_of, own_key
from mlp_helpers.sandbox.controllers.quantities import (
    Resources,
    add,
    format_quantity,
    parse_quantity,
    pod_resources,
    total,
)
from mlp_helpers.sandbox.controllers.scheduling import counts

_COUNTED = {  # the older names of object counts
    "configmaps": ("v1", "ConfigMap"),
    "persistentvolumeclaims": ("v1", "PersistentVolumeClaim"),
    "pods": ("v1", "Pod"),
    "resourcequotas": ("v1", "ResourceQuota"),
    "secrets": ("v1", "Secret"),
    "services": ("v1", "Service"),
}
_RESYNC_SECONDS = 30.0


def pods_used(pods: Iterable[Object]) -> Resources:
    """What pods use of a quota: requests under their short and their long name, limits, and their number."""
    used: Resources = {"pods": Decimal(0)}
    for pod in pods:
        if not counts(pod):
            continue
        requests, limits = pod_resources(pod["spec"], "requests"), pod_resources(pod["spec"], "limits")
        used = add(used, {"pods": 1})
        used = add(used, {name: amount for name, amount in requests.items() if "/" not in name})
        used = add(used, {f"requests.{name}": amount for name, amount in requests.items()})
        used = add(used, {f"limits.{name}": amount for name, amount in limits.items()})
    return used


def services_used(services: Sequence[Object]) -> Resources:
    """Services by kind."""
    kinds = [service["spec"].get("type", "ClusterIP") for service in services]
    return {
        "services.loadbalancers": Decimal(kinds.count("LoadBalancer")),
        "services.nodeports": Decimal(kinds.count("NodePort") + kinds.count("LoadBalancer")),
    }


def storage_used(claims: Sequence[Object]) -> Resources:
    """Storage that claims ask for."""
    requests = (((claim["spec"].get("resources") or {}).get("requests") or {}) for claim in claims)
    return {"requests.storage": total(requests).get("storage", Decimal(0))}


class QuotaStatusController:
    """Counts anew whenever something that a quota counts may have changed."""

    name = "resourcequota-controller"

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._quotas = manager.informer("v1", "ResourceQuota")
        watched = [manager.informer(*kind) for name, kind in _COUNTED.items() if name != "resourcequotas"]
        manager.register(self, {self._quotas: own_key} | dict.fromkeys(watched, self._quotas_beside))

    def _quotas_beside(self, obj: Object) -> Iterable[Key]:
        return [key_of(quota) for quota in self._quotas.list(obj["metadata"]["namespace"])]

    async def reconcile(self, key: Key) -> float | None:
        if self._quotas.get(key[1], key[0]) is None:
            return None
        try:
            # Read before counting: if admission books something meanwhile, our stale version is refused.
            quota = await self._client.get(await self._client.resource("v1", "ResourceQuota"), key[1], key[0])
        except NotFoundError:
            return None
        hard: Mapping[str, str] = (quota.get("spec") or {}).get("hard") or {}
        used = await self._used(hard, key[0])
        status = {"hard": hard, "used": {name: format_quantity(amount, name) for name, amount in used.items()}}
        before = quota.get("status") or {}
        if before.get("hard") != hard or not _same(before.get("used") or {}, used):
            await self._client.replace_status({**quota, "apiVersion": "v1", "kind": "ResourceQuota", "status": status})
        return _RESYNC_SECONDS

    async def _used(self, hard: Mapping[str, str], namespace: str) -> Resources:
        known: Resources = {}
        if any(name in ("cpu", "memory", "pods") or name.startswith(("requests.", "limits.")) for name in hard):
            known |= pods_used(await self._list("v1", "Pod", namespace))
        if any(name.startswith("services.") for name in hard):
            known |= services_used(await self._list("v1", "Service", namespace))
        if "requests.storage" in hard:
            known |= storage_used(await self._list("v1", "PersistentVolumeClaim", namespace))
        used = {}
        for name in hard:
            if name not in known and (kind := await self._counted_kind(name)):
                known[name] = Decimal(len(await self._list(kind.api_version, kind.kind, namespace)))
            used[name] = known.get(name, Decimal(0))
        return used

    async def _counted_kind(self, name: str) -> Resource | None:
        """The kind behind `secrets` or `count/deployments.apps`; None for what is no count or not served."""
        if name in _COUNTED:
            return await self._client.resource(*_COUNTED[name])
        if not name.startswith("count/"):
            return None
        plural, _, group = name.removeprefix("count/").partition(".")
        served = await self._client.all_resources(verbs=("list",))
        return next((one for one in served if (one.plural, one.group) == (plural, group)), None)

    async def _list(self, api_version: str, kind: str, namespace: str) -> list[Object]:
        try:
            items, _ = await self._client.list(await self._client.resource(api_version, kind), namespace)
        except (UnknownKindError, NotFoundError):
            return []
        return items


def _same(before: Mapping[str, str], used: Resources) -> bool:
    return {name: parse_quantity(text) for name, text in before.items()} == used
