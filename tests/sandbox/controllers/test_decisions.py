"""What controllers decide, without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_helpers.sandbox.controllers.client import Object
from mlp_helpers.sandbox.controllers.conditions import condition, timestamp, with_conditions
from mlp_helpers.sandbox.controllers.endpoints import by_ports, endpoints_for, slice_for
from mlp_helpers.sandbox.controllers.jobs import Plan, plan, tally
from mlp_helpers.sandbox.controllers.namespaces import Leftovers, termination_conditions
from mlp_helpers.sandbox.controllers.ownership import Owners, deletion_of
from mlp_helpers.sandbox.controllers.quantities import format_quantity, parse_quantity, pod_resources
from mlp_helpers.sandbox.controllers.quota_status import pods_used
from mlp_helpers.sandbox.controllers.replica_sets import first_to_delete
from mlp_helpers.sandbox.controllers.rollout import Bounds, available, replicas, rolling_step
from mlp_helpers.sandbox.controllers.scheduling import best, explain, refusals
from mlp_helpers.sandbox.controllers.selectors import matches, selector_text

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


# Quantities and selectors


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", "0.5"),
        ("1Gi", "1073741824"),
        ("1e3", "1000"),
        ("1.5E", "1500000000000000000"),
        ("2", "2"),
        (".5", "0.5"),
    ],
)
def test_quantities_are_exact(text: str, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "1x", "Gi", "1 Gi", "1ki"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_a_formatted_quantity_reads_back(milli: int) -> None:
    amount = Decimal(milli) / 1000
    assert parse_quantity(format_quantity(amount, "cpu")) == amount


def test_a_pod_asks_for_the_larger_of_its_sum_and_its_init_containers() -> None:
    spec = {
        "containers": [{"resources": {"requests": {"cpu": "100m"}}}, {"resources": {"limits": {"cpu": "200m"}}}],
        "initContainers": [{"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}],
    }
    assert pod_resources(spec, "requests") == {"cpu": Decimal(1), "memory": Decimal(2**30)}


def test_selectors_select() -> None:
    selector = {
        "matchLabels": {"app": "a"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["x", "y"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }
    assert matches(selector, {"app": "a", "tier": "x"})
    assert not matches(selector, {"app": "a", "tier": "z"})
    assert not matches(selector, {"app": "a", "tier": "x", "old": ""})
    assert matches({}, {})
    assert not matches(None, {})
    assert selector_text(selector) == "app=a,tier in (x,y),!old"


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = with_conditions([], [condition("Ready", False, "A")], "t1")
    same = with_conditions(first, [condition("Ready", False, "B")], "t2")
    changed = with_conditions(same, [condition("Ready", True)], "t3")
    assert [entry[0]["lastTransitionTime"] for entry in (first, same, changed)] == ["t1", "t1", "t3"]
    assert "reason" not in changed[0]


# Scheduling


def node(name: str = "n", *, cpu: str = "4", labels: Any = None, taints: Any = None) -> Object:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}},
    }


def pod(name: str = "p", *, cpu: str = "1", **spec: Any) -> Object:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": {"name": name, "namespace": "n"}, "spec": {"containers": [container], **spec}}


def reasons(pod: Object, node: Object, used: Any = None) -> list[str]:
    return [refusal.reason for refusal in refusals(pod, node, used or {})]


def test_a_pod_fits_by_requests_selector_and_tolerations() -> None:
    assert reasons(pod(), node()) == []
    assert reasons(pod(cpu="5"), node()) == ["Insufficient cpu"]
    assert reasons(pod(), node(), {"cpu": Decimal("3.5")}) == ["Insufficient cpu"]
    assert reasons(pod(nodeSelector={"gpu": "yes"}), node()) == ["node(s) didn't match Pod's node affinity/selector"]
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    assert reasons(pod(), node(taints=[taint])) == ["node(s) had untolerated taint {nvidia.com/gpu: present}"]
    tolerant = pod(tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}])
    assert reasons(tolerant, node(taints=[taint])) == []


def test_required_affinity_terms_are_alternatives() -> None:
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]} for zone in ("a", "b")]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    assert reasons(pod(affinity=affinity), node(labels={"zone": "b"})) == []
    assert reasons(pod(affinity=affinity), node(labels={"zone": "c"})) != []


def test_the_scheduler_explains_in_the_real_words() -> None:
    lack = refusals(pod(cpu="9"), node(), {})
    assert explain({"n": lack}) == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )
    assert explain({}) == "no nodes available to schedule pods"
    taint = {"key": "k", "effect": "NoSchedule"}
    both = {"a": lack, "b": refusals(pod(), node(taints=[taint]), {})}
    assert explain(both).startswith(
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {k: }."
    )


def test_the_emptier_node_is_better() -> None:
    assert best([node("a"), node("b")], {"a": {"cpu": Decimal(2)}})["metadata"]["name"] == "b"


# Ownership and namespaces


@pytest.mark.parametrize(
    ("owners", "finalizers", "has_dependents", "expected"),
    [
        (Owners(solid=("a",), dangling=("b",)), [], False, None),
        (Owners(dangling=("a",)), [], False, "Background"),
        (Owners(dangling=("a",)), ["orphan"], False, "Orphan"),
        (Owners(waiting=("a",)), [], True, "Foreground"),
        (Owners(waiting=("a",)), [], False, "Background"),
        (Owners(), [], False, None),
    ],
)
def test_what_has_lost_its_owners_goes(
    owners: Owners, finalizers: list[str], has_dependents: bool, expected: Any
) -> None:
    assert deletion_of(owners, finalizers, has_dependents) == expected


def test_an_ending_namespace_says_what_it_still_holds() -> None:
    said = {entry["type"]: entry for entry in termination_conditions(Leftovers({"pods.": 2}, {"a/b": 1}))}
    assert (
        said["NamespaceContentRemaining"]["message"] == "Some resources are remaining: pods. has 2 resource instances"
    )
    assert said["NamespaceFinalizersRemaining"]["status"] == "True"
    assert said["NamespaceDeletionContentFailure"]["reason"] == "ContentDeleted"


# Workloads


def sized(name: str, size: int, up: int) -> Object:
    return {"metadata": {"name": name}, "spec": {"replicas": size}, "status": {"availableReplicas": up}}


def test_bounds_round_surge_up_and_unavailable_down() -> None:
    deployment = {"spec": {"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}}
    assert Bounds.of(deployment) == Bounds(1, 0)
    none = {"spec": {"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}}
    assert Bounds.of(none) == Bounds(0, 1)


@given(st.integers(1, 8), st.integers(0, 3), st.integers(0, 3))
def test_a_rollout_ends_and_never_leaves_its_bounds(wanted: int, surge: int, unavailable: int) -> None:
    bounds = Bounds(surge, min(unavailable, wanted) if surge or unavailable else 1)
    sets = {"new": sized("new", 0, 0), "old": sized("old", wanted, wanted)}
    for _ in range(100):
        step = rolling_step(wanted, bounds, sets["new"], [sets["old"]])
        if not step:
            # Nothing to do until pods become available.
            if all(available(one) == replicas(one) for one in sets.values()):
                break
            for one in sets.values():
                one["status"]["availableReplicas"] = replicas(one)
        for name, size in step.items():
            sets[name]["spec"]["replicas"] = size
            sets[name]["status"]["availableReplicas"] = min(available(sets[name]), size)
        assert sum(map(replicas, sets.values())) <= wanted + bounds.surge
        assert sum(map(available, sets.values())) >= wanted - bounds.unavailable
    assert (replicas(sets["new"]), replicas(sets["old"])) == (wanted, 0)


def test_pods_that_serve_nobody_are_deleted_first() -> None:
    def one(name: str, created: str, *, phase: str = "Running", ready: bool = True, assigned: bool = True) -> Object:
        conditions = [condition("Ready", ready)]
        return {
            "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"nodeName": "n"} if assigned else {},
            "status": {"phase": phase, "conditions": conditions},
        }

    pods = [
        one("old", "1"),
        one("young", "2"),
        one("unready", "1", ready=False),
        one("unassigned", "1", assigned=False),
    ]
    assert [pod["metadata"]["name"] for pod in first_to_delete(pods)] == ["unassigned", "unready", "young", "old"]


def job(**spec: Any) -> Object:
    return {"metadata": {"name": "j"}, "spec": {"completions": 1, "parallelism": 1, **spec}, "status": {}}


def job_pod(phase: str, *, seconds_ago: int = 1000) -> Object:
    ended = timestamp(NOW - timedelta(seconds=seconds_ago))
    state = {"terminated": {"finishedAt": ended}} if phase in ("Failed", "Succeeded") else {"running": {}}
    status = {"phase": phase, "containerStatuses": [{"state": state, "restartCount": 0}]}
    return {"metadata": {"name": phase, "creationTimestamp": ended}, "spec": {}, "status": status}


def planned(job: Object, *pods: Object) -> Plan:
    return plan(job, tally(job, pods), NOW)


def test_a_job_makes_pods_until_enough_have_succeeded() -> None:
    assert planned(job()).create == 1
    assert planned(job(completions=3, parallelism=2), job_pod("Running")).create == 1
    assert planned(job(completions=2, parallelism=2), job_pod("Succeeded")).create == 1
    done = planned(job(), job_pod("Succeeded"))
    assert [entry["type"] for entry in done.conditions] == ["SuccessCriteriaMet", "Complete"]


def test_a_job_fails_at_its_backoff_limit() -> None:
    failed = planned(job(backoffLimit=1), job_pod("Failed"), job_pod("Failed"))
    assert failed.conditions[-1]["reason"] == "BackoffLimitExceeded"


def test_a_failed_pod_is_replaced_after_a_pause() -> None:
    early = planned(job(), job_pod("Failed", seconds_ago=4))
    assert early.create == 0
    assert early.look_again_seconds == pytest.approx(6)
    assert planned(job(), job_pod("Failed", seconds_ago=11)).create == 1


def test_a_job_past_its_deadline_fails() -> None:
    late = job(activeDeadlineSeconds=5)
    late["status"] = {"startTime": timestamp(NOW - timedelta(seconds=6))}
    result = planned(late, job_pod("Running"))
    assert result.conditions[-1]["reason"] == "DeadlineExceeded"
    assert len(result.delete) == 1


def test_a_suspended_job_has_no_pods() -> None:
    result = planned(job(suspend=True), job_pod("Running"))
    assert len(result.delete) == 1
    assert result.conditions[0]["reason"] == "JobSuspended"


# Endpoints and quota


def served(name: str, real: int, *, ready: bool = True) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": name,
            "labels": {"app": "a"},
            "annotations": {"sandbox.mlp/ports": f'{{"8080": {real}}}'},
        },
        "spec": {"nodeName": "node", "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": [condition("Ready", ready)]},
    }


SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "s", "namespace": "n", "uid": "s"},
    "spec": {"selector": {"app": "a"}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
}


def test_pods_with_different_real_ports_get_slices_of_their_own() -> None:
    groups = by_ports(SERVICE, [served("p1", 20001), served("p2", 20002)])
    slices = [slice_for(SERVICE, ports, pods) for ports, pods in groups.items()]
    assert sorted(one["ports"][0]["port"] for one in slices) == [20001, 20002]
    assert len({one["metadata"]["name"] for one in slices}) == 2


def test_pods_that_are_not_ready_are_listed_as_such() -> None:
    groups = by_ports(SERVICE, [served("p1", 20001, ready=False)])
    made = slice_for(SERVICE, *next(iter(groups.items())))
    assert made["endpoints"][0]["conditions"] == {"ready": False, "serving": False, "terminating": False}
    assert "notReadyAddresses" in endpoints_for(SERVICE, groups)["subsets"][0]
    eager = {**SERVICE, "spec": {**SERVICE["spec"], "publishNotReadyAddresses": True}}
    assert slice_for(eager, *next(iter(groups.items())))["endpoints"][0]["conditions"]["ready"]


def test_ended_pods_use_no_quota() -> None:
    used = pods_used([pod(cpu="1"), {**pod(cpu="2"), "status": {"phase": "Succeeded"}}])
    assert used["requests.cpu"] == used["cpu"] == 1
    assert used["pods"] == 1
