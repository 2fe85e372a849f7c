"""Write mlp.yaml: a commented file at first, and changes to single keys that keep a person's comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlp_helpers.config import PlatformConfig, config_path, load_config

TEMPLATE = """\
# The platform, as you want it. Every key may be left out; the values below are the defaults.
# A variable wins over this file (MLP_PROJECT=…, MLP_GITHUB__OWNER=…), a notebook parameter over both.

# sandbox: everything on this machine, no account. google-cloud: the real thing.
world: sandbox

# The Google Cloud project, and the region of its clusters.
project: mlp-sandbox
region: us-central1

# One cluster per environment. Add staging and prod here when you need them.
environments:
  dev:
    # Refuses to destroy the cluster until this is false and applied.
    deletion_protection: false
    # Three ranges that must not overlap; a node takes a /24 of the Pod range.
    network:
      nodes_cidr: 10.10.0.0/20
      pods_cidr: 10.16.0.0/14
      services_cidr: 10.20.0.0/20

# Each team gets a namespace, a quota and a Ray cluster.
teams:
  ml-team:
    # The e-mail of the group whose members are the team.
    group: ml-team@sandbox.example
    quota:
      cpu: 16
      memory: 32Gi
      gpu: 0
    ray:
      workers: 1
      max_workers: 4

# The configuration repository that Config Sync reads.
github:
  owner: mlp-sandbox
  repository: mlp-configsync
  # A file with your token, mode 0600. The sandbox brings its own.
  # token_file: ~/.config/mlp/github-token
"""


def write_config(path: Path | None = None, changes: Mapping[str, object] | None = None) -> Path:
    """Write the commented file if there is none, and set keys in it.

    Args:
        path: The file, by default mlp.yaml in the checkout.
        changes: Dotted keys and new values; comments and the order of the rest stay.

    Raises:
        ConfigError: The result would not be valid; the file is left as it was.
    """
    path = path or config_path()
    before = path.read_text() if path.exists() else TEMPLATE
    after = _changed(before, changes or {})
    trial = path.with_name(f".{path.name}.new")
    trial.write_text(after)
    try:
        load_config(trial, variables={})
        trial.replace(path)
    finally:
        trial.unlink(missing_ok=True)
    return path


def _changed(text: str, changes: Mapping[str, object]) -> str:
    if not changes:
        return text
    import io

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document: Any = yaml.load(text) or {}
    for key, value in changes.items():
        *parents, last = key.split(".")
        here = document
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def describe_config(config: PlatformConfig) -> dict[str, str]:
    """The configuration's main values, for a card in a notebook."""
    return {
        "world": config.world,
        "project": config.project,
        "region": config.region,
        "environments": ", ".join(config.environments),
        "teams": ", ".join(config.teams),
        "repository": f"{config.github.owner}/{config.github.repository}",
        "state bucket": config.state_bucket,
    }
