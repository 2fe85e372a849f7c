"""The Connect Gateway's control API: it hands out a kubeconfig for a membership.

Here the kubeconfig leads straight to the cluster's API server, since every cluster is on this machine; there is no
proxy in between. Names of context, cluster and user are those that gcloud writes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from mlp_helpers.sandbox.google.admission import Admission, ProjectService
from mlp_helpers.sandbox.google.calls import Call, Json, Route
from mlp_helpers.sandbox.google.clusters import ClusterHost
from mlp_helpers.sandbox.google.container.store import ContainerStore
from mlp_helpers.sandbox.google.errors import GoogleError, invalid_argument
from mlp_helpers.sandbox.google.hub.errors import not_found
from mlp_helpers.sandbox.google.hub.store import HubStore, cluster_of

VERSIONS = ("v1", "v1beta1")


class GatewayService(ProjectService):
    """Connect Gateway."""

    name = "connectgateway.googleapis.com"

    def __init__(
        self,
        admission: Admission,
        hub: HubStore,
        clusters: ContainerStore,
        host: ClusterHost,
        *,
        access_token: Callable[[Call], str],
    ) -> None:
        super().__init__(admission)
        self._hub, self._clusters, self._host, self._access_token = hub, clusters, host, access_token

    def routes(self) -> Sequence[Route]:
        template = "/projects/{project}/locations/{location}/memberships/{membership}:generateCredentials"
        return [
            Route("GET", f"/{version}{template}", self._generate_credentials, "gkehub.gateway.get")
            for version in VERSIONS
        ]

    async def _generate_credentials(self, call: Call, project: str, location: str, membership: str) -> Json:
        found = self.admission.projects.get(project)
        name = f"projects/{found.id}/locations/{location}/memberships/{membership}"
        member = self._hub.find(name)
        if member is None:
            raise not_found(name)
        cluster = cluster_of(member)
        running = self._clusters.find(cluster)
        if running is None or "endpoint" not in running:
            raise GoogleError("FAILED_PRECONDITION", f"The cluster of membership {name} cannot be reached: {cluster}.")
        text = self._host.kubeconfig(cluster, identity=call.identity, token=self._access_token(call))
        context = f"connectgateway_{found.id}_{location}_{membership}"
        config = renamed(yaml.safe_load(text), context, namespace=call.query.text("kubernetesNamespace"))
        content = base64.b64encode(yaml.safe_dump(config).encode()).decode()
        return {"kubeconfig": content, "endpoint": f"https://{running['endpoint']}"}


def renamed(config: Mapping[str, Any], name: str, *, namespace: str) -> Json:
    """A kubeconfig of one cluster under gcloud's names; a namespace becomes part of the context's name."""
    parts = {kind: list(config.get(kind) or ()) for kind in ("clusters", "users", "contexts")}
    if any(len(part) != 1 for part in parts.values()):
        raise invalid_argument("The cluster's kubeconfig must have one cluster, one user and one context.")
    context = f"{name}_ns-{namespace}" if namespace else name
    inner = {**parts["contexts"][0]["context"], "cluster": name, "user": name}
    if namespace:
        inner["namespace"] = namespace
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{**parts["clusters"][0], "name": name}],
        "users": [{**parts["users"][0], "name": name}],
        "contexts": [{"name": context, "context": inner}],
        "current-context": context,
    }
