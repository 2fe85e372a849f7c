"""Buckets: google_storage_bucket."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.terraform.api import Json, Services, quoted
from mlp_helpers.sandbox.terraform.bodies import Shape, changed
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.rest import RestResource
from mlp_helpers.sandbox.terraform.rules import Rules, between, ignoring_case, matches, one_of
from mlp_helpers.sandbox.terraform.values import Values

_CONDITION = {
    "lifecycle_rule.condition.age": "age",
    "lifecycle_rule.condition.with_state": "isLive",
    "lifecycle_rule.condition.num_newer_versions": "numNewerVersions",
}
_STATES = {"LIVE": True, "ARCHIVED": False}
_SEND_IF_ZERO = {
    "send_age_if_zero": "age",
    "send_days_since_custom_time_if_zero": "daysSinceCustomTime",
    "send_days_since_noncurrent_time_if_zero": "daysSinceNoncurrentTime",
    "send_num_newer_versions_if_zero": "numNewerVersions",
}


class Bucket(RestResource):
    """google_storage_bucket."""

    service = "/storage/v1"
    collection = "b"
    shape = Shape(
        names={
            "uniform_bucket_level_access": "iamConfiguration.uniformBucketLevelAccess.enabled",
            "public_access_prevention": "iamConfiguration.publicAccessPrevention",
            "requester_pays": "billing.requesterPays",
            "lifecycle_rule": "lifecycle.rule",
            "encryption.default_kms_key_name": "defaultKmsKeyName",
            **_CONDITION,
        },
        local=frozenset({"project", "force_destroy", "url", "enable_object_retention"})
        | {f"lifecycle_rule.condition.{name}" for name in _SEND_IF_ZERO},
        to_api={"location": str.upper, "lifecycle_rule.condition.with_state": _STATES.get},
        from_api={"lifecycle_rule.condition.with_state": lambda live: "LIVE" if live else "ARCHIVED"},
    )
    rules = Rules(
        immutable=frozenset(
            {
                "name",
                "location",
                "project",
                "custom_placement_config",
                "hierarchical_namespace",
                "enable_object_retention",
            }
        ),
        defaults={
            "storage_class": "STANDARD",
            "force_destroy": False,
            "lifecycle_rule.condition.with_state": "ANY",
            "soft_delete_policy.retention_duration_seconds": 604800,
        },
        from_provider=("project",),
        served=frozenset({"soft_delete_policy", "autoclass", "hierarchical_namespace"}),
        renewed=frozenset({"updated"}),
        equal={"location": ignoring_case},
        checks=(
            matches(
                "name",
                r"[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9]",
                "must have at least 3 lower-case letters, digits, hyphens, underscores and dots, no sign at either end",
            ),
            one_of("public_access_prevention", "enforced", "inherited"),
            one_of("lifecycle_rule.action.type", "Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"),
            one_of("lifecycle_rule.condition.with_state", "LIVE", "ARCHIVED", "ANY"),
            between("soft_delete_policy.retention_duration_seconds", 0, 7776000),
        ),
    )

    def relative_name(self, values: Values) -> str:
        return f"b/{values['name']}"

    def identity(self, values: Values) -> Values:
        return {"id": values["name"], "url": f"gs://{values['name']}"}

    def imported(self, identifier: str, provider: Any) -> Values:
        project, _, name = identifier.rpartition("/")
        return {
            "name": name,
            "project": project or provider.get("project"),
            "force_destroy": False,
            "url": f"gs://{name}",
        }

    def body(self, values: Values) -> Json:
        body = super().body(values)
        for rule, written in zip(
            body.get("lifecycle", {}).get("rule", []), values.get("lifecycle_rule") or [], strict=False
        ):
            rule["condition"] = _condition(rule.get("condition", {}), written["condition"][0])
        return body

    def state(self, body: Json, seed: Values) -> Values:
        state = super().state(body, seed)
        for rule in state["lifecycle_rule"]:
            for condition in rule["condition"]:
                condition["with_state"] = condition["with_state"] or "ANY"
        for index, rule in enumerate(seed.get("lifecycle_rule") or []):
            if index < len(state["lifecycle_rule"]) and rule["condition"]:
                flags = {name: rule["condition"][0].get(name) for name in _SEND_IF_ZERO}
                state["lifecycle_rule"][index]["condition"][0] |= flags
        return state

    def create(self, services: Services, values: Values) -> Values:
        project = self.fill("{project}", values)
        params = {"enableObjectRetention": "true"} if values.get("enable_object_retention") else {}
        services.google.call("POST", "/storage/v1/b", self.body(values), project=project, **params)
        return self.identity(values)

    def update(self, services: Services, prior: Values, values: Values) -> None:
        fields = changed(self.body(prior), self.body(values))
        if fields.get("labels") is not None:
            gone = (prior.get("effective_labels") or {}).keys() - fields["labels"].keys()
            fields["labels"] |= dict.fromkeys(gone)  # PATCH merges maps: null removes a key
        if fields:
            services.google.call("PATCH", self.url(values), fields)

    def delete(self, services: Services, state: Values) -> None:
        if state.get("force_destroy"):
            self._empty(services, state)
        try:
            services.google.call("DELETE", self.url(state))
        except ApiError as error:
            if error.status == 409:
                why = f"{error.summary}\nSet force_destroy = true, apply, then destroy; or remove the objects."
                raise ProviderError(f"Error trying to delete bucket {state['name']} containing objects", why) from error
            if error.status != 404:
                raise

    def _empty(self, services: Services, state: Values) -> None:
        token = ""
        while True:
            params = {"versions": "true", **({"pageToken": token} if token else {})}
            found = services.google.find(f"{self.url(state)}/o", **params) or {}
            for item in found.get("items", []):
                target = f"{self.url(state)}/o/{quoted(item['name'])}"
                services.google.call("DELETE", target, generation=str(item["generation"]))
            token = found.get("nextPageToken", "")
            if not token:
                return


def _condition(condition: Json, written: Values) -> Json:
    """Zeros are left out unless the configuration insists: a zero age matches every object."""
    insisted = {api for flag, api in _SEND_IF_ZERO.items() if written.get(flag)}
    kept = {
        name: value
        for name, value in condition.items()
        if value not in (None, 0, []) or value is False or name in insisted
    }
    if kept.get("isLive") is None:
        kept.pop("isLive", None)
    return kept
