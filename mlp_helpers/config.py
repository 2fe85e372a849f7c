"""What the platform shall be: mlp.yaml, MLP_* variables and notebook parameters in one validated model.

Precedence rises in that order. Every refusal names the key, the value, the rule and a valid example.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlp_helpers.errors import ConfigError
from mlp_helpers.folders import PROJECT_FOLDER

CONFIG_FILE = "mlp.yaml"
VARIABLE_PREFIX = "MLP_"
NOT_CONFIGURATION = ("MLP_HOME", "MLP_CONFIG", "MLP_UI", "MLP_SANDBOX_")  # variables that steer the tools instead


def _rule(pattern: str, rule: str, example: str) -> Any:
    """An annotation: a string that matches a pattern, refused with the rule and an example."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{rule}|{example}")
        return value

    return AfterValidator(check)


ProjectId = Annotated[
    str,
    _rule(
        r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
        "a project ID has 6 to 30 lower-case letters, digits and hyphens, a letter first and no hyphen last",
        "my-mlp-project",
    ),
]
Region = Annotated[str, _rule(r"[a-z]+-[a-z]+\d+", "a region is a Google Cloud region, not a zone", "us-central1")]
Zone = Annotated[str, _rule(r"[a-z]+-[a-z]+\d+-[a-z]", "a zone is a region with a letter", "us-central1-a")]
EnvironmentName = Annotated[
    str,
    _rule(r"[a-z][a-z0-9]{0,9}", "an environment name has 1 to 10 lower-case letters and digits, letter first", "dev"),
]
TeamName = Annotated[
    str,
    _rule(
        r"[a-z][a-z0-9-]{0,28}[a-z0-9]",
        "a team name is a Kubernetes namespace: 2 to 30 lower-case letters, digits and hyphens, a letter first",
        "ml-team",
    ),
]
BucketName = Annotated[
    str,
    _rule(
        r"(?!goog)[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]",
        "a bucket name has 3 to 63 lower-case letters, digits, hyphens and underscores, and does not begin with goog",
        "my-mlp-project-mlp-state",
    ),
]
Email = Annotated[str, _rule(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address", "ml-team@example.com")]
GitHubName = Annotated[
    str, _rule(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}", "letters, digits, dots, hyphens, underscores", "mlp-configsync")
]
Quantity = Annotated[str, _rule(r"\d+(\.\d+)?(m|[KMGT]i?)?", "a Kubernetes quantity", "4Gi")]


def _network(value: str) -> str:
    try:
        parsed = ipaddress.IPv4Network(value, strict=True)
    except ValueError as error:
        raise ValueError(f"a private IPv4 range in CIDR form ({error})|10.10.0.0/20") from None
    if not parsed.is_private and not parsed.subnet_of(ipaddress.IPv4Network("100.64.0.0/10")):
        raise ValueError("a private IPv4 range in CIDR form|10.10.0.0/20")
    return value


Cidr = Annotated[str, AfterValidator(_network)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, coerce_numbers_to_str=True)


class NetworkConfig(_Model):
    """Address ranges of one environment's network.

    Each node takes a /24 of the Pod range (110 Pods, twice the addresses), so a /16 carries 256 nodes.
    """

    nodes_cidr: Cidr = "10.10.0.0/20"
    pods_cidr: Cidr = "10.16.0.0/14"
    services_cidr: Cidr = "10.20.0.0/20"

    @model_validator(mode="after")
    def _ranges_do_not_overlap(self) -> NetworkConfig:
        ranges = {name: ipaddress.IPv4Network(getattr(self, name)) for name in type(self).model_fields}
        names = list(ranges)
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                if ranges[one].overlaps(ranges[other]):
                    raise ValueError(
                        f"{one} {ranges[one]} and {other} {ranges[other]} must not overlap|"
                        "nodes 10.10.0.0/20, pods 10.16.0.0/14, services 10.20.0.0/20"
                    )
        return self


class EnvironmentConfig(_Model):
    """One environment: a cluster with its network and buckets. What is left out is taken from the platform."""

    project: ProjectId | None = None
    region: Region | None = None
    zones: Annotated[tuple[Zone, ...], Field(max_length=3)] = ()
    network: NetworkConfig = NetworkConfig()
    system_machine_type: str = "e2-standard-4"
    general_machine_type: str = "n2-standard-8"
    general_max_nodes: Annotated[int, Field(ge=1, le=100)] = 4
    deletion_protection: bool = True
    release_channel: Literal["RAPID", "REGULAR", "STABLE"] = "REGULAR"


class QuotaConfig(_Model):
    """What a team may request in its namespace, in all."""

    cpu: Quantity = "16"
    memory: Quantity = "32Gi"
    gpu: Annotated[int, Field(ge=0, le=64)] = 0
    pods: Annotated[int, Field(ge=1, le=1000)] = 50


class RayConfig(_Model):
    """A team's standing Ray cluster."""

    workers: Annotated[int, Field(ge=0, le=100)] = 1
    max_workers: Annotated[int, Field(ge=0, le=100)] = 4
    worker_cpu: Quantity = "2"
    worker_memory: Quantity = "2Gi"
    head_cpu: Quantity = "1"
    head_memory: Quantity = "4Gi"

    @model_validator(mode="after")
    def _workers_fit(self) -> RayConfig:
        if self.workers > self.max_workers:
            raise ValueError(f"workers {self.workers} must not exceed max_workers {self.max_workers}|workers: 1")
        return self


class TeamConfig(_Model):
    """A team: a namespace in each of its environments, with its people and its limits."""

    group: Email = "ml-team@sandbox.example"
    environments: tuple[EnvironmentName, ...] = ()
    quota: QuotaConfig = QuotaConfig()
    ray: RayConfig = RayConfig()


class GitHubConfig(_Model):
    """Where the configuration repository lives."""

    owner: GitHubName = "mlp-sandbox"
    repository: GitHubName = "mlp-configsync"
    visibility: Literal["private", "public"] = "private"
    token_file: Path | None = None


class BucketsConfig(_Model):
    """Names of the buckets; what is left out is made from the project and the environment."""

    state: BucketName | None = None
    location: str | None = None


class PlatformConfig(_Model):
    """The whole platform: one world, one or several environments, one or several teams."""

    world: Literal["sandbox", "google-cloud"] = "sandbox"
    project: ProjectId = "mlp-sandbox"
    region: Region = "us-central1"
    environments: Annotated[dict[EnvironmentName, EnvironmentConfig], Field(min_length=1)] = {
        "dev": EnvironmentConfig(deletion_protection=False)
    }
    teams: dict[TeamName, TeamConfig] = {"ml-team": TeamConfig()}
    github: GitHubConfig = GitHubConfig()
    buckets: BucketsConfig = BucketsConfig()

    @model_validator(mode="after")
    def _references_hold(self) -> PlatformConfig:
        for name, team in self.teams.items():
            for environment in team.environments:
                if environment not in self.environments:
                    known = ", ".join(self.environments)
                    raise ValueError(
                        f"teams.{name}.environments names {environment!r}; every environment must be one of: {known}|"
                        f"[{next(iter(self.environments))}]"
                    )
        if self.world == "google-cloud" and self.github.token_file is None and "GITHUB_TOKEN" not in os.environ:
            raise ValueError(
                "github.token_file must name a file with a GitHub token (mode 0600), or GITHUB_TOKEN must be set|"
                "~/.config/mlp/github-token"
            )
        return self

    def project_of(self, environment: str) -> str:
        """Project ID of an environment."""
        return self.environment(environment).project or self.project

    def region_of(self, environment: str) -> str:
        """Region of an environment."""
        return self.environment(environment).region or self.region

    def zones_of(self, environment: str) -> tuple[str, ...]:
        """Zones of an environment's nodes; one zone keeps the quick start small."""
        return self.environment(environment).zones or (f"{self.region_of(environment)}-a",)

    def environment(self, name: str) -> EnvironmentConfig:
        """One environment by name.

        Raises:
            ConfigError: There is none of that name.
        """
        if name not in self.environments:
            raise ConfigError(
                f"There is no environment {name!r}.",
                why=f"environments has: {', '.join(self.environments)}.",
                fix=f"Use one of them, or add environments.{name} to {CONFIG_FILE}.",
            )
        return self.environments[name]

    def team(self, name: str) -> TeamConfig:
        """One team by name.

        Raises:
            ConfigError: There is none of that name.
        """
        if name not in self.teams:
            raise ConfigError(
                f"There is no team {name!r}.",
                why=f"teams has: {', '.join(self.teams)}.",
                fix=f"Use one of them, or add teams.{name} to {CONFIG_FILE}.",
            )
        return self.teams[name]

    def teams_of(self, environment: str) -> dict[str, TeamConfig]:
        """The teams that have a namespace in an environment; a team that names no environment is in all."""
        return {
            name: team for name, team in self.teams.items() if not team.environments or environment in team.environments
        }

    def cluster_of(self, environment: str) -> str:
        """Name of an environment's cluster; it is the name of its fleet membership and network too."""
        return f"mlp-{environment}"

    @property
    def state_bucket(self) -> str:
        """Name of the bucket for Terraform's state."""
        return self.buckets.state or f"{self.project}-mlp-state"

    def artifact_bucket(self, environment: str) -> str:
        """Name of the bucket for an environment's data and results."""
        return f"{self.project_of(environment)}-mlp-{environment}-artifacts"


def load_config(
    path: Path | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    parameters: Mapping[str, object] | None = None,
) -> PlatformConfig:
    """Read and validate the configuration.

    Args:
        path: The file; by default `MLP_CONFIG`, else `mlp.yaml` in the checkout. It may be absent.
        variables: Environment variables; by default the process's. `MLP_GITHUB__OWNER` stands for `github.owner`.
        parameters: Dotted keys and values of highest precedence, e.g. `{"teams.ml-team.ray.workers": 2}`.

    Raises:
        ConfigError: A value breaks a rule, a key is unknown, or the file is no YAML.
    """
    variables = os.environ if variables is None else variables
    path = path or config_path(variables)
    values = _read(path)
    origins: dict[str, str] = {}
    for name, value in variables.items():
        if name.startswith(VARIABLE_PREFIX) and not name.startswith(NOT_CONFIGURATION):
            key = name.removeprefix(VARIABLE_PREFIX).lower().replace("__", ".")
            origins[key] = f"the variable {name}"
            _put(values, key, _plain(value))
    for key, given in (parameters or {}).items():
        origins[key] = "a notebook parameter"
        _put(values, key, given)
    try:
        config = PlatformConfig.model_validate(values)
    except ValidationError as error:
        raise _explain(error, path, origins) from error
    _check_token_file(config.github.token_file)
    return config


def config_path(variables: Mapping[str, str] | None = None) -> Path:
    """The configuration file: MLP_CONFIG, by default mlp.yaml in the checkout."""
    given = (os.environ if variables is None else variables).get("MLP_CONFIG")
    return Path(given).expanduser() if given else PROJECT_FOLDER / CONFIG_FILE


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    import yaml

    try:
        values = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{path} is not YAML.", why=" ".join(str(error).split()), fix="Correct the line it names."
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} must hold keys and values.", why=f"It holds {type(values).__name__}.", fix="project: …"
        )
    return values


