"""The sandbox's one background process: servers, clusters with their controllers and nodes, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path

from mlp_helpers.errors import MlpError
from mlp_helpers.sandbox.identities import Identities
from mlp_helpers.sandbox.state import State, write_private

ADMIN_EMAIL = "platform-admin@sandbox.example"
PROJECT, PROJECT_NUMBER = "mlp-sandbox", "100000000001"
GITHUB_LOGIN = "mlp-sandbox"
GITHUB_SCOPES = ("repo", "delete_repo", "workflow", "read:org")

log = logging.getLogger("mlp.sandbox")


class Sandbox:
    """Everything that one sandbox directory needs to run."""

    def __init__(self, state: State) -> None:
        from mlp_helpers.sandbox.clusters import Clusters
        from mlp_helpers.sandbox.github.server import GitHubServer
        from mlp_helpers.sandbox.github.store import Account
        from mlp_helpers.sandbox.google.server import GoogleServer

        self.state = state
        self.identities = Identities(state.database)
        self.google_token = self.identities.issue(ADMIN_EMAIL, is_admin=True)
        self.github_token = self.identities.issue(f"github:{GITHUB_LOGIN}")
        self.github_readonly_token = self.identities.issue("github:config-sync")
        accounts = {
            self.github_token: Account(GITHUB_LOGIN, GITHUB_SCOPES),
            self.github_readonly_token: Account(GITHUB_LOGIN, ("contents:read",)),
        }
        self.clusters = Clusters(state, self.identities)
        self.google = GoogleServer(
            state.home,
            identities=self.identities,
            clusters=self.clusters,
            http_port=state.port("google"),
            grpc_port=state.port("container"),
            operation_seconds=float(os.environ.get("MLP_SANDBOX_OPERATION_SECONDS", "0.5")),
            projects={PROJECT: PROJECT_NUMBER},
        )
        self.clusters.pod_environment = self._pod_environment
        self.github = GitHubServer(state.home, tokens=accounts.get, port=state.port("github"))

    def _pod_environment(self, project: str, namespace: str, account: str) -> dict[str, str]:
        """Variables of a pod: its principal of Workload Identity Federation, named by the project's number."""
        number = self.google.projects.get(project).number
        pool = f"projects/{number}/locations/global/workloadIdentityPools/{project}.svc.id.goog"
        return self.google.pod_environment(f"principal://iam.googleapis.com/{pool}/subject/ns/{namespace}/sa/{account}")

    async def start(self) -> None:
        """Start every server, bring back the clusters that were there, and publish the addresses."""
        from mlp_helpers.sandbox.terraform.mirror import write_mirror

        await asyncio.gather(self.google.start(), self.github.start())
        await self.clusters.start()
        rc = write_mirror(self.state.home / "terraform")
        token_file = self.state.secret_file("google-token", self.google_token)
        github_file = self.state.secret_file("github-token", self.github_token)
        readonly_file = self.state.secret_file("github-readonly-token", self.github_readonly_token)
        self.state.publish(
            {
                "version": 1,
                "pid": os.getpid(),
                "home": str(self.state.home),
                "google": self.google.http_url,
                "container": self.google.grpc_address,
                "github": self.github.url,
                "project": PROJECT,
                "project_number": PROJECT_NUMBER,
                "google_token_file": str(token_file),
                "service_account_file": str(self.state.home / "credentials" / "service-account.json"),
                "github_token_file": str(github_file),
                "github_readonly_token_file": str(readonly_file),
                "terraform_cli_config": str(rc),
            }
        )

    async def stop(self) -> None:
        """Withdraw the addresses, end the pods, then the servers."""
        self.state.withdraw()
        await self.clusters.stop()
        await asyncio.gather(self.google.stop(), self.github.stop())
        self.identities.close()
        self.state.close()


async def _run(home: Path) -> None:
    state = State(home)
    state.lock()
    state.withdraw()  # what a killed one may have left
    write_private(home / "pid", str(os.getpid()))
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, over.set)
    sandbox = Sandbox(state)
    await sandbox.start()
    log.info("ready: Google %s, GitHub %s", sandbox.google.http_url, sandbox.github.url)
    await over.wait()
    log.info("stopping")
    await sandbox.stop()
    log.info("stopped")


def main() -> None:
    """Run until SIGTERM; if it cannot start, leave the reason where the starter looks for it."""
    os.umask(0o077)
    home = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for noisy in ("aiohttp.access", "grpc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        asyncio.run(_run(home))
    except MlpError as error:
        with contextlib.suppress(OSError):  # a full disk: the log has it too
            write_private(home / "failure.json", json.dumps({"what": error.what, "why": error.why, "fix": error.fix}))
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
