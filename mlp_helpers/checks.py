"""The checks of every step: what was looked at, what was found, what was expected, and what to do if it differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlp_helpers.display import Shown, table
from mlp_helpers.errors import CheckError

if TYPE_CHECKING:
    import pandas as pd

    from mlp_helpers.platform import Platform


@dataclass(frozen=True)
class Finding:
    """One thing that a check looked at.

    Args:
        advice: What to do if it is not as expected.
    """

    looked_at: str
    found: str
    expected: str
    is_ok: bool
    advice: str = ""


@dataclass(frozen=True)
class CheckResult:
    """All findings of one step's check; shows itself as a table."""

    title: str
    findings: tuple[Finding, ...]

    @property
    def is_ok(self) -> bool:
        """Whether everything is as expected."""
        return all(each.is_ok for each in self.findings)

    def shown(self) -> Shown:
        """The findings as a table, worst first."""
        rows = [
            {
                "": "✓ ok" if each.is_ok else "✗ differs",
                "looked at": each.looked_at,
                "found": each.found,
                "expected": "" if each.is_ok else each.expected,
                "what to do": "" if each.is_ok else each.advice,
            }
            for each in sorted(self.findings, key=lambda finding: finding.is_ok)
        ]
        if self.is_ok:
            rows = [{key: row[key] for key in ("", "looked at", "found")} for row in rows]
        return table(rows, caption=f"Check: {self.title}")

    def __repr__(self) -> str:
        return repr(self.shown())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return self.shown()._repr_mimebundle_()


def conclude(title: str, findings: Sequence[Finding]) -> CheckResult:
    """The result of a check.

    Raises:
        CheckError: Something is not as expected; the message has every finding that differs.
    """
    result = CheckResult(title, tuple(findings))
    if not result.is_ok:
        wrong = [each for each in findings if not each.is_ok]
        raise CheckError(
            f"{title}: {len(wrong)} of {len(findings)} findings differ.",
            why="; ".join(f"{each.looked_at}: found {each.found}, expected {each.expected}" for each in wrong),
            fix=" ".join(dict.fromkeys(each.advice for each in wrong if each.advice)),
        )
    return result


