"""ValidatingAdmissionPolicies: rules in CEL that a cluster's owner adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.kubernetes import rules
from mlp_helpers.sandbox.kubernetes.admission.request import AdmissionRequest, Storage
from mlp_helpers.sandbox.kubernetes.errors import ApiError, split_resource
from mlp_helpers.sandbox.kubernetes.kinds import Registry
from mlp_helpers.sandbox.kubernetes.selectors import matches_selector

__all__ = ["check_policies"]

Object = dict[str, Any]

_GROUP = "admissionregistration.k8s.io"
_OWN = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}


@dataclass(frozen=True)
class _Denial:
    message: str
    reason: str = "Invalid"


def check_policies(request: AdmissionRequest, storage: Storage, registry: Registry) -> list[str]:
    """Evaluate every policy that is bound and matches; returns warnings.

    Raises:
        ApiError: 422, or what the rule's reason says, of the first denial.
    """
    bindings = storage.list(f"validatingadmissionpolicybindings.{_GROUP}")
    if not bindings or (request.kind.group == _GROUP and request.kind.plural in _OWN):
        return []
    warnings = []
    for binding in bindings:
        spec = binding.get("spec") or {}
        policy = storage.get(f"validatingadmissionpolicies.{_GROUP}", "", spec.get("policyName", ""))
        if policy is None or not _concerns(request, policy, binding, storage):
            continue
        names = (policy["metadata"]["name"], binding["metadata"]["name"])
        for denial in _evaluate(request, policy, binding, storage, registry):
            actions = spec.get("validationActions") or ()
            if "Deny" in actions:
                raise _refused(request, names, denial)
            if "Warn" in actions:
                policy_name, binding_name = names
                warnings.append(
                    f"Validation failed for ValidatingAdmissionPolicy '{policy_name}' with binding '{binding_name}':"
                    f" {denial.message}"
                )
    return warnings


def _refused(request: AdmissionRequest, names: tuple[str, str], denial: _Denial) -> ApiError:
    plural, group = split_resource(request.kind.resource)
    why = f"ValidatingAdmissionPolicy '{names[0]}' with binding '{names[1]}' denied request: {denial.message}"
    subject = f'{request.kind.resource} "{request.name}"' if request.name else request.kind.resource
    details = {"name": request.name, "group": group, "kind": plural, "causes": [{"message": why}]}
    return ApiError(
        _CODES.get(denial.reason, 422),
        denial.reason,
        f"{subject} is forbidden: {why}",
        details={name: value for name, value in details.items() if value},
    )


# What a policy is about.


def _concerns(request: AdmissionRequest, policy: Object, binding: Object, storage: Storage) -> bool:
    constraints = (policy.get("spec") or {}).get("matchConstraints") or {}
    narrowed = (binding.get("spec") or {}).get("matchResources")
    return _matches(request, constraints, storage) and (narrowed is None or _matches(request, narrowed, storage))


def _matches(request: AdmissionRequest, constraints: Object, storage: Storage) -> bool:
    wanted = constraints.get("resourceRules")
    if wanted and not any(_matches_rule(request, rule) for rule in wanted):
        return False
    if any(_matches_rule(request, rule) for rule in constraints.get("excludeResourceRules") or ()):
        return False
    namespace = _namespace(request, storage)
    selector = constraints.get("namespaceSelector") or {}
    if namespace is not None and not matches_selector(selector, namespace["metadata"].get("labels") or {}):
        return False
    objects = [one for one in (request.obj, request.old) if one is not None]
    selector = constraints.get("objectSelector") or {}
    return any(matches_selector(selector, one["metadata"].get("labels") or {}) for one in objects)


def _namespace(request: AdmissionRequest, storage: Storage) -> Object | None:
    """The namespace of the object, or the object if it is one; other cluster-scoped objects have none."""
    if request.kind.resource == "namespaces":
        return request.obj or request.old
    return storage.get("namespaces", "", request.namespace) if request.namespace else None


def _matches_rule(request: AdmissionRequest, rule: Object) -> bool:
    names = rule.get("resourceNames") or ()
    scope = {"Namespaced": request.kind.namespaced, "Cluster": not request.kind.namespaced}
    return (
        _listed(rule.get("apiGroups"), request.kind.group)
        and _listed(rule.get("apiVersions"), request.kind.version)
        and _listed(rule.get("operations"), request.operation)
        and any(_is_resource(one, request) for one in rule.get("resources") or ())
        and scope.get(rule.get("scope", "*"), True)
        and (not names or request.name in names)
    )


def _listed(values: Sequence[str] | None, wanted: str) -> bool:
    return any(value in ("*", wanted) for value in values or ())


def _is_resource(pattern: str, request: AdmissionRequest) -> bool:
    resource, _, subresource = pattern.partition("/")
    if resource not in ("*", request.kind.plural):
        return False
    return subresource == request.subresource or (subresource == "*" and bool(request.subresource)) or pattern == "*/*"


# What it says.


def _evaluate(
    request: AdmissionRequest, policy: Object, binding: Object, storage: Storage, registry: Registry
) -> Iterator[_Denial]:
    spec = policy.get("spec") or {}
    ignores_errors = spec.get("failurePolicy") == "Ignore"
    try:
        parameters = _parameters(request, policy, binding, storage, registry)
    except _ParametersError as error:
        if not ignores_errors:
            yield _Denial(str(error))
        return
    for params in parameters:
        variables = _variables(request, storage, params)
        try:
            if not all(
                rules.evaluate(one["expression"], variables) is True for one in spec.get("matchConditions") or ()
            ):
                continue
        except rules.RuleError as error:
            if not ignores_errors:
                yield _Denial(str(error))
            continue
        variables["variables"] = _computed(spec.get("variables") or (), variables)
        for validation in spec.get("validations") or ():
            denial = _judge(validation, variables)
            if denial and not (ignores_errors and denial.reason == ""):
                yield _Denial(denial.message, denial.reason or "Invalid")


def _judge(validation: Object, variables: Mapping[str, Any]) -> _Denial | None:
    """The denial of one rule; one without a reason is an error of the rule itself."""
    expression = validation["expression"].strip()
    try:
        if rules.evaluate(expression, variables) is True:
            return None
    except (rules.RuleError, rules.RuleSyntaxError) as error:
        return _Denial(f"expression '{expression}' resulted in error: {error}", "")
    message = ""
    if validation.get("messageExpression"):
        try:
            message = str(rules.evaluate(validation["messageExpression"], variables)).strip()
        except rules.RuleError:
            message = ""  # a real server falls back on the fixed message, too
    message = message or validation.get("message", "").strip() or f"failed expression: {expression}"
    return _Denial(message, validation.get("reason") or "Invalid")


def _variables(request: AdmissionRequest, storage: Storage, params: Object | None) -> dict[str, Any]:
    kind = request.kind
    resource = {"group": kind.group, "version": kind.version, "resource": kind.plural}
    named = {"group": kind.group, "version": kind.version, "kind": kind.name}
    user = request.user
    described = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": dict(user.extra)}
    return {
        "object": request.obj,
        "oldObject": request.old,
        "request": {
            "kind": named,
            "requestKind": named,
            "resource": resource,
            "requestResource": resource,
            "subResource": request.subresource,
            "name": request.name,
            "namespace": request.namespace,
            "operation": request.operation,
            "userInfo": described,
            "dryRun": request.dry_run,
        },
        "params": params,
        "namespaceObject": _namespace(request, storage) if request.namespace else None,
        "authorizer": None,
        "variables": {},
    }


def _computed(given: Sequence[Object], variables: Mapping[str, Any]) -> Object:
    """The policy's own variables in their order; one that fails is missing, and so fails the rules that use it."""
    computed: Object = {}
    for one in given:
        try:
            computed[one["name"]] = rules.evaluate(one["expression"], {**variables, "variables": dict(computed)})
        except rules.RuleError:
            continue
    return computed


