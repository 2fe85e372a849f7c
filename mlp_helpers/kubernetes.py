"""A thin layer on the Kubernetes client: get, list, apply, delete, logs, events, rights; any kind, plain dicts."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlp_helpers.errors import ServiceError

FIELD_MANAGER = "mlp-helpers"
REQUEST_SECONDS = 30

Manifest = dict[str, Any]


class Cluster:
    """One Kubernetes cluster, reached with a kubeconfig.

    Args:
        kubeconfig: As kubectl reads it; its current context is used.
        name: What messages call the cluster.
    """

    def __init__(self, kubeconfig: Mapping[str, Any], name: str) -> None:
        self.kubeconfig, self.name = dict(kubeconfig), name
        self._client: Any = None
        self._dynamic: Any = None

    def get(self, api_version: str, kind: str, name: str, *, namespace: str = "") -> Manifest | None:
        """One object, or None where there is none (of that name, or of that kind yet)."""
        from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

        try:
            resource = self._resource(api_version, kind)
            found: Manifest = self._call(resource.get, name=name, namespace=namespace or None).to_dict()
        except (NotFoundError, ResourceNotFoundError):
            return None
        return found

    def list_objects(self, api_version: str, kind: str, *, namespace: str = "", selector: str = "") -> list[Manifest]:
        """All objects of a kind, in one namespace or in all; empty where the kind does not exist yet."""
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        try:
            resource = self._resource(api_version, kind)
        except ResourceNotFoundError:
            return []
        found = self._call(resource.get, namespace=namespace or None, label_selector=selector or None)
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found.to_dict().get("items", [])]

    def apply(self, manifest: Mapping[str, Any]) -> Manifest:
        """Create or change an object by server-side apply, as field manager `mlp-helpers`."""
        resource = self._resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        applied: Manifest = self._call(
            resource.server_side_apply,
            body=dict(manifest),
            name=metadata["name"],
            namespace=metadata.get("namespace"),
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
        ).to_dict()
        return applied

    def delete(self, api_version: str, kind: str, name: str, *, namespace: str = "") -> bool:
        """Delete an object; its dependants follow in the background.

        Returns:
            Whether there was one.
        """
        from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

        try:
            self._call(self._resource(api_version, kind).delete, name=name, namespace=namespace or None)
        except (NotFoundError, ResourceNotFoundError):
            return False
        return True

    def secret_value(self, namespace: str, name: str, key: str) -> str | None:
        """One value of a Secret, or None where it is absent."""
        found = self.get("v1", "Secret", name, namespace=namespace)
        value = (found or {}).get("data", {}).get(key)
        return base64.b64decode(value).decode() if value else None

    def logs(self, namespace: str, pod: str, *, container: str = "", tail_lines: int = 200) -> list[str]:
        """The end of a container's log."""
        from kubernetes.client import CoreV1Api

        text = self._call(
            CoreV1Api(self.api_client).read_namespaced_pod_log,
            name=pod,
            namespace=namespace,
            tail_lines=tail_lines,
            **({"container": container} if container else {}),
        )
        return str(text).splitlines()

    def events(self, namespace: str) -> list[Manifest]:
        """The namespace's events, oldest first."""
        found = self.list_objects("v1", "Event", namespace=namespace)
        return sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def can(
        self,
        verb: str,
        resource: str,
        *,
        group: str = "",
        namespace: str = "",
        name: str = "",
        user: str,
        groups: tuple[str, ...] = (),
    ) -> bool:
        """Whether someone may do something, by the server's own decision (SubjectAccessReview).

        Args:
            resource: Plural, with a subresource behind a slash: `pods/log`.
        """
        plural, _, subresource = resource.partition("/")
        attributes = {
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": subresource,
            "namespace": namespace,
            "name": name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": list(groups), "resourceAttributes": attributes},
        }
        answer = self._call(self._resource("authorization.k8s.io/v1", "SubjectAccessReview").create, body=review)
        return bool(answer.to_dict()["status"]["allowed"])

    def service_proxy(self, namespace: str, service: str, port: str) -> tuple[str, dict[str, str], str | bool]:
        """Where a Service is reached through the API server: address, headers, and the CA file to verify with."""
        configuration = self.api_client.configuration
        headers = {each["key"].title(): each["value"] for each in configuration.auth_settings().values()}
        address = f"{configuration.host}/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy"
        return address, headers, configuration.ssl_ca_cert or True

    @property
    def api_client(self) -> Any:
        """The `kubernetes.client.ApiClient` behind it."""
        if self._client is None:
            from kubernetes import config

            self._client = config.new_client_from_config_dict(self.kubeconfig)  # type: ignore[no-untyped-call]
        return self._client

    def _resource(self, api_version: str, kind: str) -> Any:
        if self._dynamic is None:
            from kubernetes.dynamic import DynamicClient

            self._dynamic = self._call(DynamicClient, self.api_client, cache_file=str(self._discovery_cache()))
        return self._dynamic.resources.get(api_version=api_version, kind=kind)

    def _discovery_cache(self) -> Path:
        """A file of this cluster's own: the client keeps what it learned without expiry, even for another cluster."""
        identity = hashlib.sha256(repr(self.kubeconfig["clusters"]).encode()).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"mlp-discovery-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / identity

    def _call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Call the client; what a person can act on becomes a ServiceError, a missing object stays what it is."""
        from kubernetes.client.exceptions import ApiException
        from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError, ResourceNotFoundError
        from urllib3.exceptions import HTTPError

        if getattr(function, "__name__", "") != "DynamicClient":
            options["_request_timeout"] = REQUEST_SECONDS
        try:
            return function(*arguments, **{name: value for name, value in options.items() if value is not None})
        except (NotFoundError, ResourceNotFoundError):
            raise
        except (DynamicApiError, ApiException) as error:
            raise ServiceError(
                f"The cluster {self.name} refused a request ({error.status}).", why=_message(error)
            ) from error
        except (HTTPError, ConnectionError) as error:
            raise ServiceError(
                f"The cluster {self.name} does not answer.",
                why=str(error).split("(Caused by")[-1].strip(" )"),
                fix="Is it still there? mlp status",
            ) from error


def _message(error: Any) -> str:
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason or error)
