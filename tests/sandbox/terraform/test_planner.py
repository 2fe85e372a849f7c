"""The planner alone: what is known at plan time, what differs, what must be replaced."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_helpers.sandbox.terraform.planner import Plan, plan
from mlp_helpers.sandbox.terraform.resources import resource
from mlp_helpers.sandbox.terraform.rules import Rules, names_the_same, problems
from mlp_helpers.sandbox.terraform.schemas import Attribute, Block, NestedBlock, Schemas
from mlp_helpers.sandbox.terraform.values import UNKNOWN, Values, same, without_unknowns

POOL = Block(
    attributes={
        "machine": Attribute("string", optional=True),
        "disk": Attribute("number", optional=True, computed=True),
    },
    blocks={},
)
THING = Block(
    attributes={
        "id": Attribute("string", optional=True, computed=True),
        "name": Attribute("string", required=True),
        "project": Attribute("string", optional=True, computed=True),
        "network": Attribute("string", optional=True),
        "protected": Attribute("bool", optional=True),
        "etag": Attribute("string", computed=True),
        "labels": Attribute(["map", "string"], optional=True),
        "terraform_labels": Attribute(["map", "string"], computed=True),
        "effective_labels": Attribute(["map", "string"], computed=True),
    },
    blocks={
        "pool": NestedBlock("list", POOL),
        "addons": NestedBlock("list", POOL, max_items=1),
        "rule": NestedBlock("set", POOL),
    },
)
RULES = Rules(
    immutable=frozenset({"name", "pool.machine"}),
    defaults={"protected": True},
    from_provider=("project",),
    served=frozenset({"addons"}),
    renewed=frozenset({"etag"}),
    equal={"network": names_the_same},
)
PROVIDER: Values = {"project": "mlp-sandbox", "default_labels": {"owner": "platform"}}


def config(**given: Any) -> Values:
    empty = dict.fromkeys(THING.attributes) | {name: [] for name in THING.blocks}
    return {**empty, "name": "n", **given}


def pool(machine: str | None = None, disk: int | None = None) -> Values:
    return {"machine": machine, "disk": disk}


def proposed(written: Values, prior: Values | None) -> Values:
    """What Terraform proposes: the configuration, and prior values where computed ones are not written."""
    merged = dict(written)
    for name, attribute in THING.attributes.items():
        if attribute.computed and written[name] is None and prior is not None:
            merged[name] = prior[name]
    for block in ("pool", "addons"):
        merged[block] = [
            {
                **item,
                "disk": item["disk"]
                if item["disk"] is not None or not prior or index >= len(prior[block])
                else prior[block][index]["disk"],
            }
            for index, item in enumerate(written[block])
        ]
    return merged


def planned(written: Values, prior: Values | None = None) -> Plan:
    return plan(THING, RULES, written, proposed(written, prior), prior, PROVIDER)


def made(written: Values) -> Values:
    """The state after a creation: what is not known yet gets a value."""
    state: Values = planned(written).planned
    for name in ("id", "etag"):
        state[name] = f"{name}-1"
    state["addons"] = [pool("served", 10)] if state["addons"] is UNKNOWN else state["addons"]
    for block in ("pool", "rule", "addons"):
        state[block] = [{**item, "disk": 100 if item["disk"] is UNKNOWN else item["disk"]} for item in state[block]]
    assert without_unknowns(state) == state
    return state


def test_a_new_object_has_defaults_and_unknowns() -> None:
    state = planned(config(pool=[pool("m1")])).planned
    assert state["id"] is UNKNOWN
    assert state["project"] == "mlp-sandbox"
    assert state["protected"] is True
    assert state["addons"] is UNKNOWN
    assert state["pool"] == [{"machine": "m1", "disk": UNKNOWN}]


def test_labels_merge_the_providers_defaults() -> None:
    state = planned(config(labels={"team": "ml"})).planned
    assert state["terraform_labels"] == {"team": "ml", "owner": "platform", "goog-terraform-provisioned": "true"}
    assert planned(config(labels={"team": UNKNOWN})).planned["effective_labels"] is UNKNOWN


def test_labels_by_others_stay() -> None:
    prior = made(config(labels={"team": "ml"}))
    prior["effective_labels"]["goog-managed"] = "yes"
    state = planned(config(labels={"team": "other"}), prior).planned
    assert state["effective_labels"] == {
        "team": "other",
        "owner": "platform",
        "goog-terraform-provisioned": "true",
        "goog-managed": "yes",
    }


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "network": st.sampled_from(["", "n", "projects/p/global/networks/n"]),
            "protected": st.booleans(),
            "labels": st.dictionaries(st.sampled_from("ab"), st.just("x")),
            "pool": st.lists(
                st.builds(pool, st.sampled_from([None, "m1", "m2"]), st.sampled_from([None, 50])), max_size=2
            ),
            "addons": st.lists(st.builds(pool, st.sampled_from([None, "m1"])), max_size=1),
            "rule": st.lists(
                st.builds(pool, st.sampled_from(["m1", "m2", "m3"])), max_size=3, unique_by=lambda item: item["machine"]
            ),
        },
    )
)
def test_planning_the_same_configuration_again_finds_nothing(given_values: Values) -> None:
    written = config(**given_values)
    prior = made(written)
    again = planned(written, prior)
    assert same(again.planned, prior)
    assert again.replace == ()


def test_an_update_renews_what_every_update_changes() -> None:
    prior = made(config())
    assert planned(config(protected=False), prior).planned["etag"] is UNKNOWN
    assert planned(config(), prior).planned["etag"] == "etag-1"


def test_two_names_of_one_network_are_no_difference() -> None:
    prior = made(config(network="projects/p/global/networks/n"))
    for name in ("n", "https://www.googleapis.com/compute/v1/projects/p/global/networks/n"):
        assert planned(config(network=name), prior).planned["network"] == "projects/p/global/networks/n"
    assert planned(config(network="other"), prior).planned["network"] == "other"


def test_a_served_block_stays_when_it_is_not_written() -> None:
    prior = made(config(addons=[pool("m1")]))
    assert planned(config(), prior).planned["addons"] == prior["addons"]


def test_a_block_that_is_taken_away_is_a_difference() -> None:
    prior = made(config(pool=[pool("m1")]))
    assert planned(config(), prior).planned["pool"] == []


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({"name": "other"}, {("name",)}),
        ({"pool": [pool("m2"), pool("m1")]}, {("pool", 0, "machine")}),
        ({"pool": [pool("m1", 200), pool("m1")]}, set()),
        ({"pool": [pool("m1")]}, {("pool",)}),
        ({"pool": [pool("m1"), pool("m1"), pool()]}, set()),
    ],
)
def test_replacements_name_where_the_immutable_value_differs(change: Values, paths: set[Any]) -> None:
    prior = made(config(pool=[pool("m1"), pool("m1")]))
    assert set(planned(config(**{"pool": [pool("m1"), pool("m1")], **change}), prior).replace) == paths


def test_members_of_a_set_keep_their_computed_values_in_any_order() -> None:
    prior = made(config(rule=[pool("m1"), pool("m2")]))
    prior["rule"] = [{"machine": "m1", "disk": 1}, {"machine": "m2", "disk": 2}]
    assert planned(config(rule=[pool("m2"), pool("m1")]), prior).planned["rule"] == prior["rule"]
    added = planned(config(rule=[pool("m2"), pool("m3")]), prior).planned["rule"]
    assert added == [{"machine": "m2", "disk": 2}, {"machine": "m3", "disk": UNKNOWN}]


@pytest.mark.parametrize("provider", ["google", "github"])
def test_every_rule_names_an_argument_that_there_is(provider: str) -> None:
    schemas = Schemas(provider)
    for type_name in schemas.resources:
        block = schemas.resource(type_name)
        rules = resource(type_name, block).rules
        empty = dict.fromkeys(block.attributes) | {name: [] for name in block.blocks}
        assert all(problem.summary for problem in problems(rules, empty))
        for path in (
            *rules.immutable,
            *rules.defaults,
            *rules.served,
            *rules.renewed,
            *rules.equal,
            *rules.from_provider,
        ):
            assert _exists(block, path.split(".")), f"{type_name}: {path}"


@pytest.mark.parametrize("provider", ["google", "github"])
def test_every_shape_names_an_argument_that_there_is(provider: str) -> None:
    from mlp_helpers.sandbox.terraform.bodies import Shape

    schemas = Schemas(provider)
    for type_name in schemas.resources:
        block = schemas.resource(type_name)
        shape = getattr(resource(type_name, block), "shape", Shape())
        for path in (*shape.names, *shape.local, *shape.objects, *shape.to_api, *shape.from_api):
            assert _exists(block, path.split(".")), f"{type_name}: {path}"


def _exists(block: Block, names: list[str]) -> bool:
    name, *rest = names
    if not rest:
        return name in block.attributes or name in block.blocks
    return name in block.blocks and _exists(block.blocks[name].block, rest)
