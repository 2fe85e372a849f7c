"""Ray's job server, reached as a person would reach it: through the Kubernetes API's service proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.controllers.client import ApiError, Client, Object
from mlp_helpers.sandbox.controllers.kuberay.names import head_service_name


@dataclass(frozen=True)
class JobInfo:
    """A job as Ray tells of it."""

    status: str
    message: str


class JobUnknownError(Exception):
    """Ray does not know the job: it was never submitted, or its head is a new one."""


class JobRefusedError(Exception):
    """Ray does not take the job, and asking again will not help."""


class JobServer:
    """The jobs of one cluster.

    Args:
        client: The operator's account; it needs services/proxy.
        namespace: The cluster's namespace.
        cluster: The cluster's name.
        token: Ray's token; empty without authentication.
    """

    def __init__(self, client: Client, namespace: str, cluster: str, token: str) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/services/{head_service_name(cluster)}:dashboard/proxy/api/jobs/"
        # The API server keeps the Authorization header for itself; Ray reads this one too.
        self._headers = {"X-Ray-Authorization": f"Bearer {token}"} if token else {}

    async def submit(self, request: Mapping[str, Any]) -> None:
        """Submit a job; one that is there already under the same submission id is left as it is.

        Raises:
            JobRefusedError: The request is wrong.
            ApiError: The job server does not answer (yet).
        """
        try:
            await self.info(str(request["submission_id"]))
        except JobUnknownError:
            try:
                await self._ask("POST", "", request)
            except ApiError as error:
                if error.code in (400, 413, 500):
                    raise JobRefusedError(str(error)) from error
                raise

    async def info(self, submission_id: str) -> JobInfo:
        """The state of a job.

        Raises:
            JobUnknownError: Ray does not know it.
            ApiError: The job server does not answer.
        """
        try:
            found = await self._ask("GET", submission_id)
        except ApiError as error:
            # The API server's own 404 (no such Service) is a Status with details; Ray's is plain text.
            if error.code == 404 and submission_id in str(error):
                raise JobUnknownError(submission_id) from error
            raise
        return JobInfo(str(found.get("status", "PENDING")), str(found.get("message") or ""))

    async def stop(self, submission_id: str) -> None:
        """Ask a job to stop."""
        await self._ask("POST", f"{submission_id}/stop")

    async def _ask(self, method: str, path: str, body: object = None) -> Object:
        return await self._client.raw(method, self._path + path, body=body, headers=self._headers)
