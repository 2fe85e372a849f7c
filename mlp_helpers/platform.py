"""The object that a notebook holds: one environment and one team of the platform, and every step as a method."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from mlp_helpers import configsync, fleet, gke, provisioning, teams
from mlp_helpers.checks import Checks
from mlp_helpers.config import PlatformConfig, load_config
from mlp_helpers.config_file import describe_config
from mlp_helpers.display import Picture, Progress, Shown, card, table
from mlp_helpers.endpoints import Endpoints, connect
from mlp_helpers.folders import PROJECT_FOLDER
from mlp_helpers.kubernetes import Cluster
from mlp_helpers.rayjobs import Job, RayCluster

if TYPE_CHECKING:
    import pandas as pd

    from mlp_helpers.github import ConfigRepository
    from mlp_helpers.storage import Artifacts
    from mlp_helpers.terraform import Plan

JOBS = PROJECT_FOLDER / "jobs"
FLIGHTS_DATA, FLIGHTS_RESULTS = "data/flights", "results/flights"


class Platform:
    """A platform as configured, seen from one environment and one team.

    Args:
        config: The validated configuration.
        endpoints: The clients of its world.
        environment: The environment that the steps work on.
        team: The team that the steps work for.
    """

    def __init__(self, config: PlatformConfig, endpoints: Endpoints, *, environment: str, team: str) -> None:
        self.config, self.endpoints = config, endpoints
        self.environment, self.team = environment, team
        self.check = Checks(self)

    @classmethod
    def load(
        cls,
        *,
        environment: str = "",
        team: str = "",
        workers: int = -1,
        parameters: Mapping[str, object] | None = None,
    ) -> Platform:
        """Read the configuration and connect to its world.

        Args:
            environment: By default the first one configured.
            team: By default the first one configured.
            workers: Ray workers of the team; -1 leaves what the configuration says.
            parameters: Dotted keys of the configuration that a notebook overrides.

        Raises:
            ConfigError: The configuration is not valid, or names no such environment or team.
        """
        config = load_config(parameters=parameters)
        environment = environment or next(iter(config.environments))
        config.environment(environment)
        team = team or next(iter(config.teams_of(environment)), "")
        if team:
            config.team(team)
        if workers >= 0:
            config = load_config(parameters={**(parameters or {}), f"teams.{team}.ray.workers": workers})
        return cls(config, connect(config), environment=environment, team=team)

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def project(self) -> str:
        """Project ID of the environment."""
        return self.config.project_of(self.environment)

    @property
    def region(self) -> str:
        """Region of the environment."""
        return self.config.region_of(self.environment)

    @property
    def cluster_name(self) -> str:
        """Name of the environment's cluster and of its fleet membership."""
        return self.config.cluster_of(self.environment)

    def describe(self) -> Shown:
        """The configuration's main values and where its services are."""
        facts = {
            **describe_config(self.config),
            "this notebook": f"environment {self.environment}, team {self.team or 'none'}",
            **self.endpoints.describe(),
        }
        return card("Platform", "ok", facts)

    def show_stations(self) -> Shown:
        """Every station of the workbook with its state, read from the platform."""
        from mlp_helpers.stations import read_stations

        marks = {"done": "✓ done", "partly": "● partly", "open": "○ open"}
        rows = [
            {"": marks[each.state], "notebook": each.notebook, "what": each.what, "found": each.found}
            for each in read_stations(self)
        ]
        return table(rows, caption=f"Stations of {self.environment}")

    @cached_property
    def cluster(self) -> Cluster:
        """The environment's cluster, through the Connect Gateway."""
        return fleet.connect_cluster(
            self.endpoints, project=self.project, location=self.region, membership=self.cluster_name
        )

    @cached_property
    def repository(self) -> ConfigRepository:
        """The configuration repository."""
        from mlp_helpers.github import ConfigRepository

        return ConfigRepository(self.endpoints.github(), f"{self.config.github.owner}/{self.config.github.repository}")

    @cached_property
    def artifacts(self) -> Artifacts:
        """The environment's bucket for data and results."""
        from mlp_helpers.storage import Artifacts

        return Artifacts(self.endpoints.storage(self.project), self.config.artifact_bucket(self.environment))

    @cached_property
    def ray(self) -> RayCluster:
        """The team's Ray cluster."""
        return RayCluster(self.cluster, self.team, self.team)

    # -- provision ------------------------------------------------------------------------------------------------

    def bootstrap(self) -> Shown:
        """Make the project usable and the state bucket ready: what must exist before Terraform can run."""
        from mlp_helpers.storage import ensure_state_bucket

        with Progress("Bootstrap") as progress:
            for project in sorted({self.config.project_of(name) for name in self.config.environments}):
                progress.update(f"project {project}")
                self.endpoints.prepare_project(project)
            progress.update(f"bucket {self.config.state_bucket}")
            ensure_state_bucket(
                self.endpoints.storage(self.config.project),
                self.config.state_bucket,
                project=self.config.project,
                location=self.config.buckets.location or self.config.region,
            )
        return card("Bootstrap", "ok", {"project": self.project, "state bucket": f"gs://{self.config.state_bucket}"})

    def layer(self, name: str) -> provisioning.Layer:
        """A layer of Terraform by its name: project, repository or environment."""
        match name:
            case "project":
                return provisioning.project_layer(self.config, self.project)
            case "repository":
                return provisioning.repository_layer(self.config)
        url = self.endpoints.repository_url(self.config.github.owner, self.config.github.repository)
        number = self.endpoints.project_number(self.project)
        return provisioning.environment_layer(self.config, self.environment, repository_url=url, project_number=number)

    def plan(self, layer_name: str, *, destroy: bool = False) -> Plan:
        """What Terraform would change in a layer; nothing is changed."""
        layer = self.layer(layer_name)
        terraform = provisioning.open_layer(layer, self.config, self.endpoints)
        with Progress(f"Plan {layer_name}") as progress:
            terraform.init(watcher=progress)
            return terraform.plan(layer.variables, destroy=destroy, watcher=progress)

    def show_plan(self, layer_name: str) -> Shown:
        """What Terraform would change in a layer, as a table."""
        plan = self.plan(layer_name)
        return table(plan.rows(), caption=f"{layer_name}: {plan}")

    def apply(self, layer_name: str) -> Shown:
        """Plan a layer and make it so; a layer that is as it should be is left alone."""
        layer = self.layer(layer_name)
        terraform = provisioning.open_layer(layer, self.config, self.endpoints)
        with Progress(f"Apply {layer_name}") as progress:
            terraform.init(watcher=progress)
            plan = terraform.plan(layer.variables, watcher=progress)
            if plan.has_changes:
                terraform.apply(plan, watcher=progress)
        return table(plan.rows(), caption=f"{layer_name}: {plan}")

    def seed_repository(self) -> Shown:
        """Render the environment's configuration and commit it as one commit; the same content makes no commit."""
        url = self.endpoints.repository_url(self.config.github.owner, self.config.github.repository)
        files = configsync.render(self.config, self.environment, repository_url=url)
        result = self.repository.seed(
            self.environment,
            files,
            f"Configure {self.environment}",
            replace_under=(f"{configsync.cluster_folder(self.environment)}/",),
        )
        facts = {
            "repository": url,
            "branch": self.environment,
            "commit": result.commit,
            "files": f"{len(files)}, {'changed' if result.changed else 'as they were'}",
        }
        return card("Configuration repository", "ok", facts)

    def cluster_info(self) -> gke.ClusterInfo | None:
        """The environment's cluster as GKE tells of it."""
        return gke.find_cluster(self.endpoints, project=self.project, location=self.region, name=self.cluster_name)

    def memberships(self) -> list[str]:
        """Full names of the fleet's memberships."""
        return fleet.list_memberships(self.endpoints, self.project)

    def is_bootstrapped(self) -> bool:
        """Whether the state bucket is there: before that nothing else can be."""
        return bool(self.endpoints.storage(self.config.project).bucket(self.config.state_bucket).exists())

    def state_objects(self) -> list[str]:
        """Names of Terraform's states in the state bucket."""
        client = self.endpoints.storage(self.config.project)
        names = [blob.name for blob in client.list_blobs(self.config.state_bucket)]
        return [name for name in names if name.endswith(".tfstate")]

    # -- GitOps ---------------------------------------------------------------------------------------------------

    def connect_config_sync(self) -> Shown:
        """Give Config Sync its read-only way to the repository, and wait until it has applied the branch's head."""
        credentials = self.endpoints.sync_credentials()
        self.cluster.apply(configsync.sync_credentials_secret(configsync.SYNC_NAMESPACE, *credentials))
        return self.wait_until_synced()

    def wait_until_synced(self, ref: configsync.SyncRef | None = None) -> Shown:
        """Wait until a sync (by default root-sync) has applied the head of the environment's branch."""
        ref = ref or configsync.SyncRef()
        head = self.repository.head(self.environment)
        with Progress(f"{ref} at {head[:8]}") as progress:
            configsync.wait_until_synced(self.cluster, ref, head, watcher=progress)
        return self.show_syncs()

    def wait_for_operator(self) -> Shown:
        """Wait until the RootSync kuberay has applied its chart and the operator runs; shows its pod."""
        with Progress("KubeRay") as progress:
            configsync.wait_until_synced(self.cluster, configsync.SyncRef(name="kuberay"), "", watcher=progress)
            teams.wait_for_deployment(self.cluster, "kuberay", "kuberay-operator", watcher=progress)
        return table(teams.pod_rows(self.cluster, "kuberay"), caption="Pods of kuberay")

    def sync_status(self) -> configsync.SyncStatus:
        """State of the environment's root-sync."""
        return configsync.read_sync(self.cluster, configsync.SyncRef())

    def show_syncs(self) -> Shown:
        """Every RootSync and RepoSync of the cluster with its commit and its errors."""
        rows = []
        for kind in ("RootSync", "RepoSync"):
            for each in self.cluster.list_objects(configsync.SYNC_API, kind):
                metadata = each["metadata"]
                ref = configsync.SyncRef(kind, metadata["namespace"], metadata["name"])
                status = configsync.read_sync(self.cluster, ref)
                rows.append(
                    {
                        "sync": str(ref),
                        "commit": status.commit[:8],
                        "state": "synced" if status.is_synced else status.reason,
                        "errors": str(len(status.problems)),
                    }
                )
        return table(rows, caption="Syncs")

    # -- team -----------------------------------------------------------------------------------------------------

    def open_team_space(self) -> Shown:
        """Give the team's reconciler its way to Git and wait until its folder is applied."""
        with Progress(f"Team space {self.team}") as progress:
            teams.open_team_space(self.cluster, self.team, self.endpoints.sync_credentials(), watcher=progress)
        return self.wait_until_synced(configsync.repo_sync(self.team))

    def wait_for_ray_cluster(self) -> Shown:
        """Wait until the team's Ray cluster is ready; shows its pods."""
        with Progress(f"Ray cluster {self.team}") as progress:
            teams.wait_for_ray_cluster(self.cluster, self.team, watcher=progress)
        return self.show_pods()

    def show_pods(self) -> Shown:
        """The team's pods."""
        return table(teams.pod_rows(self.cluster, self.team), caption=f"Pods of {self.team}")

    def show_quota(self) -> Shown:
        """The team's quota and what of it is used."""
        return table(teams.quota_rows(self.cluster, self.team), caption=f"Quota of {self.team}")

    def show_rights(self) -> Shown:
        """What a member of the team may do, and what not."""
        rights = teams.read_rights(self.cluster, self.team, self.config.team(self.team).group)
        rows = [
            {"may": "yes" if each.is_granted else "no", "verb": each.verb, "resource": each.resource, "name": each.name}
            for each in rights
        ]
        return table(rows, caption=f"A member of {self.team}")

    # -- work -----------------------------------------------------------------------------------------------------

    def upload_flights(self) -> Shown:
        """Put the flights' tables into the artifact bucket; what is there already is not sent again."""
        from mlp_helpers.datasets import flights_files

        with Progress("Upload") as progress:
            for path in flights_files():
                progress.update(path.name)
                self.artifacts.upload_file(path, f"{FLIGHTS_DATA}/{path.name}")
        rows = [{"object": name} for name in self.artifacts.list(FLIGHTS_DATA)]
        return table(rows, caption=f"gs://{self.artifacts.bucket_name}")

    def submit_flights_job(self) -> Job:
        """Submit jobs/flights/delays.py to the team's Ray cluster."""
        return self.ray.submit(
            "python delays.py",
            folder=JOBS / "flights",
            environment={
                "ARTIFACT_BUCKET": self.artifacts.bucket_name,
                "DATA_PREFIX": FLIGHTS_DATA,
                "RESULT_PREFIX": FLIGHTS_RESULTS,
            },
        )

    def follow(self, job: Job) -> Shown:
        """Wait for a job's end; shows its log."""
        from mlp_helpers.display import log

        with Progress(f"Job {job.submission_id}") as progress:
            status = job.wait(watcher=progress)
        return log(f"Job {job.submission_id}: {status.status} after {status.seconds} s", job.logs())

    def read_flights_result(self) -> pd.DataFrame:
        """The delay statistics that the job left in the artifact bucket."""
        return self.artifacts.read_parquet(FLIGHTS_RESULTS)

    def plot_flights_result(self, result: pd.DataFrame) -> Picture:
        """Mean delay by hour and by weather."""
        from mlp_helpers.plots import plot_delays

        return plot_delays(result)

    def show_jobs(self) -> Shown:
        """The jobs that the head remembers."""
        rows = [
            {"job": each.submission_id, "status": each.status, "seconds": each.seconds, "entrypoint": each.entrypoint}
            for each in self.ray.jobs()
        ]
        return table(rows, caption=f"Jobs of {self.team}")

    # -- clean up -------------------------------------------------------------------------------------------------

    def destroy(self, layer_name: str) -> Shown:
        """Remove everything that a layer made; one that made nothing is left alone."""
        layer = self.layer(layer_name)
        terraform = provisioning.open_layer(layer, self.config, self.endpoints)
        with Progress(f"Destroy {layer_name}") as progress:
            terraform.init(watcher=progress)
            terraform.destroy(layer.variables, watcher=progress)
        return card(f"Destroy {layer_name}", "ok", {"left in its state": str(len(terraform.outputs()))})

    def delete_buckets(self) -> Shown:
        """Delete the state bucket with everything in it: the last step, when no layer is left."""
        from mlp_helpers.storage import delete_bucket

        delete_bucket(self.endpoints.storage(self.config.project), self.config.state_bucket, contents=True)
        return card("Buckets", "ok", {"deleted": f"gs://{self.config.state_bucket}"})

    def leftovers(self) -> dict[str, list[str]]:
        """What is still there of the environment, by kind."""
        from google.api_core import exceptions

        try:
            members = [name for name in self.memberships() if name.endswith(f"/{self.cluster_name}")]
        except exceptions.Forbidden:  # the fleet's API is off: there can be no members
            members = []
        found = self.cluster_info()
        client = self.endpoints.storage(self.project)
        ours = (self.config.artifact_bucket(self.environment), self.config.state_bucket)
        return {
            "clusters": [found.name] if found else [],
            "fleet memberships": members,
            "buckets": [bucket.name for bucket in client.list_buckets() if bucket.name in ours],
            "repository": [self.repository.name] if self.repository.exists() else [],
        }
