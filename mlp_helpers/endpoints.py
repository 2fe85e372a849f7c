"""Where each service lives and how to authenticate, in either world.

Only this module and `config` know which world it is: everything else takes the clients that are made here.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlp_helpers.config import PlatformConfig
from mlp_helpers.errors import ConfigError, MixedWorldsError, SandboxError

if TYPE_CHECKING:
    from github import Github
    from google.cloud.container_v1 import ClusterManagerClient
    from google.cloud.gkeconnect.gateway_v1 import GatewayControlClient
    from google.cloud.gkehub_v1 import GkeHubClient
    from google.cloud.storage import Client as StorageClient

CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
EMULATOR_VARIABLES = ("STORAGE_EMULATOR_HOST", "MLP_SANDBOX_ENDPOINTS")


class Endpoints(Protocol):
    """The clients of every service, ready to use."""

    def describe(self) -> dict[str, str]:
        """What a person wants to know of this world: where its services are."""

    def prepare_project(self, project: str) -> None:
        """Make sure that a project can be used, as far as this world lets us."""

    def project_number(self, project: str) -> str:
        """The number that Google gave a project."""

    def container(self) -> ClusterManagerClient:
        """Client of GKE."""

    def hub(self) -> GkeHubClient:
        """Client of the fleet's memberships and features."""

    def gateway(self) -> GatewayControlClient:
        """Client of the Connect Gateway."""

    def storage(self, project: str) -> StorageClient:
        """Client of Cloud Storage."""

    def github(self) -> Github:
        """Client of GitHub."""

    def repository_url(self, owner: str, name: str) -> str:
        """Address from which Git clones a repository."""

    def sync_credentials(self) -> tuple[str, str]:
        """User name and token with which Config Sync reads the configuration repository."""

    def terraform_environment(self) -> dict[str, str]:
        """Variables that Terraform's providers and backend need."""

    def terraform_backend(self, bucket: str, prefix: str) -> dict[str, str]:
        """Settings of Terraform's `gcs` backend."""

    def shell_environment(self) -> dict[str, str]:
        """Variables that a person's shell needs for kubectl, terraform, git and gcloud."""

    def kubeconfig_for(self, email: str, groups: tuple[str, ...], kubeconfig: Mapping[str, Any]) -> dict[str, Any]:
        """A kubeconfig like the one given, but for another person."""


def connect(config: PlatformConfig) -> Endpoints:
    """The endpoints of the world that the configuration names; a sandbox that does not run is started.

    Raises:
        SandboxError: The sandbox cannot be started.
        MixedWorldsError: Sandbox addresses stand beside real credentials, or the reverse.
    """
    if config.world == "sandbox":
        from mlp_helpers.sandbox.lifecycle import sandbox_status, start_sandbox
        from mlp_helpers.sandbox.state import sandbox_home

        _bypass_proxies()  # before anything starts: processes that the sandbox starts inherit it
        home = sandbox_home()
        if not sandbox_status(home).is_ready:
            start_sandbox(home)
        return SandboxEndpoints(home)
    return GoogleCloudEndpoints(config)


