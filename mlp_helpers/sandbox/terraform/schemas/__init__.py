"""The real providers' schemas of the emulated types, read from committed JSON."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.terraform import protocol
from mlp_helpers.sandbox.terraform.values import Type

# The types that are emulated have the same schemas in google and google-beta, but for fields that are only in beta.
_FILES = {"google": "google", "google-beta": "google", "github": "github"}

_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}


@dataclass(frozen=True)
class Attribute:
    """One argument or attribute."""

    type: Type
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False


@dataclass(frozen=True)
class NestedBlock:
    """A kind of block inside a block: `single` (timeouts), `list` or `set`."""

    nesting_mode: str
    block: Block
    min_items: int = 0
    max_items: int = 0

    @property
    def is_object(self) -> bool:
        """Whether there is at most one, so that an API shows an object where Terraform shows a list."""
        return self.max_items == 1


@dataclass(frozen=True)
class Block:
    """The body of a resource, a data source, a provider or a nested block."""

    attributes: Mapping[str, Attribute]
    blocks: Mapping[str, NestedBlock]

    @cached_property
    def type(self) -> Type:
        """The object type of the block's values."""
        members = {name: attribute.type for name, attribute in self.attributes.items()}
        for name, nested in self.blocks.items():
            inner = nested.block.type
            members[name] = inner if nested.nesting_mode == "single" else [nested.nesting_mode, inner]
        return ["object", members]

    def to_message(self) -> Any:
        """The block as Terraform wants to be told."""
        message = protocol.Schema.Block(version=0)
        for name, attribute in self.attributes.items():
            message.attributes.add(
                name=name,
                type=json.dumps(attribute.type).encode(),
                required=attribute.required,
                optional=attribute.optional,
                computed=attribute.computed,
                sensitive=attribute.sensitive,
            )
        for name, nested in self.blocks.items():
            message.block_types.add(
                type_name=name,
                block=nested.block.to_message(),
                nesting=_NESTING[nested.nesting_mode],
                min_items=nested.min_items,
                max_items=nested.max_items,
            )
        return message


class Schemas:
    """One provider's schemas; a type's block is built when it is first asked for."""

    def __init__(self, provider: str) -> None:
        raw = json.loads(gzip.decompress(Path(__file__).with_name(f"{_FILES[provider]}.json.gz").read_bytes()))
        self.version: str = raw["version"]
        self._raw: dict[str, dict[str, Any]] = {
            "provider": {"": raw["provider"]},
            "resource": raw["resource_schemas"],
            "data": raw["data_source_schemas"],
        }
        self._blocks: dict[tuple[str, str], Block] = {}

    @property
    def provider(self) -> Block:
        """What a provider block takes."""
        return self._block("provider", "")

    @property
    def resources(self) -> tuple[str, ...]:
        """The resource types that are served."""
        return tuple(self._raw["resource"])

    @property
    def data_sources(self) -> tuple[str, ...]:
        """The data source types that are served."""
        return tuple(self._raw["data"])

    def resource(self, type_name: str) -> Block:
        """The block of a resource type."""
        return self._block("resource", type_name)

    def data_source(self, type_name: str) -> Block:
        """The block of a data source type."""
        return self._block("data", type_name)

    def _block(self, kind: str, name: str) -> Block:
        if (kind, name) not in self._blocks:
            self._blocks[kind, name] = _block(self._raw[kind][name]["block"])
        return self._blocks[kind, name]


def _block(raw: dict[str, Any]) -> Block:
    return Block(
        attributes={name: Attribute(**attribute) for name, attribute in raw["attributes"].items()},
        blocks={
            name: NestedBlock(
                nesting_mode=nested["nesting_mode"],
                block=_block(nested["block"]),
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in raw["block_types"].items()
        },
    )
