"""A team's space on a cluster: namespace, way to Git, quota, Ray cluster, and what its people may do."""

from __future__ import annotations

from dataclasses import dataclass

from mlp_helpers.configsync import sync_credentials_secret
from mlp_helpers.kubernetes import Cluster, Manifest
from mlp_helpers.waiting import Ready, Waiting, Watcher, wait_for

RAY_API = "ray.io/v1"


@dataclass(frozen=True)
class Right:
    """One thing that a member of a team may or may not do.

    Args:
        resource: Plural with its group and subresource: `rayjobs.ray.io`, `pods/log`.
        is_expected: Whether the team's role grants it.
        is_granted: What the API server decides.
    """

    verb: str
    resource: str
    name: str
    is_expected: bool
    is_granted: bool


# What a team's role grants, and what it must not: verb, group, resource, name ({team} stands for the team), granted.
EXPECTED_RIGHTS = (
    ("get", "ray.io", "rayclusters", "", True),
    ("create", "ray.io", "rayjobs", "", True),
    ("get", "", "pods/log", "", True),
    ("create", "", "services/proxy", "{team}-head-svc:dashboard", True),
    ("get", "", "secrets", "{team}", True),
    ("list", "", "secrets", "", False),
    ("delete", "ray.io", "rayclusters", "", False),
    ("create", "", "pods", "", False),
    ("create", "", "pods/exec", "", False),
    ("update", "", "resourcequotas", "", False),
    ("create", "rbac.authorization.k8s.io", "rolebindings", "", False),
    ("delete", "networking.k8s.io", "networkpolicies", "", False),
)


def open_team_space(
    cluster: Cluster,
    team: str,
    credentials: tuple[str, str],
    *,
    timeout_seconds: float = 180,
    watcher: Watcher | None = None,
) -> None:
    """Give a team's reconciler its way to Git, as soon as the team's namespace is there.

    Args:
        credentials: User name and token that may read the configuration repository.

    Raises:
        WaitTimeoutError: Config Sync did not make the namespace.
    """

    def probe() -> Ready[None] | Waiting:
        found = cluster.get("v1", "Namespace", team)
        if found is None:
            return Waiting(f"Config Sync has not made the namespace {team} yet")
        phase = found.get("status", {}).get("phase", "")
        return Ready(None) if phase == "Active" else Waiting(f"the namespace {team} is {phase}")

    wait_for(probe, f"the namespace {team}", timeout_seconds=timeout_seconds, watcher=watcher, fix="mlp status")
    cluster.apply(sync_credentials_secret(team, *credentials))


def wait_for_ray_cluster(
    cluster: Cluster,
    team: str,
    *,
    workers: int | None = None,
    timeout_seconds: float = 600,
    watcher: Watcher | None = None,
) -> Manifest:
    """Wait until a team's Ray cluster is ready, with as many workers as wanted.

    Args:
        workers: How many workers must be ready; by default as many as the RayCluster desires.

    Raises:
        WaitTimeoutError: It did not become ready; carries the first cause that its pods give.
    """

    def probe() -> Ready[Manifest] | Waiting:
        found = cluster.get(RAY_API, "RayCluster", team, namespace=team)
        if found is None:
            return Waiting("Config Sync has not applied the RayCluster yet")
        status = found.get("status", {})
        desired = status.get("desiredWorkerReplicas", 0)
        ready = status.get("readyWorkerReplicas", 0)
        wanted = desired if workers is None else workers
        if status.get("state") == "ready" and ready == desired == wanted:
            return Ready(found)
        return Waiting(
            _why_not_ready(cluster, team) or f"{ready} of {wanted} workers are ready", done=ready, total=wanted
        )

    return wait_for(
        probe,
        f"the Ray cluster {team}",
        timeout_seconds=timeout_seconds,
        longest_pause_seconds=1.0,
        watcher=watcher,
        fix=f"kubectl describe pods -n {team}",
    )


def wait_for_deployment(
    cluster: Cluster, namespace: str, name: str, *, timeout_seconds: float = 300, watcher: Watcher | None = None
) -> None:
    """Wait until a Deployment has all the replicas that it wants available.

    Raises:
        WaitTimeoutError: It did not get there; carries what its pods say.
    """

    def probe() -> Ready[None] | Waiting:
        found = cluster.get("apps/v1", "Deployment", name, namespace=namespace) or {}
        wanted = found.get("spec", {}).get("replicas", 1)
        available = found.get("status", {}).get("availableReplicas", 0)
        if found and available >= wanted:
            return Ready(None)
        pods = ", ".join(f"{row['pod']} {row['status']}" for row in pod_rows(cluster, namespace))
        return Waiting(f"{available} of {wanted} available; {pods or 'no pods yet'}", done=available, total=wanted)

    wait_for(
        probe,
        f"the deployment {namespace}/{name}",
        timeout_seconds=timeout_seconds,
        longest_pause_seconds=1.0,
        watcher=watcher,
        fix=f"kubectl describe deployment -n {namespace} {name}",
    )


def _why_not_ready(cluster: Cluster, team: str) -> str:
    """The first cause among the Ray pods, in the cluster's own words."""
    for pod in cluster.list_objects("v1", "Pod", namespace=team, selector="ray.io/is-ray-node=yes"):
        status, name = pod.get("status", {}), pod["metadata"]["name"]
        for condition in status.get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return f"{name}: {condition.get('message', '')}"
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            waiting = container.get("state", {}).get("waiting")
            if waiting:
                return f"{name}: {waiting.get('reason', '')} {waiting.get('message', '')}".strip()
        if status.get("phase") == "Running" and not all(
            each.get("ready") for each in status.get("containerStatuses", [])
        ):
            return f"{name}: Ray is starting"
    return ""


def read_rights(cluster: Cluster, team: str, group: str) -> list[Right]:
    """What a member of a team may do in the team's namespace, by the API server's own decision."""
    rights = []
    for verb, api_group, resource, name, expected in EXPECTED_RIGHTS:
        named = name.format(team=team)
        granted = cluster.can(
            verb,
            resource,
            group=api_group,
            namespace=team,
            name=named,
            user=f"member-of-{team}",
            groups=(group, "system:authenticated"),
        )
        plural, slash, subresource = resource.partition("/")
        shown = (f"{plural}.{api_group}" if api_group else plural) + slash + subresource
        rights.append(Right(verb, shown, named, expected, granted))
    return rights


def quota_rows(cluster: Cluster, team: str) -> list[dict[str, str]]:
    """A team's quota and what of it is used."""
    rows = []
    for quota in cluster.list_objects("v1", "ResourceQuota", namespace=team):
        status = quota.get("status", {})
        hard = status.get("hard") or quota["spec"].get("hard", {})
        rows += [
            {"resource": name, "used": str(status.get("used", {}).get(name, "0")), "limit": str(limit)}
            for name, limit in sorted(hard.items())
        ]
    return rows


def pod_rows(cluster: Cluster, namespace: str) -> list[dict[str, str]]:
    """The pods of a namespace, as `kubectl get pods` would list them."""
    rows = []
    for pod in cluster.list_objects("v1", "Pod", namespace=namespace):
        status = pod.get("status", {})
        containers = status.get("containerStatuses", [])
        ready = sum(bool(each.get("ready")) for each in containers)
        rows.append(
            {
                "pod": pod["metadata"]["name"],
                "ready": f"{ready}/{len(pod['spec']['containers'])}",
                "status": status.get("phase", "Pending"),
                "restarts": str(sum(each.get("restartCount", 0) for each in containers)),
                "node": pod["spec"].get("nodeName", ""),
            }
        )
    return rows