class _ParametersError(Exception):
    """Parameters that a binding asks for are not there."""


def _parameters(
    request: AdmissionRequest, policy: Object, binding: Object, storage: Storage, registry: Registry
) -> list[Object | None]:
    wanted, reference = (policy.get("spec") or {}).get("paramKind"), (binding.get("spec") or {}).get("paramRef")
    if not wanted or not reference:
        return [None]
    group, _, version = wanted["apiVersion"].rpartition("/")
    kind = registry.by_kind(group, version, wanted["kind"])
    if kind is None:
        raise _ParametersError(
            f"failed to find resource referenced by paramKind: '{wanted['apiVersion']}, Kind={wanted['kind']}'"
        )
    namespace = (reference.get("namespace") or request.namespace) if kind.namespaced else ""
    if reference.get("name"):
        found = storage.get(kind.storage_key, namespace, reference["name"])
        chosen = [] if found is None else [found]
    else:
        selector = reference.get("selector") or {}
        chosen = [
            one
            for one in storage.list(kind.storage_key, namespace)
            if matches_selector(selector, one["metadata"].get("labels") or {})
        ]
    if not chosen and reference.get("parameterNotFoundAction") == "Deny":
        raise _ParametersError("no params found for policy binding with `Deny` parameterNotFoundAction")
    return list(chosen)
