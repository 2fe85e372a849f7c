"""The Helm charts that the sandbox has: without Helm and network, a chart is our own manifests for the same thing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlp_helpers.sandbox.controllers.config_sync.names import SyncId
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError
from mlp_helpers.sandbox.controllers.config_sync.source import Checkout
from mlp_helpers.sandbox.controllers.kuberay import chart as kuberay


@dataclass(frozen=True)
class Chart:
    """A chart: its versions, newest first, and its manifests by file for a release with values."""

    versions: tuple[str, ...]
    expand: Callable[[Mapping[str, Any], str, str, str], dict[str, dict[str, Any]]]
    crds: Callable[[], dict[str, dict[str, Any]]]


CATALOGUE: Mapping[tuple[str, str], Chart] = {
    ("https://ray-project.github.io/kuberay-helm", "kuberay-operator"): Chart(
        kuberay.VERSIONS, kuberay.manifests, kuberay.definitions
    ),
}


def check_out(helm: Mapping[str, Any], sync: SyncId, folder: Path) -> Checkout:
    """Have the manifests of `spec.helm` in a folder; the chart's version stands for the commit.

    Args:
        helm: `spec.helm` of the sync.
        sync: Whose chart it is; a RepoSync installs into its own namespace.
        folder: Where the manifests may be put.

    Raises:
        ProblemsError: KNV2004: the catalogue does not have the chart or the version.
    """
    repo, name = str(helm.get("repo", "")).rstrip("/"), str(helm.get("chart", ""))
    chart = CATALOGUE.get((repo, name))
    if chart is None:
        have = ", ".join(f"{chart} of {repo}" for repo, chart in CATALOGUE)
        raise _failed(f"not available in the sandbox: chart {name} of {repo} (it has: {have})")
    version = str(helm.get("version") or chart.versions[0])
    if version not in chart.versions:
        raise _failed(f"not available in the sandbox: chart {name} {version} (it has: {', '.join(chart.versions)})")
    namespace = helm.get("deployNamespace") or helm.get("namespace") or "default"
    if not sync.is_root:
        namespace = sync.namespace
    files = chart.expand(_values(helm), str(helm.get("releaseName") or name), str(namespace), version)
    if helm.get("includeCRDs"):
        files = {**chart.crds(), **files}
    _write(files, folder / name)
    return Checkout(version, folder, folder)


def _write(files: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, obj in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.dump(obj, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")


def _values(helm: Mapping[str, Any]) -> Mapping[str, Any]:
    values = helm.get("values") or {}
    if isinstance(values, str):
        values = yaml.safe_load(values) or {}
    if not isinstance(values, Mapping):
        raise _failed("spec.helm.values must be a mapping")
    return values


def _failed(reason: str) -> ProblemsError:
    return ProblemsError([Problem(2004, f"unable to sync repo: Error in the helm-sync container: {reason}")])
