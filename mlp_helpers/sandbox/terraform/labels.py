"""Google's labels: as written, those that Terraform manages (`terraform_labels`), and all (`effective_labels`)."""

from __future__ import annotations

from collections.abc import Mapping

from mlp_helpers.sandbox.terraform.values import UNKNOWN, Value, Values, has_unknowns

ATTRIBUTION = {"goog-terraform-provisioned": "true"}


def written_name(values: Mapping[str, Value]) -> str | None:
    """The argument that labels are written in: GKE's clusters call it differently. None for a type without labels."""
    if "terraform_labels" not in values:
        return None
    return "resource_labels" if "resource_labels" in values else "labels"


def plan_labels(planned: Values, prior: Values | None, provider: Mapping[str, Value]) -> None:
    """Merge the provider's default labels, the attribution and the resource's own; labels by others stay."""
    name = written_name(planned)
    if name is None:
        return
    written = planned.get(name)
    defaults = provider.get("default_labels")
    if has_unknowns(written) or has_unknowns(defaults):
        planned["terraform_labels"] = planned["effective_labels"] = UNKNOWN
        return
    # The attribution is added when an object is made, not to one that exists already.
    before = (prior or {}).get("terraform_labels") or {}
    attributed = provider.get("add_terraform_attribution_label") is not False and (
        prior is None or ATTRIBUTION.items() <= before.items()
    )
    managed = {**(ATTRIBUTION if attributed else {}), **(defaults or {}), **(written or {})}
    foreign = {key: value for key, value in ((prior or {}).get("effective_labels") or {}).items() if key not in before}
    planned["terraform_labels"] = managed
    planned["effective_labels"] = {**foreign, **managed}


def read_labels(state: Values, seed: Values, served: Mapping[str, str]) -> None:
    """Put what the API shows into the three attributes; the first two show only the keys that they know."""
    name = written_name(state)
    if name is None:
        return
    for attribute in (name, "terraform_labels"):
        known = seed.get(attribute)
        state[attribute] = {key: served[key] for key in known if key in served} if isinstance(known, dict) else None
    state["effective_labels"] = dict(served)
