"""Patches, field sets and selectors as functions, without a server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_helpers.sandbox.kubernetes.errors import ApiError
from mlp_helpers.sandbox.kubernetes.fields import from_fields, to_fields
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry
from mlp_helpers.sandbox.kubernetes.merge import Writer, apply, merge_patch, record_update
from mlp_helpers.sandbox.kubernetes.queries import parse_selectors
from mlp_helpers.sandbox.kubernetes.strategic import strategic_patch

_KEYS = st.sampled_from(["a", "b", "c"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers() | st.text(max_size=3), lambda below: st.dictionaries(_KEYS, below) | st.lists(below, max_size=2)
)
_PATHS = st.frozensets(st.lists(_KEYS.map("f:{}".format), min_size=1, max_size=3).map(tuple), max_size=6)


def found(group: str, plural: str) -> Kind:
    kind = Registry().find(group, "v1", plural)
    assert kind is not None
    return kind


CONFIG_MAPS, PODS = found("", "configmaps"), found("", "pods")


@given(st.dictionaries(_KEYS, _VALUES), st.dictionaries(_KEYS, _VALUES))
def test_a_merge_patch_changes_neither_argument_and_is_idempotent(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    once = merge_patch(target, patch)
    assert (target, patch) == before
    assert merge_patch(once, patch) == once


@given(_PATHS)
def test_field_sets_survive_being_written_and_read(paths: frozenset[tuple[str, ...]]) -> None:
    assert from_fields(to_fields(paths)) == paths


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def writer(manager: str) -> Writer:
    return Writer(manager, "v1", "2026-01-01T00:00:00Z")


@given(st.dictionaries(_KEYS, st.text(max_size=3), min_size=1), st.dictionaries(_KEYS, st.text(max_size=3), min_size=1))
def test_applying_again_leaves_what_was_applied_last_and_nothing_else(
    first: dict[str, str], second: dict[str, str]
) -> None:
    live = apply({}, config_map(**first), CONFIG_MAPS.schema, writer("one")).object
    before = copy.deepcopy(live)
    made = apply(live, config_map(**second), CONFIG_MAPS.schema, writer("one")).object
    assert made["data"] == second
    assert live == before


def test_what_another_manager_owns_is_neither_pruned_nor_taken() -> None:
    live = apply({}, config_map(a="1", b="2"), CONFIG_MAPS.schema, writer("one")).object
    live = apply(live, config_map(b="2"), CONFIG_MAPS.schema, writer("two")).object
    assert apply(live, config_map(a="1"), CONFIG_MAPS.schema, writer("one")).object["data"] == {"a": "1", "b": "2"}
    refused = apply(live, config_map(b="3"), CONFIG_MAPS.schema, writer("one"))
    assert [one.path for one in refused.conflicts] == [("f:data", "f:b")]
    forced = apply(live, config_map(b="3"), CONFIG_MAPS.schema, writer("one"), force=True).object
    assert [one["manager"] for one in forced["metadata"]["managedFields"]] == ["one"]


def test_an_update_takes_over_what_it_changes() -> None:
    live = apply({}, config_map(a="1"), CONFIG_MAPS.schema, writer("one")).object
    new = config_map(a="2")
    record_update(live, new, CONFIG_MAPS.schema, writer("editor"))
    assert [one["manager"] for one in new["metadata"]["managedFields"]] == ["editor"]


def containers(*names: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "image": name} for name in names]}}


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ([{"name": "b", "image": "new"}], ["a", "b", "c"]),
        ([{"name": "x", "image": "x"}], ["x", "a", "b", "c"]),
        ([{"name": "b", "$patch": "delete"}], ["a", "c"]),
        ([{"$patch": "replace"}, {"name": "y", "image": "y"}], ["y"]),
    ],
)
def test_strategic_patches_know_the_keys_of_lists(patch: list[Any], names: list[str]) -> None:
    made = strategic_patch(containers("a", "b", "c"), {"spec": {"containers": patch}}, PODS.schema)
    assert [one["name"] for one in made["spec"]["containers"]] == names


@pytest.mark.parametrize(
    ("labels", "fields", "expected"),
    [
        ("app=web,tier!=back", "", True),
        ("app in (web,api),!old", "", True),
        ("app notin (web)", "", False),
        ("tier", "", False),
        ("", "spec.nodeName=n1,status.phase!=Failed", True),
        ("app=web", "metadata.name=other", False),
    ],
)
def test_selectors_select(labels: str, fields: str, expected: bool) -> None:
    pod = {
        "metadata": {"name": "p", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running"},
    }
    matches = parse_selectors(PODS, labels, fields)
    assert matches is not None
    assert matches(pod) is expected


@pytest.mark.parametrize(("labels", "fields"), [("a===b", ""), ("in (", ""), ("", "spec.nope=1"), ("", "nonsense")])
def test_selectors_that_cannot_be_read_are_refused(labels: str, fields: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_selectors(PODS, labels, fields)
    assert refused.value.code == 400