def _plain(text: str) -> object:
    import yaml

    return yaml.safe_load(text) if text else None


def _put(values: dict[str, Any], key: str, value: object) -> None:
    """Set a dotted key; an absent collection begins with its default, so that one entry can be changed alone."""
    *parents, last = key.split(".")
    here = values
    for depth, parent in enumerate(parents):
        if not isinstance(here.get(parent), dict):
            here[parent] = _default(parents[: depth + 1])
        here = here[parent]
    here[last] = value


def _default(keys: list[str]) -> dict[str, Any]:
    here: Any = PlatformConfig.model_construct().model_dump(mode="json")
    for key in keys:
        here = here.get(key) if isinstance(here, dict) else None
    return dict(here) if isinstance(here, dict) else {}


def _explain(error: ValidationError, path: Path, origins: Mapping[str, str]) -> ConfigError:
    lines, example = [], ""
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "(the whole file)"
        rule, _, suggestion = problem["msg"].removeprefix("Value error, ").partition("|")
        example = example or (f"A valid example: {suggestion}" if suggestion else "")
        if problem["type"] == "extra_forbidden":
            rule = f"there is no such key; known here: {', '.join(_known(problem['loc'][:-1]))}"
        given = "" if isinstance(problem["input"], dict | BaseModel) else f" = {problem['input']!r}"
        origin = origins.get(key)
        lines.append(f"{key}{given}: {rule}" + (f" (from {origin})" if origin else ""))
    return ConfigError(
        f"The configuration in {path} is not valid.",
        why="; ".join(lines),
        fix=(f"{example}. " if example else "") + "Nothing was started.",
    )


def _known(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the model at a location has."""
    model: Any = PlatformConfig
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:  # the name of an environment or team: its model stands in the parent's annotation
            continue
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), model)
    return list(model.model_fields)


def _check_token_file(path: Path | None) -> None:
    if path is None:
        return
    path = path.expanduser()
    if not path.is_file():
        raise ConfigError(
            f"github.token_file = {str(path)!r}: there is no such file.",
            why="The token is read from a file so that it never stands in mlp.yaml, a notebook or a log.",
            fix=f"Write the token to {path} and run: chmod 600 {path}",
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"github.token_file = {str(path)!r} can be read by others.",
            why=f"It has mode {mode:04o}; the rule is 0600.",
            fix=f"chmod 600 {path}",
        )
