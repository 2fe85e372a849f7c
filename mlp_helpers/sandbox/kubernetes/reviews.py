"""Access and token reviews: questions about rights that clients POST and whose answers are never stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from mlp_helpers.sandbox.kubernetes.errors import ApiError, cause, invalid
from mlp_helpers.sandbox.kubernetes.rbac import Attributes, Decision, User

__all__ = ["REVIEW_KINDS", "answer_review"]

Object = dict[str, Any]
AUDIENCE = "https://kubernetes.default.svc"

_AUTHORIZATION = "authorization.k8s.io"
_AUTHENTICATION = "authentication.k8s.io"
REVIEW_KINDS = {
    "LocalSubjectAccessReview": _AUTHORIZATION,
    "SelfSubjectAccessReview": _AUTHORIZATION,
    "SelfSubjectRulesReview": _AUTHORIZATION,
    "SubjectAccessReview": _AUTHORIZATION,
    "SelfSubjectReview": _AUTHENTICATION,
    "TokenReview": _AUTHENTICATION,
}


class Judge(Protocol):
    """What reviews ask."""

    def authorize(self, attributes: Attributes) -> Decision:
        """Decide about a request."""
        ...

    def rules_for(self, user: User, namespace: str) -> list[Object]:
        """Every rule that applies to the user."""
        ...


def answer_review(
    judge: Judge,
    kind: str,
    body: Object,
    *,
    user: User,
    authenticate: Callable[[str], User | None],
    namespace: str = "",
) -> Object:
    """Answer a review.

    Args:
        judge: Decides.
        kind: One of REVIEW_KINDS.
        body: What was posted.
        user: Who asks.
        authenticate: The user behind a token, for token reviews.
        namespace: Of the URL, for local reviews.

    Raises:
        ApiError: 422 for a question that cannot be answered.
    """
    spec = dict(body.get("spec") or {})
    metadata: Object = {}
    match kind:
        case "TokenReview":
            status = _token_status(authenticate(spec.get("token", "")))
        case "SelfSubjectReview":
            metadata = {"creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
            status = {"userInfo": _user_info(user)}
        case "SelfSubjectRulesReview":
            status = _rules_status(judge.rules_for(user, spec.pop("namespace", "")))
        case "SelfSubjectAccessReview":
            status = _access_status(judge, spec, user)
        case _:
            if kind == "LocalSubjectAccessReview":
                _check_namespace(spec, namespace)
                metadata = {"namespace": namespace}
            status = _access_status(judge, spec, _subject(spec))
    answer: Object = {"kind": kind, "apiVersion": f"{REVIEW_KINDS[kind]}/v1", "metadata": metadata}
    return {**answer, "status": status} if kind == "SelfSubjectReview" else {**answer, "spec": spec, "status": status}


def _user_info(user: User) -> Object:
    info = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": dict(user.extra)}
    return {name: value for name, value in info.items() if value}


def _token_status(found: User | None) -> Object:
    if found is None:
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _user_info(found), "audiences": [AUDIENCE]}


def _rules_status(rules: list[Object]) -> Object:
    fields = ("verbs", "apiGroups", "resources", "resourceNames")
    return {
        "resourceRules": [
            {name: rule[name] for name in fields if rule.get(name)} for rule in rules if rule.get("resources")
        ],
        "nonResourceRules": [
            {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}
            for rule in rules
            if rule.get("nonResourceURLs")
        ],
        "incomplete": False,
    }


def _access_status(judge: Judge, spec: Object, user: User) -> Object:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        field = "spec.resourceAttributes" if resource is None else "spec.nonResourceAttributes"
        raise _refused(field, "null", "exactly one of nonResourceAttributes or resourceAttributes must be specified")
    if resource is None:
        attributes = Attributes(user, (path or {}).get("verb", ""), path=(path or {}).get("path", ""))
    else:
        names = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
        attributes = Attributes(user, **{name: resource.get(name, "") for name in names})
    decision = judge.authorize(attributes)
    return {"allowed": decision.allowed, **({"reason": decision.reason} if decision.reason else {})}


def _subject(spec: Object) -> User:
    name, groups = spec.get("user", ""), tuple(spec.get("groups") or ())
    if not name and not groups:
        raise _refused("spec.user", '""', "at least one of user or group must be specified")
    return User(name, groups, spec.get("uid", ""), spec.get("extra") or {})


def _check_namespace(spec: Object, namespace: str) -> None:
    given = (spec.get("resourceAttributes") or {}).get("namespace", "")
    if given != namespace:
        raise _refused("spec.resourceAttributes.namespace", f'"{given}"', "must match metadata.namespace")


def _refused(field: str, value: str, why: str) -> ApiError:
    # The real server's error leaves the kind out here.
    return invalid("", _AUTHORIZATION, "", [cause("FieldValueInvalid", field, f"Invalid value: {value}: {why}")])
