"""The configuration repository: render it from the configuration, and read, explain and wait for its sync."""

from __future__ import annotations

import io
import platform as python_platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from mlp_helpers.config import PlatformConfig, TeamConfig
from mlp_helpers.errors import SyncError
from mlp_helpers.folders import PROJECT_FOLDER
from mlp_helpers.kubernetes import Cluster, Manifest
from mlp_helpers.waiting import Ready, Waiting, Watcher, wait_for

SOURCE = PROJECT_FOLDER / "configsync"
SYNC_NAMESPACE = "config-management-system"
SYNC_API = "configsync.gke.io/v1beta1"
# A kind that another sync is about to define, a right or a server that is on its way: these pass by themselves.
PASSING_CODES = ("KNV1021", "KNV2002", "KNV2004", "KNV2009", "KNV2010", "KNV2013", "KNV2016")
EXAMPLE_TEAM = "ml-team"  # the name that the manifests in configsync/ bear


def cluster_folder(environment: str) -> str:
    """Folder of the configuration repository that `root-sync` applies."""
    return f"clusters/{environment}"


def team_folder(team: str, environment: str) -> str:
    """Folder of the configuration repository that a team's `repo-sync` applies."""
    return f"teams/{team}/{environment}"


def render(config: PlatformConfig, environment: str, *, repository_url: str) -> dict[str, str]:
    """The content of one environment's branch: paths and texts, the same for the same configuration.

    Args:
        repository_url: Address from which the cluster clones the configuration repository.
    """
    files = {"README.md": (SOURCE / "README.md").read_text()}
    for path, documents in _documents("cluster"):
        files[f"{cluster_folder(environment)}/{path}"] = _dump(documents)
    for name, team in config.teams_of(environment).items():

        def adapt(manifest: Manifest, name: str = name, team: TeamConfig = team) -> Manifest:
            return _for_team(manifest, name, team, environment, repository_url)

        for path, documents in _documents("team"):
            files[f"{cluster_folder(environment)}/teams/{name}/{path}"] = _dump(documents, adapt)
        for path, documents in _documents("team-space"):
            files[f"{team_folder(name, environment)}/{path}"] = _dump(documents, adapt)
    return files


def ray_image() -> str:
    """The Ray image with the very Ray and Python that run here: client and cluster must agree on both."""
    major, minor, _ = python_platform.python_version_tuple()
    return f"rayproject/ray:{version('ray')}-py{major}{minor}"


def _documents(folder: str) -> Iterator[tuple[str, list[Manifest]]]:
    import yaml

    for path in sorted((SOURCE / folder).glob("*.yaml")):
        yield path.name, list(yaml.safe_load_all(path.read_text()))


def _dump(documents: list[Manifest], adapt: Callable[[Manifest], Manifest] = lambda manifest: manifest) -> str:
    import yaml

    out = io.StringIO()
    yaml.safe_dump_all([adapt(document) for document in documents], out, sort_keys=False, width=120)
    return out.getvalue()


def _for_team(manifest: Manifest, name: str, team: TeamConfig, environment: str, repository_url: str) -> Manifest:
    """One of the example's manifests, for this team in this environment."""
    renamed: Manifest = _rename(manifest, name)
    match renamed["kind"]:
        case "ResourceQuota":
            hard = renamed["spec"]["hard"]
            hard["requests.cpu"], hard["requests.memory"] = team.quota.cpu, team.quota.memory
            hard["requests.nvidia.com/gpu"], hard["pods"] = str(team.quota.gpu), str(team.quota.pods)
        case "RoleBinding" if renamed["metadata"]["name"] == "team-member":
            renamed["subjects"][0]["name"] = team.group
        case "RepoSync":
            git = renamed["spec"]["git"]
            git["repo"], git["branch"], git["dir"] = repository_url, environment, team_folder(name, environment)
        case "RayCluster":
            _size(renamed["spec"], team)
    return renamed


def _size(spec: Manifest, team: TeamConfig) -> None:
    ray, workers = team.ray, spec["workerGroupSpecs"][0]
    spec["rayVersion"] = version("ray")
    workers["replicas"], workers["maxReplicas"] = ray.workers, ray.max_workers
    sizes = {"ray-head": (ray.head_cpu, ray.head_memory), "ray-worker": (ray.worker_cpu, ray.worker_memory)}
    for template in (spec["headGroupSpec"]["template"], workers["template"]):
        container = template["spec"]["containers"][0]
        cpu, memory = sizes[container["name"]]
        container["image"] = ray_image()
        container["resources"] = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def _rename(value: Any, team: str) -> Any:
    """The value with the example team's name replaced wherever it is a name of its own."""
    if isinstance(value, dict):
        return {key: _rename(each, team) for key, each in value.items()}
    if isinstance(value, list):
        return [_rename(each, team) for each in value]
    if isinstance(value, str) and EXAMPLE_TEAM in value and "@" not in value:
        return value.replace(EXAMPLE_TEAM, team)
    return value


