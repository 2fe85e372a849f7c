"""Clusters that register themselves: `fleet.project` in a cluster makes a membership of the cluster's name."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.google.container.store import ContainerStore
from mlp_helpers.sandbox.google.hub.operations import HubOperations
from mlp_helpers.sandbox.google.hub.store import CLUSTER_LINK, HubStore, new_membership
from mlp_helpers.sandbox.google.resourcemanager.store import ProjectStore

Json = dict[str, Any]


class Registration:
    """Follows clusters as they come and go."""

    def __init__(
        self, hub: HubStore, operations: HubOperations, clusters: ContainerStore, projects: ProjectStore
    ) -> None:
        self._hub, self._operations, self._clusters, self._projects = hub, operations, clusters, projects

    def cluster_changed(self, name: str, cluster: Json) -> None:
        """A cluster has arrived or changed (an empty object: it is gone)."""
        _, project, _, location, _, short = name.split("/")
        membership = f"projects/{project}/locations/{location}/memberships/{short}"
        known = self._hub.find(membership)
        if not cluster:
            if known is not None and known.get("labels", {}).get("goog-gke-auto-registered"):
                self._operations.begin("delete", membership, "Membership")
            return
        fleet = cluster.get("fleet") or {}
        if not fleet.get("project") or fleet.get("membership") or self._hub.membership_of(project, name):
            return
        link = {"gkeCluster": {"resourceLink": CLUSTER_LINK + name}}
        body = {"endpoint": link, "labels": {"goog-gke-auto-registered": "true"}}
        self._operations.begin("create", membership, "Membership", new_membership(membership, body, cluster))
        number = self._projects.get(project).number
        full = f"//gkehub.googleapis.com/projects/{number}/locations/{location}/memberships/{short}"
        self._clusters.change(name, fleet={**fleet, "membership": full})
