"""Which objects of a source are meant for this cluster: ClusterSelector objects and lists of cluster names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.names import (
    CLUSTER_NAME_SELECTOR,
    CLUSTER_SELECTOR,
    annotations_of,
    labels_of,
)
from mlp_helpers.sandbox.controllers.config_sync.parse import Declared
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem


def select(declared: Sequence[Declared], cluster: str) -> tuple[list[Declared], list[Problem]]:
    """Keep what is meant for one cluster.

    Args:
        declared: Everything in the source, Cluster and ClusterSelector objects among it.
        cluster: The name that this cluster has in the fleet.

    Returns:
        The objects that stay, and a KNV1013 or KNV1066 for each annotation that cannot be followed.
    """
    labels = _cluster_labels(declared, cluster)
    selectors = {one.id.name: one.obj for one in declared if one.id.group_kind == _SELECTOR_KIND}
    kept: list[Declared] = []
    problems: list[Problem] = []
    for one in declared:
        annotations = annotations_of(one.obj)
        by_label, by_name = annotations.get(CLUSTER_SELECTOR), annotations.get(CLUSTER_NAME_SELECTOR)
        if by_label is not None and by_name is not None:
            text = f"Configs may use one of the annotations {CLUSTER_SELECTOR} and {CLUSTER_NAME_SELECTOR}, not both."
            problems.append(Problem(1066, text, (one.subject,)))
        elif by_label is not None and by_label not in selectors:
            text = (
                f'The ClusterSelector "{by_label}" does not exist in the source: declare it, or correct the annotation.'
            )
            problems.append(Problem(1013, text, (one.subject,)))
        elif by_label is not None:
            if labels is not None and matches((selectors[by_label].get("spec") or {}).get("selector") or {}, labels):
                kept.append(one)
        elif by_name is None or cluster in [name.strip() for name in by_name.split(",")]:
            kept.append(one)
    return kept, problems


_SELECTOR_KIND = "ClusterSelector.configmanagement.gke.io"
_CLUSTER_KIND = "Cluster.clusterregistry.k8s.io"


def _cluster_labels(declared: Iterable[Declared], cluster: str) -> dict[str, str] | None:
    for one in declared:
        if one.id.group_kind == _CLUSTER_KIND and one.id.name == cluster:
            return labels_of(one.obj)
    return None


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions) selects these labels; an empty one selects nothing."""
    exact, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not exact and not expressions:
        return False
    return all(labels.get(key) == value for key, value in exact.items()) and all(
        _expression_matches(expression, labels) for expression in expressions
    )


def _expression_matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = str(expression.get("key")), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False