@dataclass(frozen=True)
class SyncRef:
    """A RootSync (in config-management-system) or a RepoSync (in a team's namespace)."""

    kind: str = "RootSync"
    namespace: str = SYNC_NAMESPACE
    name: str = "root-sync"

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class SyncProblem:
    """One error that a sync reports.

    Args:
        code: Config Sync's own: KNV1021, KNV2004, …
        file: Path in the repository, where the error names one.
    """

    code: str
    message: str
    file: str


@dataclass(frozen=True)
class SyncStatus:
    """A sync object's state, in Config Sync's own terms."""

    ref: SyncRef
    exists: bool
    commit: str
    is_synced: bool
    is_stalled: bool
    reason: str
    problems: tuple[SyncProblem, ...]


def repo_sync(team: str) -> SyncRef:
    """The sync object of a team."""
    return SyncRef("RepoSync", team, "repo-sync")


def read_sync(cluster: Cluster, ref: SyncRef) -> SyncStatus:
    """Read a sync object's state; one that does not exist yet is a state too."""
    found = cluster.get(SYNC_API, ref.kind, ref.name, namespace=ref.namespace)
    if found is None:
        return SyncStatus(ref, False, "", False, False, f"{ref} does not exist yet", ())
    status = found.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    problems = tuple(_problems(status))
    stalled = conditions.get("Stalled", {})
    syncing = conditions.get("Syncing", {})
    commit = str(status.get("sync", {}).get("commit", ""))
    is_synced = (
        bool(commit)
        and not problems
        and stalled.get("status") != "True"
        and syncing.get("status") == "False"
        and conditions.get("Reconciling", {}).get("status") != "True"
        and status.get("lastSyncedCommit") == commit
        and status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
    )
    waiting = next(
        (
            str(each.get("message"))
            for each in (stalled, conditions.get("Reconciling", {}), syncing)
            if each.get("message")
        ),
        "the reconciler has not reported yet",
    )
    reason = f"{problems[0].code}: {problems[0].message}" if problems else waiting
    return SyncStatus(ref, True, commit, is_synced, stalled.get("status") == "True", reason, problems)


def _problems(status: Manifest) -> Iterator[SyncProblem]:
    for stage in ("source", "rendering", "sync"):
        for error in status.get(stage, {}).get("errors", []):
            resources = error.get("errorResources") or error.get("resources") or [{}]
            message = " ".join(str(error.get("errorMessage", "")).split())
            yield SyncProblem(f"KNV{error.get('code', '')}", message, str(resources[0].get("sourcePath", "")))


def wait_until_synced(
    cluster: Cluster, ref: SyncRef, commit: str, *, timeout_seconds: float = 300, watcher: Watcher | None = None
) -> SyncStatus:
    """Wait until a RootSync or RepoSync has applied a commit.

    Args:
        commit: Full SHA-1 that must be applied; empty means any.

    Raises:
        SyncError: The sync reports errors that do not pass by themselves.
        WaitTimeoutError: The deadline passed; carries the last thing that the sync said.
    """

    def probe() -> Ready[SyncStatus] | Waiting:
        status = read_sync(cluster, ref)
        if status.is_synced and (not commit or status.commit == commit):
            return Ready(status)
        lasting = [each for each in status.problems if each.code not in PASSING_CODES]
        if lasting and status.commit == commit:
            raise SyncError(
                f"{ref} cannot apply {commit[:8]}.",
                why="; ".join(f"{each.code} {each.file} {each.message}" for each in lasting),
                fix="Correct the file in the configuration repository and push; the sync goes on by itself.",
            )
        behind = f"it is at {status.commit[:8] or 'no commit'}, {commit[:8]} is wanted" if commit else ""
        return Waiting(status.reason if not status.is_synced else behind)

    return wait_for(
        probe,
        f"{ref} to apply {commit[:8] or 'its source'}",
        timeout_seconds=timeout_seconds,
        longest_pause_seconds=1.0,
        watcher=watcher,
        fix=f"kubectl describe {ref.kind.lower()} -n {ref.namespace} {ref.name}",
    )


def sync_credentials_secret(namespace: str, username: str, token: str) -> Manifest:
    """The Secret with which a reconciler reads the repository."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "git-creds", "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "mlp"}},
        "type": "Opaque",
        "stringData": {"username": username, "token": token},
    }