class Checks:
    """The checks of a platform, one for each step of the workbook.

    Every check returns a result that a person reads and raises `CheckError` where a machine must stop.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def configuration(self) -> CheckResult:
        """The configuration is valid and its world can be reached."""
        config = self._platform.config
        number = self._platform.endpoints.project_number(config.project)
        findings = [
            Finding(
                "mlp.yaml, variables, parameters", f"{len(config.environments)} environment(s)", "one or more", True
            ),
            Finding(f"project {config.project}", f"number {number}", "a project", bool(number)),
            self._github_account(),
        ]
        return conclude("configuration", findings)

    def _github_account(self) -> Finding:
        login = self._platform.endpoints.github().get_user().login
        owner = self._platform.config.github.owner
        return Finding(f"GitHub, as {owner}", f"signed in as {login}", "an account", bool(login))

    def provisioned(self) -> CheckResult:
        """The cluster runs, is private, belongs to the fleet, and its state is in the bucket."""
        platform = self._platform
        found = platform.cluster_info()
        advice = "Run the provisioning step again: it goes on where it stopped."
        status = found.status if found else "absent"
        members = platform.memberships()
        states = platform.state_objects()
        findings = [
            Finding(f"cluster {platform.cluster_name}", status, "RUNNING", status == "RUNNING", advice),
            Finding(
                "its nodes",
                "private" if found and found.is_private else "not private",
                "private",
                bool(found and found.is_private),
                advice,
            ),
            *(
                Finding(f"node pool {pool.name}", pool.status, "RUNNING", pool.status == "RUNNING", advice)
                for pool in (found.node_pools if found else ())
            ),
            Finding(
                "fleet memberships",
                ", ".join(name.rsplit("/", 1)[-1] for name in members) or "none",
                platform.cluster_name,
                any(name.endswith(f"/{platform.cluster_name}") for name in members),
                advice,
            ),
            Finding(
                f"Terraform state in gs://{platform.config.state_bucket}",
                f"{len(states)} states",
                "3 states or more",
                len(states) >= 3,
                advice,
            ),
        ]
        return conclude("provisioned", findings)

    def synced(self) -> CheckResult:
        """Config Sync has applied the head of the environment's branch, and KubeRay is there."""
        platform = self._platform
        head = platform.repository.head(platform.environment)
        status = platform.sync_status()
        crd = platform.cluster.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "rayclusters.ray.io")
        findings = [
            Finding(
                str(status.ref),
                f"{status.commit[:8] or 'no commit'}: {'synced' if status.is_synced else status.reason}",
                f"{head[:8]}: synced",
                status.is_synced and status.commit == head,
                f"kubectl describe rootsync -n {status.ref.namespace} {status.ref.name}",
            ),
            Finding(
                "definition rayclusters.ray.io",
                "established" if crd else "absent",
                "established",
                bool(crd),
                "Look at the RootSync kuberay: kubectl get rootsync -A",
            ),
        ]
        return conclude("synced", findings)

    def team_space(self, team: str = "") -> CheckResult:
        """The team's sync is at the head, its quota stands, and its people have their rights and no others."""
        from mlp_helpers.configsync import read_sync, repo_sync
        from mlp_helpers.teams import quota_rows, read_rights

        platform = self._platform
        team = team or platform.team
        head = platform.repository.head(platform.environment)
        status = read_sync(platform.cluster, repo_sync(team))
        rights = read_rights(platform.cluster, team, platform.config.team(team).group)
        wrong = [f"{each.verb} {each.resource}" for each in rights if each.is_granted != each.is_expected]
        quota = quota_rows(platform.cluster, team)
        findings = [
            Finding(
                str(status.ref),
                f"{status.commit[:8] or 'no commit'}: {'synced' if status.is_synced else status.reason}",
                f"{head[:8]}: synced",
                status.is_synced and status.commit == head,
                f"kubectl describe reposync -n {team} repo-sync",
            ),
            Finding(
                f"{len(rights)} rights of a member",
                ", ".join(wrong) or "as the role names them",
                "as the role names them",
                not wrong,
                f"kubectl describe role -n {team} team-member",
            ),
            Finding(
                f"quota of {team}",
                f"{len(quota)} limits",
                "1 limit or more",
                bool(quota),
                f"kubectl get resourcequota -n {team}",
            ),
            self._ray(team),
        ]
        return conclude(f"team space {team}", findings)

    def _ray(self, team: str) -> Finding:
        found = self._platform.cluster.get("ray.io/v1", "RayCluster", team, namespace=team) or {}
        status = found.get("status", {})
        text = f"{status.get('state', 'absent')}, {status.get('readyWorkerReplicas', 0)} workers ready"
        return Finding(
            f"RayCluster {team}",
            text,
            "ready",
            status.get("state") == "ready",
            f"kubectl get pods -n {team}; kubectl describe raycluster -n {team} {team}",
        )

    def job_result(self, result: pd.DataFrame) -> CheckResult:
        """The result counts every arrival once in each of its groups; compared with the table itself.

        Args:
            result: What `Platform.read_flights_result` returned.
        """
        from mlp_helpers.datasets import count_arrivals

        advice = "Look at the job's log: mlp job list, mlp job logs NAME"
        expected = count_arrivals()
        counts = result.groupby("group")["flights"].sum()
        findings = [
            Finding(f"arrivals by {group}", f"{count:,}", f"{expected:,}", count == expected, advice)
            for group, count in counts.items()
        ] or [Finding("groups in the result", "none", "carrier, hour, weather", False, advice)]
        return conclude("job result", findings)

    def cleaned_up(self, *, keep_repository: bool = False) -> CheckResult:
        """Nothing that costs money or keeps a name is left.

        Args:
            keep_repository: Whether the repository and the states were meant to stay.
        """
        left = self._platform.leftovers()
        if keep_repository:
            left.pop("repository")
            left["buckets"] = [name for name in left["buckets"] if name != self._platform.config.state_bucket]
        findings = [
            Finding(
                kind,
                ", ".join(names) or "none",
                "none",
                not names,
                "Run the clean-up again: it goes on where it stopped.",
            )
            for kind, names in left.items()
        ]
        return conclude("cleaned up", findings)
