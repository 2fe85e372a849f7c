"""Decisions about who may do what, judged by the words of a real server."""

from __future__ import annotations

from typing import Any

import pytest

from mlp_helpers.sandbox.kubernetes import bootstrap, rbac
from mlp_helpers.sandbox.kubernetes.access import Access, Attributes, User
from mlp_helpers.sandbox.kubernetes.errors import ApiError

RBAC = "rbac.authorization.k8s.io"
ALICE = User("alice", ("ml-team", "system:authenticated"))
ADMIN = User("admin", ("system:masters", "system:authenticated"))


def role(name: str, *rules: dict[str, Any], namespace: str = "team") -> dict[str, Any]:
    return {"kind": "Role", "metadata": {"name": name, "namespace": namespace}, "rules": list(rules)}


def rule(verbs: str, resources: str, group: str = "", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split(), **more}


def binding(
    name: str, subject: dict[str, Any], role_kind: str, role_name: str, namespace: str = "team"
) -> dict[str, Any]:
    return {
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": role_kind, "name": role_name},
        "subjects": [subject],
    }


def user(name: str) -> dict[str, Any]:
    return {"kind": "User", "apiGroup": RBAC, "name": name}


PLURALS = {
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
}


def access(*objects: dict[str, Any]) -> Access:
    everything = [*bootstrap.initial_objects(), *objects]

    def list_objects(resource: str) -> list[dict[str, Any]]:
        return [one for one in everything if f"{PLURALS.get(one['kind'])}.{RBAC}" == resource]

    return Access(list_objects, authenticate={"alice-token": ALICE}.get)


def ask(who: User, verb: str, resource: str, namespace: str = "team", **more: Any) -> Attributes:
    return Attributes(who, verb, more.pop("group", ""), "v1", resource, namespace=namespace, **more)


def test_masters_may_do_everything() -> None:
    assert access().authorize(ask(ADMIN, "delete", "secrets")).allowed


def test_a_role_reaches_as_far_as_its_namespace() -> None:
    given = access(role("r", rule("list", "configmaps")), binding("b", user("alice"), "Role", "r"))
    assert given.authorize(ask(ALICE, "list", "configmaps")).reason == (
        'RBAC: allowed by RoleBinding "b/team" of Role "r" to User "alice"'
    )
    assert not given.authorize(ask(ALICE, "list", "configmaps", "other")).allowed
    assert not given.authorize(ask(ALICE, "list", "configmaps", "")).allowed


def test_a_rule_with_names_allows_only_those() -> None:
    given = access(role("r", rule("get", "secrets", resourceNames=["a"])), binding("b", user("alice"), "Role", "r"))
    assert given.authorize(ask(ALICE, "get", "secrets", name="a")).allowed
    assert not given.authorize(ask(ALICE, "get", "secrets", name="b")).allowed
    assert not given.authorize(ask(ALICE, "list", "secrets")).allowed


@pytest.mark.parametrize(("pattern", "allowed"), [("pods/log", True), ("*/log", True), ("*", True), ("pods", False)])
def test_subresources_need_a_rule_of_their_own(pattern: str, allowed: bool) -> None:
    given = access(role("r", rule("get", pattern)), binding("b", user("alice"), "Role", "r"))
    assert given.authorize(ask(ALICE, "get", "pods", name="p", subresource="log")).allowed is allowed


def test_groups_and_service_accounts_are_subjects() -> None:
    account = User("system:serviceaccount:team:ray", rbac.service_account_groups("team"))
    given = access(
        role("r", rule("get", "pods")),
        binding("b", {"kind": "ServiceAccount", "name": "ray"}, "Role", "r"),
        binding("g", {"kind": "Group", "name": "ml-team"}, "Role", "r"),
    )
    assert given.authorize(ask(account, "get", "pods")).allowed
    assert given.authorize(ask(ALICE, "get", "pods")).allowed


def test_a_cluster_role_gathers_rules_by_label() -> None:
    gatherer = {
        "kind": "ClusterRole",
        "metadata": {"name": "rays", "labels": {f"{RBAC}/aggregate-to-view": "true"}},
        "rules": [rule("get", "rayclusters", "ray.io")],
    }
    given = access(gatherer, binding("b", user("alice"), "ClusterRole", "admin"))
    assert given.authorize(ask(ALICE, "get", "rayclusters", group="ray.io")).allowed


