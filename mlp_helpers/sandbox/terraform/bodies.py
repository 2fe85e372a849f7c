"""Terraform's values ↔ the bodies of a REST API, guided by the schema.

Most of both sides follows from names: `ip_cidr_range` is `ipCidrRange`, a block of at most one is an object, other
blocks are an array. A `Shape` holds what does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlp_helpers.sandbox.terraform.labels import read_labels, written_name
from mlp_helpers.sandbox.terraform.schemas import Block, NestedBlock
from mlp_helpers.sandbox.terraform.values import Value, Values, is_zero, same

Json = dict[str, Any]
Convert = Callable[[Value], Value]

# Terraform's own business in every type, unknown to any API.
_LOCAL = frozenset({"id", "timeouts", "deletion_policy", "terraform_labels", "effective_labels"})


@dataclass(frozen=True)
class Shape:
    """How a type's body differs from what the names say. Paths are Terraform's, without indices.

    Args:
        names: The name in the body, relative to the parent's object; dots descend: "componentConfig.enableComponents".
        local: What only Terraform knows; it is kept from the state and never sent.
        objects: Blocks without a limit that the API shows as one object all the same.
        to_api: Converts a value on the way out.
        from_api: Converts a value on the way in.
        camel: Whether the API writes camelCase (Google) or snake_case (GitHub).
    """

    names: Mapping[str, str] = field(default_factory=dict)
    local: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
    to_api: Mapping[str, Convert] = field(default_factory=dict)
    from_api: Mapping[str, Convert] = field(default_factory=dict)
    camel: bool = True

    def name(self, path: tuple[str, ...]) -> str:
        """What a path's last part is called in the body."""
        return self.names.get(".".join(path)) or (camel_case(path[-1]) if self.camel else path[-1])

    def is_local(self, path: tuple[str, ...]) -> bool:
        """Whether the API does not know it."""
        return (len(path) == 1 and path[0] in _LOCAL) or ".".join(path) in self.local

    def is_object(self, path: tuple[str, ...], nested: NestedBlock) -> bool:
        """Whether the API shows an object where Terraform has a list."""
        return nested.is_object or ".".join(path) in self.objects


def camel_case(name: str) -> str:
    """ip_cidr_range → ipCidrRange."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def under(prefix: str, paths: Mapping[str, Any]) -> dict[str, Any]:
    """The same paths inside a block: what node pools and clusters share."""
    return {f"{prefix}.{path}": value for path, value in paths.items()}


def to_body(block: Block, shape: Shape, values: Values, path: tuple[str, ...] = ()) -> Json:
    """What to send for the values: nothing for nulls, for what only the API sets, and for what only Terraform knows."""
    body: Json = {}
    labels = written_name(values) if not path else None
    for name, attribute in block.attributes.items():
        at = (*path, name)
        value = values.get("effective_labels") if name == labels else values.get(name)
        if value is None or shape.is_local(at) or not (attribute.required or attribute.optional):
            continue
        convert = shape.to_api.get(".".join(at))
        _put(body, shape.name(at), convert(value) if convert else value)
    for name, nested in block.blocks.items():
        at = (*path, name)
        value = values.get(name)
        if not value or shape.is_local(at):
            continue
        inner = [to_body(nested.block, shape, item, at) for item in value]
        convert = shape.to_api.get(".".join(at))
        sent: Any = inner[0] if shape.is_object(at, nested) else inner
        _put(body, shape.name(at), convert(sent) if convert else sent)
    return body


def from_body(block: Block, shape: Shape, body: Json, seed: Values, path: tuple[str, ...] = ()) -> Values:
    """The state that a body shows.

    APIs leave zero values out; where the seed has one, it stays. Everything else is what the body says, so that drift
    shows.

    Args:
        seed: The latest known state, which also carries what no API shows.
    """
    state: Values = {}
    for name in block.attributes:
        at = (*path, name)
        before = seed.get(name)
        if shape.is_local(at):
            state[name] = before
            continue
        served = _get(body, shape.name(at))
        convert = shape.from_api.get(".".join(at))
        if convert is not None and served is not None:
            served = convert(served)
        state[name] = (
            (before if is_zero(before) else None)
            if served is None
            else before
            if _both_empty(served, before)
            else served
        )
    for name, nested in block.blocks.items():
        at = (*path, name)
        before = seed.get(name)
        if shape.is_local(at):
            state[name] = before
        else:
            state[name] = _nested(nested, shape, _get(body, shape.name(at)), before or [], at)
    if not path:
        read_labels(state, seed, _get(body, _labels_field(state, shape)) or {})
    return state


def _labels_field(state: Values, shape: Shape) -> str:
    return shape.name((written_name(state) or "labels",))


def _both_empty(served: Value, before: Value) -> bool:
    return is_zero(served) and is_zero(before) and before is not None


def _nested(
    nested: NestedBlock, shape: Shape, served: Any, before: list[Values], path: tuple[str, ...]
) -> list[Values]:
    convert = shape.from_api.get(".".join(path))
    if convert is not None and served is not None:
        served = convert(served)
    items = ([served] if isinstance(served, dict) else served) or []
    read = []
    for index, item in enumerate(items):
        older = before[index] if nested.nesting_mode == "list" and index < len(before) else {}
        read.append(from_body(nested.block, shape, item, older, path))
    if is_zero(read):
        return before if is_zero(before) else []  # says nothing: there, or not there, as it was written
    is_set = nested.nesting_mode == "set"
    if is_set and len(read) == len(before) and all(any(same(one, other) for other in before) for one in read):
        return before  # an order that means nothing, and zeros that were written
    return read


def changed(prior: Json, body: Json) -> Json:
    """The top-level fields of a body that differ from before; what is no longer there is sent as null."""
    fields = {name: value for name, value in body.items() if not same(value, prior.get(name))}
    return fields | {name: None for name in prior if name not in body and not is_zero(prior[name])}


def _put(body: Json, name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
    if isinstance(value, dict) and isinstance(body.get(last), dict):
        body[last].update(value)
    else:
        body[last] = value


def _get(body: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(body, dict):
            return None
        body = body.get(part)
    return body
