"""Validation of ValidatingAdmissionPolicies and their bindings."""

from __future__ import annotations

from typing import Any

from mlp_helpers.sandbox.kubernetes import rules
from mlp_helpers.sandbox.kubernetes.validation.problems import Problem, invalid, required

__all__ = ["POLICY_VARIABLES", "check_policy", "check_policy_binding"]

Object = dict[str, Any]

POLICY_VARIABLES = ("authorizer", "namespaceObject", "object", "oldObject", "params", "request", "variables")


def check_policy(obj: Object) -> list[Problem]:
    """Constraints and expressions of a policy."""
    spec = obj.get("spec") or {}
    problems = []
    if not (spec.get("matchConstraints") or {}).get("resourceRules"):
        problems.append(
            required("spec.matchConstraints.resourceRules" if spec.get("matchConstraints") else "spec.matchConstraints")
        )
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        problems.append(required("spec.validations", "validations or auditAnnotations must contain at least one item"))
    for list_name in ("validations", "variables", "matchConditions"):
        for number, one in enumerate(spec.get(list_name) or ()):
            for field in ("expression", "messageExpression"):
                problems += _check_expression(f"spec.{list_name}[{number}].{field}", one.get(field))
            if not one.get("expression"):
                problems.append(required(f"spec.{list_name}[{number}].expression", "expression is not specified"))
    return problems


def _check_expression(field: str, expression: str | None) -> list[Problem]:
    if not expression:
        return []
    try:
        rules.check(expression, POLICY_VARIABLES)
    except rules.RuleSyntaxError as error:
        return [invalid(field, expression, f"compilation failed: {error}")]
    return []


def check_policy_binding(obj: Object) -> list[Problem]:
    """Policy and actions of a binding."""
    spec = obj.get("spec") or {}
    problems = [] if spec.get("policyName") else [required("spec.policyName")]
    if not spec.get("validationActions"):
        problems.append(required("spec.validationActions"))
    return problems