def test_paths_are_allowed_to_everyone_who_is_known() -> None:
    assert access().authorize(Attributes(ALICE, "get", path="/apis/apps")).allowed
    assert access().authorize(Attributes(rbac.anonymous(), "get", path="/version")).allowed
    assert not access().authorize(Attributes(rbac.anonymous(), "get", path="/apis")).allowed


def test_refusals_have_the_words_of_a_real_server() -> None:
    with pytest.raises(ApiError) as refused:
        access().require(ask(ALICE, "get", "pods", name="p", subresource="log"))
    assert refused.value.message == (
        'pods "p" is forbidden: User "alice" cannot get resource "pods/log" in API group "" in the namespace "team"'
    )
    with pytest.raises(ApiError, match='forbidden: User "alice" cannot get path "/metrics"'):
        access().require(Attributes(ALICE, "get", path="/metrics"))


def may_write_roles() -> list[dict[str, Any]]:
    return [
        role("r", rule("get list create update", "roles rolebindings", RBAC)),
        binding("b", user("alice"), "Role", "r"),
    ]


def test_a_role_may_not_grant_what_its_author_lacks() -> None:
    wanted = role("up", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    with pytest.raises(ApiError) as refused:
        access(*may_write_roles()).check_escalation(ALICE, wanted, "Role")
    assert refused.value.message == (
        f'roles.{RBAC} "up" is forbidden: user "alice" (groups=["ml-team" "system:authenticated"]) is attempting to'
        f" grant"
        ' RBAC permissions not currently held:\n{APIGroups:["*"], Resources:["*"], Verbs:["*"]}'
    )


def test_a_binding_may_not_grant_what_its_author_lacks_unless_they_may_bind() -> None:
    wanted = binding("up", user("alice"), "ClusterRole", "admin")
    with pytest.raises(ApiError, match=r'Resources:\["pods/log"\], Verbs:\["get" "list" "watch"\]'):
        access(*may_write_roles()).check_escalation(ALICE, wanted, "RoleBinding")
    binder = role("binder", rule("bind", "clusterroles", RBAC, resourceNames=["admin"]))
    given = access(*may_write_roles(), binder, binding("c", user("alice"), "Role", "binder"))
    given.check_escalation(ALICE, wanted, "RoleBinding")


def test_what_one_holds_one_may_grant() -> None:
    given = access(role("h", rule("*", "pods pods/log")), *may_write_roles(), binding("c", user("alice"), "Role", "h"))
    given.check_escalation(ALICE, role("up", rule("get list", "pods pods/log")), "Role")


def test_impersonation_gives_the_groups_of_the_one_impersonated() -> None:
    acting = access().impersonate(
        ADMIN, {"impersonate-user": ["system:serviceaccount:team:ray"]}, ask(ADMIN, "list", "pods")
    )
    assert acting.groups == ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated")


def test_impersonation_needs_a_right() -> None:
    with pytest.raises(ApiError, match='User "alice" cannot impersonate-on:user-info:list resource "configmaps"'):
        access().impersonate(ALICE, {"impersonate-user": ["bob"]}, ask(ALICE, "list", "configmaps"))


def test_token_reviews_tell_who_it_is() -> None:
    answer = access().review("TokenReview", {"spec": {"token": "alice-token"}}, ADMIN)
    assert answer["status"]["user"] == {"username": "alice", "groups": ["ml-team", "system:authenticated"]}
    assert access().review("TokenReview", {"spec": {"token": "x"}}, ADMIN)["status"]["error"] == "invalid bearer token"


def test_reviews_without_a_question_are_invalid() -> None:
    with pytest.raises(ApiError, match="exactly one of nonResourceAttributes or resourceAttributes must be specified"):
        access().review("SelfSubjectAccessReview", {"spec": {}}, ALICE)


def test_a_review_of_rules_lists_what_applies_in_the_namespace() -> None:
    given = access(role("r", rule("get", "configmaps")), binding("b", user("alice"), "Role", "r"))
    status = given.review("SelfSubjectRulesReview", {"spec": {"namespace": "team"}}, ALICE)["status"]
    assert {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]} in status["resourceRules"]
