"""Plan a change: pure functions from configuration and prior state to the planned state and what must be replaced.

Terraform has already merged the two into a proposal. What is left is what the providers' SDK does: defaults, values
that the provider block gives, computed values that are not known yet, differences that mean nothing, and changes that
cannot be made in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlp_helpers.sandbox.terraform.labels import plan_labels
from mlp_helpers.sandbox.terraform.rules import Rules
from mlp_helpers.sandbox.terraform.schemas import Block, NestedBlock
from mlp_helpers.sandbox.terraform.values import UNKNOWN, Value, Values, is_zero, same

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Plan:
    """The state that Terraform will ask for, and the paths whose change needs a new object."""

    planned: Values
    replace: tuple[Path, ...] = ()


def plan(
    block: Block, rules: Rules, config: Values, proposed: Values, prior: Values | None, provider: Mapping[str, Value]
) -> Plan:
    """Plan a creation (without prior state) or an update.

    Args:
        block: The type's schema.
        rules: What the schema does not say.
        config: The configuration as written; null where nothing is.
        proposed: Terraform's merge of configuration and prior state.
        prior: The state before, or None.
        provider: The provider block's arguments.
    """
    planned = _Planner(rules).block(block, (), config, proposed, prior)
    for name in rules.from_provider:
        if config.get(name) is None and prior is None and provider.get(name) is not None:
            planned[name] = provider[name]
    if "deletion_policy" in block.attributes and config.get("deletion_policy") is None:
        planned["deletion_policy"] = provider.get("deletion_policy") or "DELETE"
    plan_labels(planned, prior, provider)
    if prior is None:
        return Plan(planned)
    if not same(planned, prior):
        for name in rules.renewed:
            planned[name] = UNKNOWN
    return Plan(planned, _replacements(block, rules, prior, planned))


class _Planner:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def block(
        self, block: Block, path: tuple[str, ...], config: Values, proposed: Values, prior: Values | None
    ) -> Values:
        planned = dict(proposed)
        for name, attribute in block.attributes.items():
            at = (*path, name)
            before = prior.get(name) if prior is not None else None
            if config.get(name) is not None:
                planned[name] = self._configured(at, config[name], before, exists=prior is not None)
            elif ".".join(at) in self._rules.defaults:
                default = self._rules.defaults[".".join(at)]
                planned[name] = before if prior is not None and same(before, default) else default
            elif attribute.computed:
                planned[name] = UNKNOWN if prior is None else proposed.get(name)
            else:
                planned[name] = before if is_zero(before) else None
        for name, nested in block.blocks.items():
            before = prior.get(name) if prior is not None else None
            planned[name] = self._nested(
                nested, (*path, name), config.get(name), proposed.get(name), before, exists=prior is not None
            )
        return planned

    def _configured(self, path: tuple[str, ...], wanted: Value, before: Value, *, exists: bool) -> Value:
        """A value that is written, or the one from before where the two mean the same."""
        if not exists or wanted is UNKNOWN:
            return wanted
        equal = self._rules.equal.get(".".join(path))
        if same(wanted, before) or (equal is not None and before is not None and equal(before, wanted)):
            return before
        return wanted

    def _nested(
        self, nested: NestedBlock, path: tuple[str, ...], config: Value, proposed: Value, before: Value, *, exists: bool
    ) -> Value:
        if nested.nesting_mode == "single":
            return config  # timeouts: no part of the object
        if config is UNKNOWN:
            return UNKNOWN
        if not config:
            if ".".join(path) in self._rules.served:
                return before if exists else UNKNOWN
            return before if before and is_zero(before) else []
        if nested.nesting_mode == "set":
            return self._set(nested, path, config, before or [])
        planned = []
        for index, item in enumerate(config):
            older = before[index] if before and index < len(before) else None
            newer = proposed[index] if isinstance(proposed, list) and index < len(proposed) else item
            planned.append(self.block(nested.block, path, item, newer, older))
        return planned

    def _set(
        self, nested: NestedBlock, path: tuple[str, ...], config: list[Values], before: list[Values]
    ) -> list[Values]:
        """Members of a set have no place: each keeps the computed values of the member that says the same."""
        left = list(before)
        planned = []
        for item in config:
            older = next((member for member in left if _says_the_same(nested.block, item, member)), None)
            if older is not None:
                left.remove(older)
            merged = {**(older or {}), **{name: value for name, value in item.items() if value is not None}}
            planned.append(self.block(nested.block, path, item, {**dict.fromkeys(item), **merged}, older))
        if len(planned) == len(before) and all(any(same(one, other) for other in before) for one in planned):
            return before  # the API's order
        return planned


def _says_the_same(block: Block, config: Values, member: Values) -> bool:
    for name, attribute in block.attributes.items():
        if config.get(name) is None and attribute.computed:
            continue
        if not same(config.get(name), member.get(name)):
            return False
    return all(
        _blocks_say_the_same(nested, config.get(name), member.get(name)) for name, nested in block.blocks.items()
    )


def _blocks_say_the_same(nested: NestedBlock, config: Value, member: Value) -> bool:
    if not isinstance(config, list) or not isinstance(member, list):
        return same(config, member)
    return len(config) == len(member) and all(
        _says_the_same(nested.block, one, other) for one, other in zip(config, member, strict=True)
    )


def _replacements(block: Block, rules: Rules, prior: Values, planned: Values) -> tuple[Path, ...]:
    paths: list[Path] = [(name,) for name in rules.replaces(prior, planned)]
    for dotted in sorted(rules.immutable):
        paths.extend(_changed(block, dotted.split("."), prior, planned, ()))
    return tuple(dict.fromkeys(paths))


def _changed(block: Block, names: list[str], prior: Values, planned: Values, before: Path) -> list[Path]:
    """Where a path's value differs.

    In a set, or where blocks come or go, the whole block is named: Terraform must find the path.
    """
    name, *rest = names
    old, new = prior.get(name), planned.get(name)
    here: Path = (*before, name)
    if same(old, new):
        return []
    nested = block.blocks.get(name)
    if not rest or nested is None:
        return [here]
    if new is UNKNOWN or not isinstance(old, list) or not isinstance(new, list):
        return [here]
    if nested.nesting_mode == "list" and len(old) == len(new):
        return [
            path
            for index, (one, other) in enumerate(zip(old, new, strict=True))
            for path in _changed(nested.block, rest, one, other, (*here, index))
        ]
    return [here] if _values(old, rest) != _values(new, rest) else []


def _values(blocks: list[Values], names: list[str]) -> list[Value]:
    """What the blocks say at a path, without order and without what says nothing."""
    name, *rest = names
    values: list[Value] = []
    for block in blocks:
        value = block.get(name)
        if rest and isinstance(value, list):
            values.extend(_values(value, rest))
        elif not is_zero(value):
            values.append(value)
    return sorted(values, key=repr)
