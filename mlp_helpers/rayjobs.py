"""Ray jobs on a team's cluster: submit, follow, list, stop.

The way to Ray leads through the Kubernetes API (`services/proxy`), so that it is private, encrypted and subject to
RBAC; Ray's own token travels in the header that Ray reads behind a proxy.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp_helpers.errors import JobError, ServiceError
from mlp_helpers.kubernetes import Cluster
from mlp_helpers.waiting import Ready, Waiting, Watcher, wait_for

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

OVER = ("SUCCEEDED", "FAILED", "STOPPED")
UPLOAD_LIMIT_BYTES = 100 * 2**20  # Ray's job server refuses more
# Lines come at once; the autoscaler's advice is left out, for a cluster that Git sizes has none to give.
QUIET = {"PYTHONUNBUFFERED": "1", "RAY_SCHEDULER_EVENTS": "0"}


@dataclass(frozen=True)
class JobStatus:
    """One job, as Ray tells of it.

    Args:
        status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        seconds: How long it has run, or ran.
    """

    submission_id: str
    status: str
    entrypoint: str
    seconds: float
    message: str

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in OVER


class RayCluster:
    """A team's Ray cluster, seen from outside.

    Args:
        cluster: The Kubernetes cluster that it runs in.
        namespace: The team's namespace.
        name: Name of the RayCluster object.
    """

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self.cluster, self.namespace, self.name = cluster, namespace, name
        self._client: Any = None

    def submit(
        self,
        entrypoint: str,
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        submission_id: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Job:
        """Submit a job; its folder is uploaded with it.

        Args:
            entrypoint: Shell command that the cluster runs in the folder.
            folder: Local folder with the job's files, at most 100 MiB zipped.
            environment: Variables of the job.
            submission_id: The job's name; by default made from the entrypoint and the time.

        Raises:
            JobError: Bad input, or Ray refused it.
        """
        if folder is not None:
            _check_folder(folder)
        runtime: dict[str, Any] = {"env_vars": {**QUIET, **(environment or {})}}
        if folder is not None:
            runtime |= {"working_dir": str(folder), "excludes": ["__pycache__", ".git", ".ipynb_checkpoints"]}
        name = submission_id or _name(entrypoint)
        try:
            self.client.submit_job(
                entrypoint=entrypoint, submission_id=name, runtime_env=runtime, metadata=dict(metadata or {})
            )
        except (RuntimeError, ValueError) as error:
            raise JobError(f"Ray refused the job {name}.", why=_first_line(error), fix="mlp job list") from error
        return Job(self, name)

    def jobs(self) -> list[JobStatus]:
        """All jobs that the head remembers, newest first."""
        found = [_status(each) for each in self.client.list_jobs() if each.submission_id]
        return sorted(found, key=lambda job: job.submission_id, reverse=True)

    def job(self, submission_id: str) -> Job:
        """A job by its name."""
        return Job(self, submission_id)

    @property
    def client(self) -> JobSubmissionClient:
        """Ray's own client, authenticated.

        Raises:
            ServiceError: The cluster is not ready, or refuses the token.
        """
        if self._client is None:
            self._client = self._connect()
        client: JobSubmissionClient = self._client
        return client

    def _connect(self) -> Any:
        import logging

        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient
        from requests.exceptions import RequestException

        for chatty in ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging"):
            logging.getLogger(chatty).setLevel("WARNING")
        token = self.cluster.secret_value(self.namespace, self.name, "auth_token")
        if token is None:
            raise ServiceError(
                f"The Ray cluster {self.namespace}/{self.name} is not ready.",
                why=f"Its token (Secret {self.name}) does not exist yet.",
                fix=f"kubectl get raycluster -n {self.namespace} {self.name}",
            )
        address, headers, verify = self.cluster.service_proxy(self.namespace, f"{self.name}-head-svc", "dashboard")
        headers["X-Ray-Authorization"] = f"Bearer {token}"
        try:
            return JobSubmissionClient(address, headers=headers, verify=verify)
        except (ConnectionError, AuthenticationError, RequestException, RuntimeError) as error:
            raise ServiceError(
                f"The head of {self.namespace}/{self.name} does not answer.",
                why=_first_line(error),
                fix=f"kubectl get pods -n {self.namespace}",
            ) from error


class Job:
    """One submitted job."""

    def __init__(self, ray_cluster: RayCluster, submission_id: str) -> None:
        self.ray_cluster, self.submission_id = ray_cluster, submission_id

    def status(self) -> JobStatus:
        """What Ray says of it now.

        Raises:
            JobError: Ray does not know it.
        """
        try:
            return _status(self.ray_cluster.client.get_job_info(self.submission_id))
        except RuntimeError as error:
            raise JobError(
                f"There is no job {self.submission_id}.",
                why="The head forgets its jobs when it is replaced.",
                fix="mlp job list",
            ) from error

    def logs(self) -> list[str]:
        """What the job has printed so far."""
        return str(self.ray_cluster.client.get_job_logs(self.submission_id)).splitlines()

    def stop(self) -> None:
        """Ask Ray to end it; one that has ended is left as it is."""
        self.ray_cluster.client.stop_job(self.submission_id)

    def wait(self, *, timeout_seconds: float = 900, watcher: Watcher | None = None) -> JobStatus:
        """Follow the job to its end.

        Raises:
            JobError: It ended without success; carries the end of its log.
            WaitTimeoutError: The deadline passed; the job goes on.
        """

        def probe() -> Ready[JobStatus] | Waiting:
            status = self.status()
            if status.is_over:
                return Ready(status)
            lines = [line for line in self.logs() if line.strip()]
            return Waiting(lines[-1][:120] if lines else f"{status.status}: {status.message}")

        ended = wait_for(
            probe,
            f"the job {self.submission_id}",
            timeout_seconds=timeout_seconds,
            first_pause_seconds=0.3,
            longest_pause_seconds=1.0,
            watcher=watcher,
            fix=f"mlp job logs {self.submission_id}, or mlp job stop {self.submission_id}",
        )
        if ended.status != "SUCCEEDED":
            tail = "\n    ".join(self.logs()[-12:])
            raise JobError(
                f"The job {self.submission_id} ended {ended.status}.",
                why=f"{ended.message.splitlines()[0] if ended.message else ''}\n    {tail}",
                fix=f"Correct the job and submit it again; the whole log: mlp job logs {self.submission_id}",
            )
        return ended


def _status(info: Any) -> JobStatus:
    started = (info.start_time or 0) / 1000
    ended = (info.end_time or 0) / 1000 or time.time()
    return JobStatus(
        submission_id=str(info.submission_id),
        status=str(getattr(info.status, "value", info.status)),
        entrypoint=str(info.entrypoint),
        seconds=round(ended - started, 1) if started else 0.0,
        message=str(info.message or ""),
    )


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise JobError(f"There is no folder {folder}.", fix="Name the folder that holds the job's files.")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > UPLOAD_LIMIT_BYTES:
        raise JobError(
            f"The folder {folder} is too large to upload with a job.",
            why=f"It holds {size / 2**20:.0f} MiB; Ray's job server takes 100.",
            fix="Put data into the artifact bucket and let the job read it from there.",
        )


def _name(entrypoint: str) -> str:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    digest = hashlib.sha256(f"{entrypoint}{time.time_ns()}".encode()).hexdigest()[:4]
    return f"job-{stamp}-{digest}"


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