class SandboxEndpoints:
    """The world on this machine: addresses and credentials from a file that the running sandbox keeps."""

    def __init__(self, home: Path) -> None:
        self._refuse_real_credentials(home)
        self._file = home / "endpoints.json"
        try:
            self._known: dict[str, str] = json.loads(self._file.read_text())
        except FileNotFoundError:
            raise SandboxError(
                "The sandbox does not run.", why=f"{self._file} is absent.", fix="mlp sandbox start"
            ) from None

    @staticmethod
    def _refuse_real_credentials(home: Path) -> None:
        given = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        if given and not Path(given).resolve().is_relative_to(home):
            raise MixedWorldsError(
                "Real credentials and the sandbox do not go together.",
                why="GOOGLE_APPLICATION_CREDENTIALS names another file than the sandbox's; mlp.yaml says sandbox.",
                fix="unset GOOGLE_APPLICATION_CREDENTIALS, or set world: google-cloud in mlp.yaml",
            )

    def describe(self) -> dict[str, str]:
        return {
            "Google Cloud": self._known["google"],
            "GitHub": self._known["github"],
            "directory": self._known["home"],
        }

    def prepare_project(self, project: str) -> None:
        try:
            self._call("POST", "/cloudresourcemanager/v3/projects", {"projectId": project, "displayName": project})
        except urllib.error.HTTPError as error:
            if error.code != 409:  # it is there already
                raise

    def project_number(self, project: str) -> str:
        found = self._call("GET", f"/cloudresourcemanager/v1/projects/{project}")
        return str(found["projectNumber"])

    def container(self) -> ClusterManagerClient:
        import grpc
        from google.cloud.container_v1 import ClusterManagerClient
        from google.cloud.container_v1.services.cluster_manager.transports import ClusterManagerGrpcTransport

        channel = grpc.intercept_channel(
            grpc.insecure_channel(self._known["container"]), _bearer_interceptor(self._token)
        )
        return ClusterManagerClient(transport=ClusterManagerGrpcTransport(channel=channel))

    def hub(self) -> GkeHubClient:
        from google.cloud.gkehub_v1 import GkeHubClient

        return GkeHubClient(
            transport="rest", credentials=self._credentials(), client_options={"api_endpoint": self._known["google"]}
        )

    def gateway(self) -> GatewayControlClient:
        from google.cloud.gkeconnect.gateway_v1 import GatewayControlClient

        return GatewayControlClient(
            transport="rest", credentials=self._credentials(), client_options={"api_endpoint": self._known["google"]}
        )

    def storage(self, project: str) -> StorageClient:
        from google.cloud.storage import Client

        return Client(
            project=project, credentials=self._credentials(), client_options={"api_endpoint": self._known["google"]}
        )

    def github(self) -> Github:
        from github import Auth, Github

        token = Path(self._known["github_token_file"]).read_text().strip()
        return Github(
            base_url=f"{self._known['github']}/api/v3",
            auth=Auth.Token(token),
            seconds_between_requests=0,  # the library spares a public service; this one is ours
            seconds_between_writes=0,
            retry=None,
        )

    def repository_url(self, owner: str, name: str) -> str:
        return f"{self._known['github']}/{owner}/{name}.git"

    def sync_credentials(self) -> tuple[str, str]:
        return "config-sync", Path(self._known["github_readonly_token_file"]).read_text().strip()

    def terraform_environment(self) -> dict[str, str]:
        return {
            "TF_CLI_CONFIG_FILE": self._known["terraform_cli_config"],
            "MLP_SANDBOX_ENDPOINTS": str(self._file),
            "GOOGLE_OAUTH_ACCESS_TOKEN": self._token,
            "GITHUB_TOKEN": Path(self._known["github_token_file"]).read_text().strip(),
            "GITHUB_BASE_URL": f"{self._known['github']}/",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def terraform_backend(self, bucket: str, prefix: str) -> dict[str, str]:
        return {"bucket": bucket, "prefix": prefix, "storage_custom_endpoint": f"{self._known['google']}/storage/v1/"}

    def shell_environment(self) -> dict[str, str]:
        google = self._known["google"]
        services = {
            "CONTAINER": "container/",
            "GKEHUB": "gkehub/",
            "CONNECTGATEWAY": "connectgateway/",
            "CLOUDRESOURCEMANAGER": "cloudresourcemanager/",
            "SERVICEUSAGE": "serviceusage/",
            "IAM": "iam/",
            "CLOUDBILLING": "cloudbilling/",
            "COMPUTE": "compute/v1/",
            "STORAGE": "storage/v1/",
        }
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": self._known["service_account_file"],
            "NO_GCE_CHECK": "true",
            "CLOUDSDK_CORE_PROJECT": self._known["project"],
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": self._known["google_token_file"],
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{google}/{path}" for name, path in services.items()},
            **self.terraform_environment(),
        }

    def kubeconfig_for(self, email: str, groups: tuple[str, ...], kubeconfig: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._call("POST", "/sandbox/identities", {"email": email, "groups": list(groups)})
        context = kubeconfig["contexts"][0]
        return {
            **kubeconfig,
            "users": [{"name": email, "user": {"token": answer["token"]}}],
            "contexts": [{**context, "context": {**context["context"], "user": email}}],
        }

    @property
    def _token(self) -> str:
        return Path(self._known["google_token_file"]).read_text().strip()

    def _credentials(self) -> Any:
        from google.oauth2.credentials import Credentials

        return Credentials(token=self._token)  # type: ignore[no-untyped-call]

    def _call(self, method: str, path: str, body: object | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self._known["google"] + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


class GoogleCloudEndpoints:
    """The real world: Google's and GitHub's own addresses, and the person's own credentials."""

    def __init__(self, config: PlatformConfig) -> None:
        self._config = config
        mixed = [name for name in EMULATOR_VARIABLES if name in os.environ]
        if mixed:
            raise MixedWorldsError(
                "Sandbox addresses and Google Cloud do not go together.",
                why=f"{', '.join(mixed)} is set while mlp.yaml says world: google-cloud.",
                fix=f"unset {' '.join(mixed)}, or set world: sandbox in mlp.yaml",
            )

    def describe(self) -> dict[str, str]:
        return {"Google Cloud": "googleapis.com", "GitHub": "github.com"}

    def prepare_project(self, project: str) -> None:
        self.project_number(project)

    def project_number(self, project: str) -> str:
        from google.auth.transport.requests import AuthorizedSession

        session = AuthorizedSession(self._credentials())  # type: ignore[no-untyped-call]
        answer = session.get(f"https://cloudresourcemanager.googleapis.com/v1/projects/{project}", timeout=30)
        if not answer.ok:
            raise ConfigError(
                f"The project {project} cannot be read.",
                why=answer.json().get("error", {}).get("message", answer.reason),
                fix="Check the project ID and that your account has roles/browser on it.",
            )
        return str(answer.json()["projectNumber"])

    def container(self) -> ClusterManagerClient:
        from google.cloud.container_v1 import ClusterManagerClient

        return ClusterManagerClient(credentials=self._credentials())

    def hub(self) -> GkeHubClient:
        from google.cloud.gkehub_v1 import GkeHubClient

        return GkeHubClient(credentials=self._credentials())

    def gateway(self) -> GatewayControlClient:
        from google.cloud.gkeconnect.gateway_v1 import GatewayControlClient

        return GatewayControlClient(credentials=self._credentials())

    def storage(self, project: str) -> StorageClient:
        from google.cloud.storage import Client

        return Client(project=project, credentials=self._credentials())

    def github(self) -> Github:
        from github import Auth, Github

        return Github(auth=Auth.Token(self._github_token()))

    def repository_url(self, owner: str, name: str) -> str:
        return f"https://github.com/{owner}/{name}.git"

    def sync_credentials(self) -> tuple[str, str]:
        file = os.environ.get("MLP_SYNC_TOKEN_FILE")
        token = Path(file).read_text().strip() if file else self._github_token()
        return self._config.github.owner, token

    def terraform_environment(self) -> dict[str, str]:
        return {"GITHUB_TOKEN": self._github_token()}

    def terraform_backend(self, bucket: str, prefix: str) -> dict[str, str]:
        return {"bucket": bucket, "prefix": prefix}

    def shell_environment(self) -> dict[str, str]:
        return {"CLOUDSDK_CORE_PROJECT": self._config.project}

    def kubeconfig_for(self, email: str, groups: tuple[str, ...], kubeconfig: Mapping[str, Any]) -> dict[str, Any]:
        raise ConfigError(
            f"The credentials of {email} are not yours to make.",
            why="In Google Cloud each person signs in for themselves.",
            fix="Sign in as that person: gcloud auth login, then gcloud container fleet memberships get-credentials",
        )

    def _github_token(self) -> str:
        file = self._config.github.token_file
        return file.expanduser().read_text().strip() if file else os.environ["GITHUB_TOKEN"]

    @staticmethod
    def _credentials() -> Any:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            return google.auth.default(scopes=[CLOUD_SCOPE])[0]
        except DefaultCredentialsError as error:
            raise ConfigError(
                "You are not signed in to Google Cloud.",
                why=str(error).splitlines()[0],
                fix="gcloud auth application-default login",
            ) from error


def _bypass_proxies() -> None:
    """A proxy variable must not carry calls to this machine away."""
    for name in ("NO_PROXY", "no_proxy"):
        present = [each for each in os.environ.get(name, "").split(",") if each]
        os.environ[name] = ",".join(dict.fromkeys([*present, "127.0.0.1", "localhost"]))
    if "grpc" not in sys.modules:  # it reads its own variables once
        os.environ.setdefault("no_grpc_proxy", "127.0.0.1,localhost")


def _bearer_interceptor(token: str) -> Any:
    """gRPC refuses call credentials on a plain channel, so the sandbox's token travels as ordinary metadata."""
    import grpc

    class Bearer(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            metadata = [*(details.metadata or ()), ("authorization", f"Bearer {token}")]
            return continuation(details._replace(metadata=metadata), request)

    return Bearer()
