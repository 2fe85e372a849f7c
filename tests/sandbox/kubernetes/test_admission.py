"""Admission: what the cluster's rules change and refuse, judged by the words of a real server."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from mlp_helpers.sandbox.kubernetes.admission import Admission, AdmissionRequest
from mlp_helpers.sandbox.kubernetes.admission.pod_standards import violations
from mlp_helpers.sandbox.kubernetes.errors import ApiError
from mlp_helpers.sandbox.kubernetes.kinds import Registry
from mlp_helpers.sandbox.kubernetes.rbac import User
from mlp_helpers.sandbox.kubernetes.store import Store

Object = dict[str, Any]
ALICE = User("alice", ("ml-team", "system:authenticated"))
ADMISSION_GROUP = "admissionregistration.k8s.io"


class Cluster:
    """A store with a namespace, and admission over it."""

    def __init__(self, folder: Path, *, disabled: tuple[str, ...] = ()) -> None:
        self.store, self.registry = Store(folder / "cluster.db"), Registry()
        self.admission = Admission(self.store, self.registry, disabled=disabled)
        self.keep("namespaces", "team")
        self.keep("serviceaccounts", "default", "team")

    def keep(self, resource: str, name: str, namespace: str = "", **obj: Any) -> Object:
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **obj.pop("metadata", {})}
        return self.store.write("ADDED", resource, {"metadata": metadata, **obj})

    def request(self, operation: str, resource: str, obj: Object | None, old: Object | None = None) -> AdmissionRequest:
        kind = self.registry.by_resource(resource)
        assert kind
        metadata = (obj or old or {})["metadata"]
        namespace = metadata.get("namespace", "team" if kind.namespaced else "")
        return AdmissionRequest(operation, kind, namespace, metadata["name"], obj, old, ALICE)

    def create(self, resource: str, obj: Object) -> tuple[Object, list[str]]:
        """Admit, charge and keep an object; returns it and the warnings."""
        obj = copy.deepcopy(obj)
        request = self.request("CREATE", resource, obj)
        if request.kind.namespaced:
            obj["metadata"].setdefault("namespace", "team")
        self.admission.mutate(request)
        warnings = self.admission.validate(request)
        with self.store.transaction():
            self.admission.charge(request)
            self.store.write("ADDED", resource, obj)
        return obj, warnings

    def refusal(self, resource: str, obj: Object) -> ApiError:
        with pytest.raises(ApiError) as refused:
            self.create(resource, obj)
        return refused.value

    def used(self) -> Object:
        quota = self.store.get("resourcequotas", "team", "q")
        assert quota
        return dict(quota["status"]["used"])


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def pod(name: str = "p", containers: list[Object] | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {"containers": containers or [{"name": "c", "image": "busybox"}], **spec},
    }


def asking(requests: Object | None = None, limits: Object | None = None) -> list[Object]:
    return [{"name": "c", "image": "a", "resources": {"requests": requests or {}, "limits": limits or {}}}]


def config_map(name: str = "a", **data: str) -> Object:
    return {"metadata": {"name": name}, "data": data}


# Namespaces.


def test_nothing_is_created_in_a_missing_namespace(cluster: Cluster) -> None:
    error = cluster.refusal("configmaps", {"metadata": {"name": "a", "namespace": "nope"}})
    assert error.message == 'namespaces "nope" not found'


def test_nothing_is_created_in_a_namespace_that_ends(cluster: Cluster) -> None:
    cluster.keep("namespaces", "old", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    error = cluster.refusal("configmaps", {"metadata": {"name": "a", "namespace": "old"}})
    assert error.message == (
        'configmaps "a" is forbidden: unable to create new content in namespace old because it is being terminated'
    )
    assert error.status["details"]["causes"][0]["reason"] == "NamespaceTerminating"


def test_the_clusters_own_namespaces_stay(cluster: Cluster) -> None:
    request = cluster.request("DELETE", "namespaces", None, {"metadata": {"name": "kube-system"}})
    with pytest.raises(ApiError, match="this namespace may not be deleted"):
        cluster.admission.validate(request)


# Pods.


def test_a_pod_gets_an_account_a_priority_and_patience(cluster: Cluster) -> None:
    cluster.keep("priorityclasses.scheduling.k8s.io", "high", value=5, preemptionPolicy="Never")
    spec = cluster.create("pods", pod(priorityClassName="high"))[0]["spec"]
    assert spec["serviceAccountName"] == "default"
    assert (spec["priority"], spec["preemptionPolicy"]) == (5, "Never")
    assert [one["key"] for one in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]


def test_a_pod_needs_its_service_account(cluster: Cluster) -> None:
    error = cluster.refusal("pods", pod(serviceAccountName="ray"))
    assert error.message == (
        'pods "p" is forbidden: error looking up service account team/ray: serviceaccount "ray" not found'
    )


def test_plugins_can_be_left_out(tmp_path: Path) -> None:
    without = Cluster(tmp_path, disabled=("ServiceAccount",))
    assert "serviceAccountName" not in without.create("pods", pod())[0]["spec"]


def test_a_priority_class_must_exist(cluster: Cluster) -> None:
    error = cluster.refusal("pods", pod(priorityClassName="nope"))
    assert error.message == 'pods "p" is forbidden: no PriorityClass with name nope was found'


# Limits.


def test_limits_give_defaults_and_say_so(cluster: Cluster) -> None:
    item = {
        "type": "Container",
        "default": {"cpu": "2", "memory": "1Gi"},
        "defaultRequest": {"cpu": "1", "memory": "1Gi"},
    }
    cluster.keep("limitranges", "l", "team", spec={"limits": [item]})
    made = cluster.create("pods", pod())[0]
    assert made["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "1Gi"},
    }
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"
    )


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"max": {"cpu": "2"}}, "maximum cpu usage per Container is 2, but limit is 4"),
        ({"min": {"memory": "1Gi"}}, "minimum memory usage per Container is 1Gi.  No request is specified"),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 4",
        ),
    ],
)
def test_limits_are_kept(cluster: Cluster, item: Object, why: str) -> None:
    cluster.keep("limitranges", "l", "team", spec={"limits": [{"type": "Container", **item}]})
    error = cluster.refusal("pods", pod(containers=asking({"cpu": "1"}, {"cpu": "4"})))
    assert error.message.startswith(f'pods "p" is forbidden: {why}')


# Pod Security.

RESTRICTED = (
    'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false),'
    ' unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]),'
    ' runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true),'
    ' seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or'
    ' "Localhost")'
)


def label(cluster: Cluster, **modes: str) -> None:
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode, level in modes.items()}
    cluster.keep("namespaces", "team", metadata={"labels": labels})


def test_the_restricted_standard_is_enforced(cluster: Cluster) -> None:
    label(cluster, enforce="restricted")
    assert cluster.refusal("pods", pod()).message == (
        f'pods "p" is forbidden: violates PodSecurity "restricted:latest": {RESTRICTED}'
    )


def test_a_restricted_pod_is_admitted(cluster: Cluster) -> None:
    label(cluster, enforce="restricted")
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    cluster.create(
        "pods",
        pod(
            containers=[{"name": "c", "image": "a", "securityContext": context}],
            securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        ),
    )


def test_a_standard_can_be_warned_about(cluster: Cluster) -> None:
    label(cluster, warn="restricted")
    assert cluster.create("pods", pod())[1] == [f'would violate PodSecurity "restricted:latest": {RESTRICTED}']
    deployment = {"metadata": {"name": "d"}, "spec": {"template": {"spec": pod()["spec"]}}}
    assert cluster.create("deployments.apps", deployment)[1][0].startswith("would violate PodSecurity")


def test_a_new_standard_warns_of_the_pods_that_are_there(cluster: Cluster) -> None:
    cluster.create("pods", pod("a"))
    cluster.create("pods", pod("b"))
    new = {"metadata": {"name": "team", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    request = cluster.request("UPDATE", "namespaces", new, {"metadata": {"name": "team"}})
    assert cluster.admission.validate(request) == [
        'existing pods in namespace "team" violate the new PodSecurity enforce level "restricted:latest"',
        "a (and 1 other pod): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true,"
        " seccompProfile",
    ]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"hostNetwork": True, "hostPID": True}, "host namespaces (hostNetwork=true, hostPID=true)"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, 'hostPath volumes (volume "v")'),
        (
            {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]},
            'hostPort (container "c" uses hostPort 80)',
        ),
        (
            {"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]},
            'non-default capabilities (container "c" must not include "NET_ADMIN" in securityContext.capabilities.add)',
        ),
        (
            {"containers": [{"name": n, "securityContext": {"privileged": True}} for n in ("a", "b")]},
            'privileged (containers "a", "b" must not set securityContext.privileged=true)',
        ),
        (
            {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
            "forbidden sysctls (kernel.msgmax)",
        ),
    ],
)
def test_the_baseline_standard_names_what_violates_it(spec: Object, found: str) -> None:
    assert [str(one) for one in violations("baseline", spec)] == [found]


# Quotas.


def give_quota(cluster: Cluster, **hard: str) -> None:
    cluster.keep(
        "resourcequotas", "q", "team", spec={"hard": {name.replace("__", "."): one for name, one in hard.items()}}
    )


def test_a_quota_is_charged_and_released(cluster: Cluster) -> None:
    give_quota(cluster, pods="2", requests__cpu="3")
    made, _ = cluster.create("pods", pod(containers=asking({"cpu": "500m"})))
    cluster.create("pods", pod("q", containers=asking({"cpu": "1"})))
    assert cluster.used() == {"pods": "2", "requests.cpu": "1500m"}
    cluster.admission.release(cluster.request("DELETE", "pods", None, made))
    assert cluster.used() == {"pods": "1", "requests.cpu": "1"}


def test_a_pod_that_has_ended_is_not_counted(cluster: Cluster) -> None:
    give_quota(cluster, pods="1")
    made, _ = cluster.create("pods", pod())
    ended = {**copy.deepcopy(made), "status": {"phase": "Succeeded"}}
    cluster.admission.charge(cluster.request("UPDATE", "pods", ended, made))
    assert cluster.used() == {"pods": "0"}


def test_a_quota_is_not_exceeded(cluster: Cluster) -> None:
    give_quota(cluster, requests__cpu="1", limits__memory="1Gi")
    error = cluster.refusal("pods", pod(containers=asking({"cpu": "2"}, {"memory": "1Mi"})))
    assert error.message == (
        'pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=2, used: requests.cpu=0,'
        " limited: requests.cpu=1"
    )


def test_a_quota_asks_for_what_it_limits(cluster: Cluster) -> None:
    give_quota(cluster, requests__cpu="1", limits__memory="1Gi")
    assert cluster.refusal("pods", pod()).message == (
        'pods "p" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c'
    )


def test_objects_of_any_kind_can_be_counted(cluster: Cluster) -> None:
    cluster.keep("resourcequotas", "q", "team", spec={"hard": {"count/configmaps": "1"}})
    cluster.create("configmaps", config_map("a"))
    assert cluster.refusal("configmaps", config_map("b")).message == (
        'configmaps "b" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=1,'
        " limited: count/configmaps=1"
    )


def test_objects_from_before_the_quota_count(cluster: Cluster) -> None:
    cluster.create("pods", pod())
    give_quota(cluster, pods="1")
    assert "exceeded quota: q, requested: pods=1, used: pods=1" in cluster.refusal("pods", pod("q")).message


# Policies.


def give_policy(cluster: Cluster, *validations: Object, actions: tuple[str, ...] = ("Deny",), **spec: Any) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["configmaps"]}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": list(validations), **spec}
    cluster.keep(f"validatingadmissionpolicies.{ADMISSION_GROUP}", "p", spec=spec)
    cluster.keep(
        f"validatingadmissionpolicybindings.{ADMISSION_GROUP}",
        "b",
        spec={"policyName": "p", "validationActions": list(actions)},
    )


NO_BAD_DATA = {"expression": "!has(object.data) || !('bad' in object.data)", "message": "no bad data"}


def test_a_policy_denies(cluster: Cluster) -> None:
    give_policy(cluster, NO_BAD_DATA)
    cluster.create("configmaps", config_map(good="1"))
    error = cluster.refusal("configmaps", config_map("b", bad="1"))
    assert error.code == 422
    assert error.message == (
        "configmaps \"b\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no bad data"
    )


@pytest.mark.parametrize(
    ("validation", "code", "message"),
    [
        ({"expression": "false"}, 422, "failed expression: false"),
        (
            {"expression": "false", "messageExpression": "'not ' + object.metadata.name", "reason": "Forbidden"},
            403,
            "not a",
        ),
        ({"expression": "object.nope == 1"}, 422, "expression 'object.nope == 1' resulted in error: no such key: nope"),
        ({"expression": "request.userInfo.username != 'alice'", "message": "not alice"}, 422, "not alice"),
        ({"expression": "variables.names.size() == 0", "message": "named"}, 422, "named"),
    ],
)
def test_a_denial_has_the_words_of_its_rule(cluster: Cluster, validation: Object, code: int, message: str) -> None:
    give_policy(cluster, validation, variables=[{"name": "names", "expression": "[object.metadata.name]"}])
    error = cluster.refusal("configmaps", config_map())
    assert error.code == code
    assert error.message.endswith(f"denied request: {message}")


def test_a_policy_can_warn(cluster: Cluster) -> None:
    give_policy(cluster, NO_BAD_DATA, actions=("Warn",))
    assert cluster.create("configmaps", config_map(bad="1"))[1] == [
        "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no bad data"
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"failurePolicy": "Ignore", "validations": [{"expression": "object.nope == 1"}]},
        {"matchConditions": [{"name": "n", "expression": "object.metadata.name != 'a'"}]},
    ],
)
def test_a_policy_may_not_apply(cluster: Cluster, spec: Object) -> None:
    give_policy(cluster, {"expression": "false"}, **spec)
    cluster.create("configmaps", config_map())


def test_a_policy_takes_parameters(cluster: Cluster) -> None:
    give_policy(
        cluster,
        {"expression": "params.data.word != object.data.word", "message": "that word"},
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
    )
    cluster.keep("configmaps", "parameters", "team", data={"word": "x"})
    cluster.keep(
        f"validatingadmissionpolicybindings.{ADMISSION_GROUP}",
        "b",
        spec={
            "policyName": "p",
            "validationActions": ["Deny"],
            "paramRef": {"name": "parameters", "parameterNotFoundAction": "Deny"},
        },
    )
    assert "that word" in cluster.refusal("configmaps", config_map(word="x")).message
    cluster.create("configmaps", config_map(word="y"))


def test_webhooks_are_kept_with_a_warning(cluster: Cluster) -> None:
    hooks = {"metadata": {"name": "w"}, "webhooks": []}
    warnings = cluster.create(f"validatingwebhookconfigurations.{ADMISSION_GROUP}", hooks)[1]
    assert warnings == ["not emulated in the sandbox: admission webhooks are kept, but not called"]
