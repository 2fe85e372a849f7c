"""Who may do what: decisions, impersonation, and the guard against granting more than one holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlp_helpers.sandbox.kubernetes import rbac
from mlp_helpers.sandbox.kubernetes.errors import ApiError, forbidden, not_found
from mlp_helpers.sandbox.kubernetes.rbac import Attributes, Decision, User
from mlp_helpers.sandbox.kubernetes.reviews import answer_review

__all__ = ["Access", "Attributes", "Decision", "User", "forbidden_error"]

Object = dict[str, Any]

_GROUP = "rbac.authorization.k8s.io"
_ROLES = {"Role": f"roles.{_GROUP}", "ClusterRole": f"clusterroles.{_GROUP}"}
_NOT_HELD = "is attempting to grant RBAC permissions not currently held:"


class Access:
    """RBAC over the roles and bindings that the cluster holds.

    Args:
        list_objects: All objects of a resource (`roles.rbac.authorization.k8s.io`), in the order of namespace and name.
        authenticate: The user behind a token, or None; for token reviews.
    """

    def __init__(
        self, list_objects: Callable[[str], list[Object]], *, authenticate: Callable[[str], User | None] | None = None
    ) -> None:
        self._list = list_objects
        self._authenticate = authenticate or (lambda _: None)

    def authorize(self, attributes: Attributes) -> Decision:
        """Decide about a request; the reason is the one that access reviews show."""
        if rbac.MASTERS in attributes.user.groups:
            return Decision(True)
        for grant in self._grants(attributes.user, attributes.namespace):
            if any(rbac.rule_allows(rule, attributes) for rule in grant.rules):
                return Decision(True, f"RBAC: allowed by {grant.source}")
        return Decision(False)

    def require(self, attributes: Attributes) -> None:
        """Let an allowed request pass.

        Raises:
            ApiError: 403 in the real server's words.
        """
        if not self.authorize(attributes).allowed:
            raise forbidden_error(attributes)

    def rules_for(self, user: User, namespace: str) -> list[Object]:
        """Every rule that applies to the user in a namespace (empty: cluster-wide ones only)."""
        if rbac.MASTERS in user.groups:
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            return [everything, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
        return [rule for grant in self._grants(user, namespace) for rule in grant.rules]

    def review(self, kind: str, body: Object, user: User, *, namespace: str = "") -> Object:
        """Answer an access or token review (kinds: `reviews.REVIEW_KINDS`).

        Raises:
            ApiError: 422 for a question that cannot be answered.
        """
        return answer_review(self, kind, body, user=user, authenticate=self._authenticate, namespace=namespace)

    def impersonate(self, user: User, headers: Mapping[str, Sequence[str]], attributes: Attributes) -> User:
        """The user that a request acts as.

        Args:
            user: Who authenticated.
            headers: The request's headers with lower-case names, every value of each.
            attributes: The request as that user; rights to impersonate may be limited to it.

        Raises:
            ApiError: 403 if the user may not act as the one asked for, 400 or 403 for headers without a user.
        """
        wanted = _impersonated(headers)
        if wanted is None:
            return user
        if not (self._may_impersonate(user, wanted) or self._may_impersonate_here(user, wanted, attributes)):
            raise forbidden_error(
                replace(attributes, user=user, verb=f"impersonate-on:{_mode(wanted)}:{attributes.verb}")
            )
        return wanted

    def check_escalation(self, user: User, obj: Object, kind: str) -> None:
        """Refuse a role or binding that grants more than its author holds.

        Raises:
            ApiError: 403 with the rules that are not held, or 404 of a role that the binding refers to.
        """
        if rbac.MASTERS in user.groups or kind not in _GUARDED:
            return
        metadata = obj.get("metadata") or {}
        namespace, name = metadata.get("namespace", ""), metadata.get("name", "")
        verb, resource, target = _GUARDED[kind].verb, _GUARDED[kind].resource, name
        if verb == "bind":
            reference = obj.get("roleRef") or {}
            resource, target = (
                _ROLES.get(reference.get("kind", ""), resource).partition(".")[0],
                reference.get("name", ""),
            )
        exempt = Attributes(user, verb, _GROUP, "v1", resource, namespace=namespace, name=target)
        if self.authorize(exempt).allowed:
            return
        wanted = self._role_rules(obj["roleRef"], namespace) if verb == "bind" else obj.get("rules") or ()
        missing = rbac.uncovered_rules(self.rules_for(user, namespace), list(wanted))
        if missing:
            lines = sorted(rbac.describe_rule(rule) for rule in rbac.compact_rules(missing))
            message = "\n".join([f"{rbac.describe_user(user)} {_NOT_HELD}", *lines])
            raise forbidden(f"{_GUARDED[kind].resource}.{_GROUP}", name, message)

    def _grants(self, user: User, namespace: str) -> Iterator[_Grant]:
        for binding in self._list(f"clusterrolebindings.{_GROUP}"):
            yield from self._grant(binding, "ClusterRoleBinding", user, "")
        if namespace:
            for binding in self._list(f"rolebindings.{_GROUP}"):
                if binding["metadata"].get("namespace") == namespace:
                    yield from self._grant(binding, "RoleBinding", user, namespace)

    def _grant(self, binding: Object, kind: str, user: User, namespace: str) -> Iterator[_Grant]:
        subjects = binding.get("subjects") or ()
        subject = next((one for one in subjects if rbac.subject_applies(one, user, namespace)), None)
        if subject is None:
            return
        role = binding["roleRef"]
        found = self._find_role(role, namespace)
        if found is None:
            return
        name = binding["metadata"]["name"]
        source = f'{kind} "{name}/{namespace}"' if namespace else f'{kind} "{name}"'
        source += f' of {role["kind"]} "{role["name"]}" to {subject["kind"]} "{_subject_name(subject, namespace)}"'
        yield _Grant(source, self._rules(found))

    def _find_role(self, reference: Object, namespace: str) -> Object | None:
        for role in self._list(_ROLES.get(reference.get("kind", ""), _ROLES["ClusterRole"])):
            metadata = role["metadata"]
            in_place = reference.get("kind") != "Role" or metadata.get("namespace") == namespace
            if metadata["name"] == reference.get("name") and in_place:
                return role
        return None

    def _rules(self, role: Object) -> list[Object]:
        if role.get("aggregationRule"):
            return rbac.aggregated_rules(role, self._list(_ROLES["ClusterRole"]))
        return list(role.get("rules") or ())

    def _role_rules(self, reference: Object, namespace: str) -> list[Object]:
        role = self._find_role(reference, namespace)
        if role is None:
            resource = _ROLES.get(reference.get("kind", ""), _ROLES["ClusterRole"])
            raise not_found(resource, reference.get("name", ""))
        return self._rules(role)

    def _may_impersonate(self, user: User, wanted: User) -> bool:
        return all(self.authorize(one).allowed for one in _impersonation_checks(user, wanted, "impersonate"))

    def _may_impersonate_here(self, user: User, wanted: User, attributes: Attributes) -> bool:
        mode = _mode(wanted)
        here = replace(attributes, user=user, verb=f"impersonate-on:{mode}:{attributes.verb}")
        checks = [here, *_impersonation_checks(user, wanted, f"impersonate:{mode}")]
        return all(self.authorize(one).allowed for one in checks)


@dataclass(frozen=True)
class _Grant:
    source: str
    rules: list[Object]


@dataclass(frozen=True)
class _Guarded:
    verb: str
    resource: str


_GUARDED = {
    "Role": _Guarded("escalate", "roles"),
    "ClusterRole": _Guarded("escalate", "clusterroles"),
    "RoleBinding": _Guarded("bind", "rolebindings"),
    "ClusterRoleBinding": _Guarded("bind", "clusterrolebindings"),
}


def forbidden_error(attributes: Attributes) -> ApiError:
    """The 403 of a request that no rule allows."""
    if not attributes.resource:
        message = f'User "{attributes.user.name}" cannot {attributes.verb} path "{attributes.path}"'
        return forbidden("", "", message)
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    message = (
        f'User "{attributes.user.name}" cannot {attributes.verb} resource "{attributes.full_resource}"'
        f' in API group "{attributes.group}" {where}'
    )
    resource = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
    return forbidden(resource, attributes.name, message)


def _subject_name(subject: Object, namespace: str) -> str:
    if subject["kind"] != "ServiceAccount":
        return str(subject["name"])
    return f"{subject['name']}/{subject.get('namespace') or namespace}"


def _impersonated(headers: Mapping[str, Sequence[str]]) -> User | None:
    """The user named by Impersonate-* headers, with the groups that the server would have given them."""
    names = headers.get("impersonate-user") or ()
    if not names or not names[0]:
        return None
    name, groups = names[0], tuple(headers.get("impersonate-group") or ())
    prefix = "impersonate-extra-"
    extra = {key.removeprefix(prefix): list(values) for key, values in headers.items() if key.startswith(prefix)}
    if not groups and name.startswith(rbac.SERVICE_ACCOUNT_PREFIX):
        groups = rbac.service_account_groups(name.removeprefix(rbac.SERVICE_ACCOUNT_PREFIX).partition(":")[0])
    uid = next(iter(headers.get("impersonate-uid") or ()), "")
    user = User(name, groups, uid, extra)
    return rbac.with_group(user, rbac.UNAUTHENTICATED if name == rbac.ANONYMOUS else rbac.AUTHENTICATED)


def _mode(wanted: User) -> str:
    return "serviceaccount" if wanted.name.startswith(rbac.SERVICE_ACCOUNT_PREFIX) else "user-info"


def _impersonation_checks(user: User, wanted: User, verb: str) -> list[Attributes]:
    """What must be allowed, each as a request on the resource that stands for a user, group, uid or extra field."""
    implied = {rbac.AUTHENTICATED, rbac.UNAUTHENTICATED}
    if _mode(wanted) == "serviceaccount":
        namespace, _, name = wanted.name.removeprefix(rbac.SERVICE_ACCOUNT_PREFIX).partition(":")
        implied |= set(rbac.service_account_groups(namespace))
        checks = [Attributes(user, verb, "", "v1", "serviceaccounts", namespace=namespace, name=name)]
    else:
        checks = [Attributes(user, verb, "", "v1", "users", name=wanted.name)]
    checks += [
        Attributes(user, verb, "", "v1", "groups", name=group) for group in wanted.groups if group not in implied
    ]
    identity = "authentication.k8s.io"
    if wanted.uid:
        checks.append(Attributes(user, verb, identity, "v1", "uids", name=wanted.uid))
    for key, values in wanted.extra.items():
        checks += [Attributes(user, verb, identity, "v1", "userextras", key, name=value) for value in values]
    return checks
