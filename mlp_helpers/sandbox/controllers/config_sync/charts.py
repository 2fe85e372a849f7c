"""The Helm charts that the sandbox has: without Helm and network, a chart is our own manifests for the same thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mlp_helpers.sandbox.controllers.config_sync.names import SyncId
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError
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


def expand(helm: Mapping[str, Any], sync: SyncId) -> tuple[str, dict[str, dict[str, Any]]]:
    """The version and the manifests, by file name, of `spec.helm`.

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
    return version, {f"{name}/{file}": obj for file, obj in files.items()}


def _values(helm: Mapping[str, Any]) -> Mapping[str, Any]:
    values = helm.get("values") or {}
    if isinstance(values, str):
        values = yaml.safe_load(values) or {}
    if not isinstance(values, Mapping):
        raise _failed("spec.helm.values must be a mapping")
    return values


def _failed(reason: str) -> ProblemsError:
    return ProblemsError([Problem(2004, f"unable to sync repo: Error in the helm-sync container: {reason}")])
