"""Values on the wire and in comparison."""

from __future__ import annotations

import json
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from mlp_helpers.sandbox.terraform.values import (
    UNKNOWN,
    conform,
    decode,
    decode_json,
    encode,
    has_unknowns,
    is_zero,
    same,
    without_unknowns,
)

PRIMITIVES = {
    "string": st.text(max_size=8),
    "bool": st.booleans(),
    "number": st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda f: f % 1 != 0),
}
TYPES = st.recursive(
    st.sampled_from(sorted(PRIMITIVES)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["list", "set", "map"]), inner).map(list),
        st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3).map(lambda of: ["object", of]),
    ),
    max_leaves=6,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.just(UNKNOWN), _known(kind))


def _known(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, str):
        return PRIMITIVES[kind]
    collection, inner = kind
    if collection in ("list", "set"):
        return st.lists(values_of(inner), max_size=3)
    if collection == "map":
        return st.dictionaries(st.text(max_size=3), values_of(inner), max_size=3)
    return st.fixed_dictionaries({name: values_of(of) for name, of in inner.items()})


TYPED = TYPES.flatmap(lambda kind: st.tuples(st.just(kind), values_of(kind)))


@given(TYPED)
def test_a_value_survives_the_wire(typed: tuple[Any, Any]) -> None:
    kind, value = typed
    assert decode(encode(value, kind), kind) == value


@given(TYPED)
def test_without_unknowns_nothing_is_unknown_and_the_rest_is_kept(typed: tuple[Any, Any]) -> None:
    _, value = typed
    known = without_unknowns(value)
    assert not has_unknowns(known)
    assert has_unknowns(value) or known == value


@given(TYPED)
def test_a_value_is_the_same_as_itself_and_conforming_changes_nothing(typed: tuple[Any, Any]) -> None:
    kind, value = typed
    assert same(value, value)
    assert conform(value, kind) == value


@given(TYPED, TYPED)
def test_being_the_same_is_symmetric(left: tuple[Any, Any], right: tuple[Any, Any]) -> None:
    assert same(left[1], right[1]) == same(right[1], left[1])


def test_zero_values_are_the_same_as_null_at_any_depth() -> None:
    assert same({"a": None, "b": [{"c": False}]}, {"a": "", "b": [{"c": None}]})
    assert not same({"a": 1}, {"a": None})
    assert not same(UNKNOWN, None)
    assert not is_zero(UNKNOWN)


def test_unknowns_with_refinements_are_unknown() -> None:
    refined = msgpack.packb({"id": msgpack.ExtType(12, b"\x81\x01\xc2")})
    assert decode(refined, ["object", {"id": "string"}]) == {"id": UNKNOWN}


def test_state_of_another_version_is_fitted() -> None:
    raw = json.dumps({"name": "n", "gone": 1, "count": "3"}).encode()
    assert decode_json(raw, ["object", {"name": "string", "count": "number", "new": "bool"}]) == {
        "name": "n",
        "count": 3,
        "new": None,
    }
