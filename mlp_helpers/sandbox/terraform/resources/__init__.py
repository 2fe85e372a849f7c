"""The emulated types, one small module a service; a module is imported when one of its types is first used."""

from __future__ import annotations

import importlib
from functools import cache

from mlp_helpers.sandbox.terraform.errors import NotEmulatedError
from mlp_helpers.sandbox.terraform.resources.base import DataSource, Resource
from mlp_helpers.sandbox.terraform.schemas import Block

# type: module and class
_RESOURCES: dict[str, str] = {}
_DATA_SOURCES: dict[str, str] = {}


def resource(type_name: str, block: Block) -> Resource:
    """The resource of a type.

    Raises:
        NotEmulatedError: The sandbox has no such type.
    """
    if type_name not in _RESOURCES:
        raise NotEmulatedError(type_name)
    made = _class(_RESOURCES[type_name])(block)
    assert isinstance(made, Resource)
    return made


def data_source(type_name: str, block: Block) -> DataSource:
    """The data source of a type.

    Raises:
        NotEmulatedError: The sandbox has no such type.
    """
    if type_name not in _DATA_SOURCES:
        raise NotEmulatedError(f"data {type_name}")
    made = _class(_DATA_SOURCES[type_name])(block)
    assert isinstance(made, DataSource)
    return made


@cache
def _class(place: str) -> type[Resource] | type[DataSource]:
    module, name = place.split(":")
    found: type[Resource] | type[DataSource] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return found
