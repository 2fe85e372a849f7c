"""What a person's shell needs to work beside the notebooks with kubectl, terraform, git and gcloud."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mlp_helpers.errors import ServiceError
from mlp_helpers.folders import mlp_home
from mlp_helpers.platform import Platform


def shell_environment(environment: str = "", *, as_member_of: str = "") -> dict[str, str]:
    """Variables for a shell; KUBECONFIG is among them once the cluster exists.

    Args:
        environment: By default the first one configured.
        as_member_of: A team; kubectl then acts as a member of it instead of as the platform admin.
    """
    platform = Platform.load(environment=environment)
    variables = platform.endpoints.shell_environment()
    try:
        kubeconfig = platform.cluster.kubeconfig
    except ServiceError as error:  # before the cluster is there the rest is useful all the same
        print(f"# no KUBECONFIG yet: {error.what}", file=sys.stderr)
    else:
        if as_member_of:
            group = platform.config.team(as_member_of).group
            kubeconfig = platform.endpoints.kubeconfig_for(f"member-of-{group}", (group,), kubeconfig)
        path = _write_kubeconfig(kubeconfig, platform.cluster_name + (f"-{as_member_of}" if as_member_of else ""))
        variables["KUBECONFIG"] = str(path)
    beside = Path(sys.executable).parent
    if str(beside) not in os.environ.get("PATH", "").split(os.pathsep):
        variables["PATH"] = f"{os.environ.get('PATH', '')}{os.pathsep}{beside}"  # the machine's own kubectl comes first
    return variables


def _write_kubeconfig(kubeconfig: object, name: str) -> Path:
    import yaml

    folder = mlp_home() / "kubeconfigs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}.yaml"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(kubeconfig, file)
    return path
