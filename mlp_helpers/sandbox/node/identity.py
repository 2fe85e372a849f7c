"""A pod's way to the API server: a token of its service account in a file, and a kubeconfig that names the file."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.controllers.client import Client
from mlp_helpers.sandbox.node.lookup import Lookup
from mlp_helpers.sandbox.node.volumes import write_files

_TOKEN_SECONDS = 3607  # as the API server's own projected volume asks


class PodIdentity:
    """Keeps a pod's token fresh.

    Args:
        client: Knows the API server and its certificate.
        lookup: Asks for tokens.
        folder: The pod's folder.
    """

    def __init__(self, client: Client, lookup: Lookup, folder: Path) -> None:
        self._client, self._lookup, self._folder = client, lookup, folder / "identity"

    @staticmethod
    def is_wanted(pod: Mapping[str, Any]) -> bool:
        """Whether the pod gets a token at all."""
        return pod["spec"].get("automountServiceAccountToken") is not False

    async def refresh(self, pod: Mapping[str, Any]) -> None:
        """Ask for a new token and write it down."""
        if not self.is_wanted(pod):
            return
        account = pod["spec"].get("serviceAccountName") or "default"
        token = await self._lookup.token(pod["metadata"]["namespace"], account, pod=pod, seconds=_TOKEN_SECONDS)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_files(
            self._folder, {"token": token.encode(), "kubeconfig": json.dumps(self.kubeconfig(pod), indent=1).encode()}
        )

    def kubeconfig(self, pod: Mapping[str, Any]) -> dict[str, object]:
        """The pod's kubeconfig; without a token where it wants none."""
        authority = base64.b64encode(self._client.authority.encode()).decode()
        cluster = {"server": self._client.server} | ({"certificate-authority-data": authority} if authority else {})
        user = {"tokenFile": str(self._folder / "token")} if self.is_wanted(pod) else {}
        context = {"cluster": "cluster", "user": "pod", "namespace": pod["metadata"]["namespace"]}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": "pod", "user": user}],
            "contexts": [{"name": "pod", "context": context}],
            "current-context": "pod",
        }

    def environment(self, pod: Mapping[str, Any]) -> dict[str, str]:
        """How the pod's processes find the kubeconfig: there is no fixed path for the token on this machine."""
        return {"KUBECONFIG": str(self._folder / "kubeconfig")} if self.is_wanted(pod) else {}
