"""Validation of CustomResourceDefinitions: names, versions, structural schemas and their rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlp_helpers.sandbox.kubernetes import names, rules
from mlp_helpers.sandbox.kubernetes.structural import validate_schema
from mlp_helpers.sandbox.kubernetes.validation.problems import (
    Problem,
    Raw,
    invalid,
    not_supported,
    required,
    shown,
    where,
)

__all__ = ["check_definition", "check_definition_update"]

Object = dict[str, Any]
Schema = Mapping[str, Any]

_APPROVAL = "api-approved.kubernetes.io"
_PROTECTED = (".k8s.io", ".kubernetes.io")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_RULE_FIELDS = (
    *(("Rule", "rule", ""), ("Message", "message", ""), ("MessageExpression", "messageExpression", "")),
    *(("Reason", "reason", None), ("FieldPath", "fieldPath", ""), ("OptionalOldSelf", "optionalOldSelf", None)),
)


def check_definition(obj: Object) -> list[Problem]:
    """What is wrong with a definition."""
    spec = obj.get("spec") or {}
    problems = _check_names(obj, spec)
    versions = spec.get("versions") or ()
    if not versions:
        problems.append(required("spec.versions", "must have exactly one version marked as storage version"))
    elif sum(bool(one.get("storage")) for one in versions) != 1:
        problems.append(invalid("spec.versions", versions, "must have exactly one version marked as storage version"))
    for number, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        # A server looks at a schema that all versions share in the place that it had before there were versions.
        path = "spec.validation.openAPIV3Schema"
        if len(versions) > 1:
            path = f"spec.versions[{number}].schema.openAPIV3Schema"
        if schema is None:
            problems.append(required(f"spec.versions[{number}].schema.openAPIV3Schema"))
        else:
            problems += _check_schema(schema, path, is_root=True)
    return problems


def _check_names(obj: Object, spec: Object) -> list[Problem]:
    name, group, given = obj["metadata"].get("name", ""), spec.get("group", ""), spec.get("names") or {}
    problems = []
    if name != f"{given.get('plural', '')}.{group}":
        problems.append(invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    if not group:
        problems.append(required("spec.group"))
    elif "." not in group:
        problems.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    annotations = obj["metadata"].get("annotations") or {}
    if f".{group}".endswith(_PROTECTED) and not annotations.get(_APPROVAL):
        words = (
            f'protected groups must have approval annotation "{_APPROVAL}", see'
            " https://github.com/kubernetes/enhancements/pull/1111"
        )
        problems.append(required(f"metadata.annotations[{_APPROVAL}]", words))
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        problems.append(
            required("spec.scope")
            if not spec.get("scope")
            else not_supported("spec.scope", spec["scope"], ["Cluster", "Namespaced"])
        )
    for field in ("plural", "singular", "kind", "listKind"):
        value = given.get(field, "")
        if not value:
            problems.append(required(f"spec.names.{field}"))
        else:
            problems += where(f"spec.names.{field}", value, lambda one: names.dns_label_1035(one.lower()))
    return problems


def _check_schema(schema: Schema, path: str, *, is_root: bool = False) -> Iterator[Problem]:
    kind = schema.get("type")
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    if not kind and not free:
        place = "at the root" if is_root else "for specified array items" if path.endswith(".items") else ""
        yield required(f"{path}.type", f"must not be empty {place or 'for specified object fields'}")
    elif kind and kind not in _TYPES:
        yield not_supported(f"{path}.type", kind, _TYPES)
    elif is_root and kind and kind != "object":
        yield invalid(f"{path}.type", kind, "must be object at the root")
    if "default" in schema:
        yield from (
            Problem(one.reason, f"{path}.default", one.message) for one in validate_schema(schema, schema["default"])
        )
    if kind == "array" and not schema.get("items"):
        yield required(f"{path}.items", "must be specified")
    if schema.get("x-kubernetes-list-type") == "map" and not schema.get("x-kubernetes-list-map-keys"):
        words = "must not be empty if x-kubernetes-list-type is map"
        yield required(f"{path}.x-kubernetes-list-map-keys", words)
    yield from _check_rules(schema, path)
    for part, below in _parts(schema, path):
        yield from _check_schema(part, below)


def _parts(schema: Schema, path: str) -> Iterator[tuple[Schema, str]]:
    for name, part in (schema.get("properties") or {}).items():
        yield part, f"{path}.properties[{name}]"
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            yield schema[name], f"{path}.{name}"


def _check_rules(schema: Schema, path: str) -> Iterator[Problem]:
    for number, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        field = f"{path}.x-kubernetes-validations[{number}]"
        for name in ("rule", "messageExpression"):
            expression = rule.get(name, "")
            if not expression.strip():
                if name == "rule":
                    yield required(f"{field}.rule", "rule is not specified")
                continue
            try:
                rules.check(expression, ("oldSelf", "self"))
            except rules.RuleSyntaxError as error:
                text = shown({label: rule.get(key, default) for label, key, default in _RULE_FIELDS})
                words = f"compilation failed: {error}"
                yield invalid(f"{field}.{name}", Raw(text) if name == "rule" else expression, words)


def check_definition_update(old: Object, new: Object) -> list[Problem]:
    """Group, scope and names of a definition stay."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    problems = []
    for field in ("group", "scope"):
        if before.get(field) != after.get(field):
            problems.append(invalid(f"spec.{field}", after.get(field), "field is immutable"))
    for field in ("kind", "plural"):
        value = (after.get("names") or {}).get(field)
        if (before.get("names") or {}).get(field) != value:
            problems.append(invalid(f"spec.names.{field}", value, "field is immutable"))
    stored = (new.get("status") or {}).get("storedVersions") or ()
    served = [one["name"] for one in after.get("versions") or ()]
    for number, version in enumerate(stored):
        if version not in served:
            words = f"missing from spec.versions; {version} was previously a storage version, and must remain"
            words += " in spec.versions"
            words += " until a storage migration ensures no data remains persisted in this version"
            problems.append(invalid(f"status.storedVersions[{number}]", version, words))
    return problems
