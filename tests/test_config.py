"""The configuration: precedence, refusals that name key, value, rule and example, a file that keeps comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlp_helpers.config import PlatformConfig, load_config
from mlp_helpers.config_file import TEMPLATE, write_config
from mlp_helpers.errors import ConfigError


def load(tmp_path: Path, text: str = "", **options: dict) -> PlatformConfig:
    path = tmp_path / "mlp.yaml"
    path.write_text(text)
    return load_config(path, **{"variables": {}, **options})


def test_the_defaults_are_a_sandbox_with_one_environment_and_one_team(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert (config.world, list(config.environments), list(config.teams)) == ("sandbox", ["dev"], ["ml-team"])


def test_the_template_says_nothing_but_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, TEMPLATE) == load(tmp_path)


def test_a_variable_wins_over_the_file_and_a_parameter_over_both(tmp_path: Path) -> None:
    text = "project: from-the-file\nregion: europe-west1\n"
    variables = {"MLP_PROJECT": "from-a-variable", "MLP_GITHUB__OWNER": "me"}
    config = load(tmp_path, text, variables=variables, parameters={"project": "from-a-parameter"})
    assert (config.project, config.region, config.github.owner) == ("from-a-parameter", "europe-west1", "me")
    assert load(tmp_path, text, variables=variables).project == "from-a-variable"


def test_variables_that_steer_the_tools_are_no_configuration(tmp_path: Path) -> None:
    load(tmp_path, variables={"MLP_HOME": "/x", "MLP_UI": "text", "MLP_SANDBOX_OPERATION_SECONDS": "0"})


def test_an_environment_inherits_project_and_region(tmp_path: Path) -> None:
    config = load(tmp_path, "environments: {dev: {}, prod: {project: my-prod-project, region: europe-west4}}")
    assert (config.project_of("dev"), config.region_of("dev")) == ("mlp-sandbox", "us-central1")
    assert (config.project_of("prod"), config.zones_of("prod")) == ("my-prod-project", ("europe-west4-a",))


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("project", "My_Project", ["project", "My_Project", "lower-case", "my-mlp-project"]),
        ("region", "us-central1-a", ["region", "us-central1-a", "not a zone", "us-central1"]),
        ("buckets.state", "UPPER", ["buckets.state", "UPPER", "bucket name"]),
        ("environments.Prod", {}, ["environments", "Prod", "environment name"]),
        ("teams.my_team", {}, ["teams", "my_team", "namespace"]),
        ("teams.ml-team.group", "nobody", ["teams.ml-team.group", "nobody", "e-mail"]),
        ("teams.ml-team.ray.workers", "many", ["teams.ml-team.ray.workers", "many", "integer"]),
        ("teams.ml-team.environments", ["prod"], ["prod", "one of: dev"]),
        ("environments.dev.network.nodes_cidr", "8.8.8.0/24", ["nodes_cidr", "8.8.8.0/24", "private"]),
        ("environments.dev.network.nodes_cidr", "10.10.0.1/20", ["nodes_cidr", "10.10.0.1/20", "host bits"]),
        ("environments.dev.network.pods_cidr", "10.10.0.0/16", ["10.10.0.0/20", "10.10.0.0/16", "overlap"]),
        ("environments.dev.colour", "red", ["environments.dev.colour", "no such key", "deletion_protection"]),
        ("github.token_file", "/does/not/exist", ["github.token_file", "/does/not/exist", "no such file", "chmod 600"]),
    ],
)
def test_a_refusal_names_key_value_rule_and_example(tmp_path: Path, key: str, value: object, names: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, parameters={key: value})
    for name in names:
        assert name in str(refusal.value)


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-value")
    token.chmod(0o644)
    with pytest.raises(ConfigError, match="0644") as refusal:
        load(tmp_path, parameters={"github.token_file": str(token)})
    assert "secret-value" not in str(refusal.value)
    token.chmod(0o600)
    assert load(tmp_path, parameters={"github.token_file": str(token)}).github.token_file == token


def test_google_cloud_needs_a_github_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="token_file"):
        load(tmp_path, "world: google-cloud")


def test_a_file_that_is_no_yaml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        load(tmp_path, "project: x\n  bad: [")


def test_writing_keeps_comments_order_and_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "mlp.yaml"
    path.write_text("# mine\nproject: my-project-1 # why\n\nregion: europe-west1\n")
    write_config(path, {"region": "us-east1"})
    assert path.read_text() == "# mine\nproject: my-project-1 # why\n\nregion: us-east1\n"


def test_a_change_that_breaks_a_rule_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = write_config(tmp_path / "mlp.yaml")
    before = path.read_text()
    with pytest.raises(ConfigError):
        write_config(path, {"project": "NO"})
    assert path.read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["mlp.yaml"]
