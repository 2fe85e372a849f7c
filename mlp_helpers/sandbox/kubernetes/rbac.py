"""Role-based access control as pure functions: which rules cover which requests, and which rules cover which rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlp_helpers.sandbox.kubernetes.selectors import matches_selector

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
ANONYMOUS = "system:anonymous"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

Object = dict[str, Any]


@dataclass(frozen=True)
class User:
    """Who asks.

    Args:
        name: User name; a service account's is `system:serviceaccount:NAMESPACE:NAME`.
        groups: Groups, `system:authenticated` among them for everyone who showed a token.
        uid: Unique id, or empty.
        extra: More about the user, for policies and reviews.
    """

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Attributes:
    """What is asked for: a verb on a resource, or on a path that is not a resource (then `resource` is empty)."""

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """The resource as rules name it: `pods`, `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed, and by which binding."""

    allowed: bool
    reason: str = ""


def anonymous() -> User:
    """The user of a request without a token."""
    return User(ANONYMOUS, (UNAUTHENTICATED,))


def service_account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)


def rule_allows(rule: Object, attributes: Attributes) -> bool:
    """Whether one rule of a role allows the request."""
    if not _has(rule.get("verbs"), attributes.verb):
        return False
    if not attributes.resource:
        return any(_path_matches(pattern, attributes.path) for pattern in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames") or ()
    return (
        _has(rule.get("apiGroups"), attributes.group)
        and any(_resource_matches(one, attributes) for one in rule.get("resources") or ())
        and (not names or attributes.name in names)
    )


def _has(values: Iterable[str] | None, wanted: str) -> bool:
    return any(value in ("*", wanted) for value in values or ())


def _resource_matches(pattern: str, attributes: Attributes) -> bool:
    if pattern in ("*", attributes.full_resource):
        return True
    return bool(attributes.subresource) and pattern == f"*/{attributes.subresource}"


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def subject_applies(subject: Object, user: User, binding_namespace: str) -> bool:
    """Whether a binding's subject means this user."""
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "User":
        return bool(name == user.name)
    if kind == "Group":
        return name in user.groups
    namespace = subject.get("namespace") or binding_namespace
    return kind == "ServiceAccount" and bool(namespace) and user.name == f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"


def aggregated_rules(role: Object, cluster_roles: Sequence[Object]) -> list[Object]:
    """The rules of a cluster role, those it gathers from others by label included.

    A real cluster has a controller that writes the gathered rules into the role; here they are gathered when asked
    for, so
    that they are never out of date.
    """
    return _gather(role, cluster_roles, frozenset())


def _gather(role: Object, cluster_roles: Sequence[Object], seen: frozenset[str]) -> list[Object]:
    selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
    if not selectors:
        return list(role.get("rules") or ())
    name = role["metadata"]["name"]
    rules: list[Object] = []
    for selector in selectors:
        for other in sorted(cluster_roles, key=lambda one: str(one["metadata"]["name"])):
            other_name = other["metadata"]["name"]
            if other_name == name or other_name in seen:
                continue
            if matches_selector(selector, other["metadata"].get("labels") or {}):
                rules += [one for one in _gather(other, cluster_roles, seen | {name}) if one not in rules]
    return rules


# Escalation: nobody may grant what they do not hold. Rules are broken into the smallest ones, each looked for on
# its own.


def uncovered_rules(owned: Sequence[Object], wanted: Sequence[Object]) -> list[Object]:
    """The parts of the wanted rules that no owned rule covers, one verb and one resource each."""
    return [part for rule in wanted for part in _break_down(rule) if not any(_covers(one, part) for one in owned)]


def _break_down(rule: Object) -> Iterator[Object]:
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames") or ()
                if not names:
                    yield part
                for name in names:
                    yield {**part, "resourceNames": [name]}
    for path in rule.get("nonResourceURLs") or ():
        for verb in rule.get("verbs") or ():
            yield {"nonResourceURLs": [path], "verbs": [verb]}


def _covers(owner: Object, part: Object) -> bool:
    if not _has(owner.get("verbs"), part["verbs"][0]):
        return False
    if "nonResourceURLs" in part:
        return any(_path_matches(one, part["nonResourceURLs"][0]) for one in owner.get("nonResourceURLs") or ())
    if not _has(owner.get("apiGroups"), part["apiGroups"][0]):
        return False
    resource = part["resources"][0]
    accepted = {"*", resource} | ({f"*/{resource.partition('/')[2]}"} if "/" in resource else set())
    if not accepted & set(owner.get("resources") or ()):
        return False
    names = owner.get("resourceNames") or ()
    return not names or (part.get("resourceNames") or [None])[0] in names


def compact_rules(rules: Iterable[Object]) -> list[Object]:
    """Join rules that differ only in their verbs."""
    joined: dict[str, Object] = {}
    for rule in rules:
        key = json.dumps({name: value for name, value in rule.items() if name != "verbs"}, sort_keys=True)
        known = joined.setdefault(key, {**rule, "verbs": []})
        known["verbs"] += [verb for verb in rule["verbs"] if verb not in known["verbs"]]
    return list(joined.values())


def describe_rule(rule: Object) -> str:
    """A rule as error messages print it: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`."""
    fields = (
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("ResourceNames", "resourceNames"),
        ("Verbs", "verbs"),
    )
    shown = [f"{label}:[{_quoted(rule[name])}]" for label, name in fields if rule.get(name)]
    return "{" + ", ".join(shown) + "}"


def describe_user(user: User) -> str:
    """A user as escalation errors print them: `user "alice" (groups=["a" "b"])`."""
    return f'user "{user.name}" (groups=[{_quoted(user.groups)}])'


def _quoted(values: Iterable[str]) -> str:
    return " ".join(json.dumps(value, ensure_ascii=False) for value in values)


def with_group(user: User, group: str) -> User:
    """The user, also in the group."""
    return user if group in user.groups else replace(user, groups=(*user.groups, group))
