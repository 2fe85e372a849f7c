"""Tables: the columns and cells that a real server shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlp_helpers.sandbox.kubernetes.ages import age
from mlp_helpers.sandbox.kubernetes.errors import ApiError
from mlp_helpers.sandbox.kubernetes.jsonpath import find, find_all
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry
from mlp_helpers.sandbox.kubernetes.selectors import format_selector, matches_selector
from mlp_helpers.sandbox.kubernetes.table import table


def kind(api_version: str, plural: str) -> Kind:
    group, _, version = api_version.rpartition("/")
    found = Registry().find(group, version, plural)
    assert found
    return found


def cells(api_version: str, plural: str, obj: dict[str, Any]) -> dict[str, Any]:
    shown = table(kind(api_version, plural), [{"metadata": {"name": "x"}, **obj}], {})
    names = [column["name"] for column in shown["columnDefinitions"]]
    return dict(zip(names, shown["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (7, "7s"),
        (119, "119s"),
        (192, "3m12s"),
        (180, "3m"),
        (3 * 3600 - 1, "179m"),
        (5 * 3600 + 7 * 60, "5h7m"),
        (47 * 3600, "47h"),
        (51 * 3600, "2d3h"),
        (400 * 86400, "400d"),
        (735 * 86400, "2y5d"),
    ],
)
def test_ages_are_short(seconds: int, shown: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert age((now - timedelta(seconds=seconds)).isoformat(), now=now) == shown


def container(ready: bool = False, restarts: int = 0, **state: Any) -> dict[str, Any]:
    return {"name": "c", "ready": ready, "restartCount": restarts, "state": state}


def pod(phase: str, *statuses: dict[str, Any], init: Any = (), **status: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c"}], "initContainers": [{"name": one["name"]} for one in init]}
    return {
        "spec": spec,
        "status": {"phase": phase, "containerStatuses": list(statuses), "initContainerStatuses": list(init), **status},
    }


@pytest.mark.parametrize(
    ("given", "ready", "state", "restarts"),
    [
        (pod("Running", container(True, running={})), "1/1", "Running", "0"),
        (pod("Running", container(False, 4, waiting={"reason": "CrashLoopBackOff"})), "0/1", "CrashLoopBackOff", "4"),
        (pod("Succeeded", container(terminated={"exitCode": 0, "reason": "Completed"})), "0/1", "Completed", "0"),
        (pod("Failed", container(terminated={"exitCode": 3})), "0/1", "ExitCode:3", "0"),
        (pod("Failed", reason="Evicted"), "0/1", "Evicted", "0"),
        (pod("Pending"), "0/1", "Pending", "0"),
        (pod("Pending", init=[container(running={})]), "0/1", "Init:0/1", "0"),
        (
            pod("Pending", init=[container(False, 2, terminated={"exitCode": 1, "reason": "Error"})]),
            "0/1",
            "Init:Error",
            "2",
        ),
        (
            pod("Pending", conditions=[{"type": "PodScheduled", "reason": "SchedulingGated", "status": "False"}]),
            "0/1",
            "SchedulingGated",
            "0",
        ),
    ],
)
def test_a_pod_is_summed_up(given: dict[str, Any], ready: str, state: str, restarts: str) -> None:
    shown = cells("v1", "pods", given)
    assert (shown["Ready"], shown["Status"], shown["Restarts"]) == (ready, state, restarts)


def test_a_finished_pod_has_a_condition_on_its_row() -> None:
    row = table(kind("v1", "pods"), [{"metadata": {"name": "p"}, **pod("Succeeded")}], {})["rows"][0]
    assert row["conditions"][0]["reason"] == "Succeeded"


def test_a_pod_that_is_being_deleted_is_terminating() -> None:
    given = pod("Running", container(True, running={}))
    assert (
        cells("v1", "pods", {**given, "metadata": {"name": "p", "deletionTimestamp": "x"}})["Status"] == "Terminating"
    )


def test_a_service_shows_its_ports() -> None:
    spec = {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}
    shown = cells("v1", "services", {"spec": spec})
    assert shown["Port(s)"] == "80:30080/TCP"
    assert shown["External-IP"] == "<none>"


def test_a_quota_shows_requests_and_limits_apart() -> None:
    status = {"hard": {"pods": "2", "limits.cpu": "2"}, "used": {"pods": "1", "limits.cpu": "0"}}
    shown = cells("v1", "resourcequotas", {"status": status})
    assert (shown["Request"], shown["Limit"]) == ("pods: 1/2", "limits.cpu: 0/2")


def test_a_node_shows_its_state_and_roles() -> None:
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kernelVersion": "6.1"}},
    }
    shown = cells("v1", "nodes", node)
    assert (shown["Status"], shown["Roles"], shown["Kernel-Version"]) == ("Ready,SchedulingDisabled", "worker", "6.1")


def test_descriptions_come_from_the_schema() -> None:
    head = table(kind("apps/v1", "replicasets"), [], {})["columnDefinitions"][1]
    assert head["name"] == "Desired"
    assert head["description"].startswith("Replicas is the number of desired pods.")


def custom(*columns: dict[str, Any]) -> Kind:
    return Kind("x.io", "v1", "Widget", "widgets", "widget", True, columns=columns, built_in=False)


def test_custom_columns_follow_their_paths_and_types() -> None:
    given = custom(
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase", "priority": 1},
    )
    obj = {
        "metadata": {"name": "w"},
        "spec": {"size": 3},
        "status": {"conditions": [{"type": "A", "status": "x"}, {"type": "Ready", "status": "True"}]},
    }
    shown = table(given, [obj], {})
    assert shown["rows"][0]["cells"] == ["w", 3, "True", None]
    assert shown["columnDefinitions"][1]["description"].endswith("(in JSONPath format): .spec.size")


def test_rows_carry_what_is_asked_for() -> None:
    obj = {"metadata": {"name": "a"}, "data": {"k": "v"}}
    of = kind("v1", "configmaps")
    assert table(of, [obj], {})["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert table(of, [obj], {}, include_object="Object")["rows"][0]["object"] == obj
    assert table(of, [obj], {}, include_object="None")["rows"][0]["object"] is None
    with pytest.raises(ApiError, match="must be 'Metadata', 'Object', 'None', or empty"):
        table(of, [obj], {}, include_object="Nope")


def test_later_tables_of_a_watch_have_no_heads() -> None:
    assert table(kind("v1", "configmaps"), [], {}, with_columns=False)["columnDefinitions"] is None


@pytest.mark.parametrize(
    ("path", "found"),
    [(".a.b", [1]), (".list[0]", [{"n": "x"}]), (".list[*].n", ["x", "y"]), (".nope.b", []), (r".a\.b", [2])],
)
def test_paths_find_values(path: str, found: list[Any]) -> None:
    assert find_all({"a": {"b": 1}, "a.b": 2, "list": [{"n": "x"}, {"n": "y"}]}, path) == found


def test_a_path_that_leads_nowhere_finds_nothing() -> None:
    assert find(None, ".a") is None


def test_selectors_match_and_are_printed() -> None:
    selector = {
        "matchLabels": {"app": "x"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }
    assert matches_selector(selector, {"app": "x", "tier": "a"})
    assert not matches_selector(selector, {"app": "x", "tier": "c"})
    assert not matches_selector(None, {})
    assert format_selector(selector) == "app=x,!old,tier in (a,b)"
