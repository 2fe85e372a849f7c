"""What controllers that make pods share: making one from a template, telling the living from the dead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mlp_helpers.sandbox.controllers.client import ApiError, Client, ConflictError, NotFoundError, Object
from mlp_helpers.sandbox.controllers.conditions import find_condition, is_true, parse_timestamp
from mlp_helpers.sandbox.controllers.events import EventRecorder
from mlp_helpers.sandbox.controllers.informer import Informer
from mlp_helpers.sandbox.controllers.selectors import matches


def controller_of(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The owner reference of the controller, or None."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def is_controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    """Whether this very object is the controller."""
    found = controller_of(obj)
    return found is not None and found["uid"] == owner["metadata"]["uid"]


def owner_reference(owner: Mapping[str, Any]) -> Object:
    """A controlling owner reference to an object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_active(pod: Mapping[str, Any]) -> bool:
    """Neither ended nor asked to end."""
    phase = (pod.get("status") or {}).get("phase")
    return phase not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod takes traffic."""
    return is_true(pod, "Ready")


def seconds_until_available(pod: Mapping[str, Any], min_ready_seconds: int, now: datetime) -> float | None:
    """0 if a pod has been ready long enough, the seconds that are missing, or None if it is not ready."""
    ready = find_condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    since = parse_timestamp(ready["lastTransitionTime"])
    return max(0.0, (since + timedelta(seconds=min_ready_seconds) - now).total_seconds())


def pod_from(template: Mapping[str, Any], owner: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> Object:
    """A pod from an owner's template, named after the owner."""
    given = template.get("metadata") or {}
    metadata: Object = {
        "generateName": f"{owner['metadata']['name'][:57]}-",
        "namespace": owner["metadata"]["namespace"],
        "labels": {**(given.get("labels") or {}), **(labels or {})},
        "ownerReferences": [owner_reference(owner)],
    }
    if given.get("annotations"):
        metadata["annotations"] = given["annotations"]
    if given.get("finalizers"):
        metadata["finalizers"] = given["finalizers"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


class PodControl:
    """Creates and deletes pods for an owner, with the events that the real controllers write."""

    def __init__(self, client: Client, pods: Informer, events: EventRecorder) -> None:
        self._client, self._pods, self._events = client, pods, events

    async def create(self, owner: Object, pod: Object) -> Object:
        """Create a pod.

        Raises:
            ApiError: The server refused; an event says so.
        """
        try:
            made = await self._client.create(pod)
        except ApiError as error:
            await self._events.warning(owner, "FailedCreate", f"Error creating: {error}")
            raise
        self._pods.note(made)
        await self._events.normal(owner, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        return made

    async def delete(self, owner: Object, pod: Object) -> None:
        """Ask for a pod's end."""
        metadata = pod["metadata"]
        resource = await self._client.resource("v1", "Pod")
        try:
            await self._client.delete(resource, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except (NotFoundError, ConflictError):
            return  # gone already, or another one by that name
        await self._events.normal(owner, "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    async def claim(self, owner: Object, selector: Mapping[str, Any]) -> list[Object]:
        """The pods of an owner, with those that match its selector and have no controller taken over."""
        claimed = []
        for pod in self._pods.list(owner["metadata"]["namespace"]):
            if is_controlled_by(pod, owner):
                claimed.append(pod)
            elif self._is_free(pod) and matches(selector, pod["metadata"].get("labels") or {}):
                claimed.append(await self._adopt(owner, pod))
        return claimed

    @staticmethod
    def _is_free(pod: Object) -> bool:
        return controller_of(pod) is None and is_active(pod)

    async def _adopt(self, owner: Object, pod: Object) -> Object:
        metadata = pod["metadata"]
        references = [*(metadata.get("ownerReferences") or ()), owner_reference(owner)]
        resource = await self._client.resource("v1", "Pod")
        patch = {"metadata": {"uid": metadata["uid"], "ownerReferences": references}}
        adopted = await self._client.patch(resource, metadata["name"], metadata["namespace"], patch)
        self._pods.note(adopted)
        return adopted
