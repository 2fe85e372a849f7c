"""What a resource type and a data source are to the provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from mlp_helpers.sandbox.terraform.errors import ProviderError
from mlp_helpers.sandbox.terraform.rules import Rules
from mlp_helpers.sandbox.terraform.schemas import Block
from mlp_helpers.sandbox.terraform.values import Value, Values

if TYPE_CHECKING:  # the HTTP client is not needed to validate and plan
    from mlp_helpers.sandbox.terraform.api import Services

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Resource:
    """One Terraform resource type over a REST API.

    Args:
        block: The type's schema, which guides the mapping to and from bodies.
    """

    rules: ClassVar[Rules] = Rules()

    def __init__(self, block: Block) -> None:
        self.block = block

    def create(self, services: Services, values: Values) -> Values:
        """Create the object.

        Args:
            values: The planned state; null where nothing is known.

        Returns:
            What identifies the object: at least `id`.
        """
        raise NotImplementedError

    def identity(self, values: Values) -> Values:
        """What identifies an object before the service has answered: `id`, where it follows from the arguments."""
        raise NotImplementedError

    def read(self, services: Services, state: Values) -> Values | None:
        """The object as the service shows it, as state; None if it is gone.

        Args:
            state: The latest known state; it identifies the object and carries what no API shows.
        """
        raise NotImplementedError

    def update(self, services: Services, prior: Values, values: Values) -> None:
        """Change the object in place."""
        raise NotImplementedError

    def delete(self, services: Services, state: Values) -> None:
        """Remove the object and wait until it is gone; an object that is gone already is no error."""
        raise NotImplementedError

    def imported(self, identifier: str, provider: Mapping[str, Value]) -> Values:
        """The arguments that an identifier of `terraform import` names."""
        raise NotImplementedError


class DataSource:
    """One Terraform data source."""

    def __init__(self, block: Block) -> None:
        self.block = block

    def read(self, services: Services, config: Values) -> Values:
        """What the service knows about it."""
        raise NotImplementedError


def parse_identifier(identifier: str, provider: Mapping[str, Value], *formats: str) -> Values:
    """Read an import identifier by the first format that fits, as the providers do.

    Args:
        identifier: What the person gave.
        provider: Gives project, region and zone that the identifier leaves out.
        *formats: Such as "projects/{project}/global/networks/{name}"; `{name:path}` may hold slashes.
    """
    for template in formats:
        pattern = re.sub(
            r"\\\{(\w+)(:path)?\\\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", re.escape(template)
        )
        if match := re.fullmatch(pattern, identifier):
            defaults = {name: provider[name] for name in ("project", "region", "zone") if provider.get(name)}
            return {**defaults, **match.groupdict()}
    raise ProviderError("Import id is not valid", f'"{identifier}" has none of the forms {", ".join(formats)}.')


def timeout_seconds(values: Values, action: str, default: float) -> float:
    """How long an action may take: the `timeouts` block, else the default."""
    text = (values.get("timeouts") or {}).get(action)
    if not text:
        return default
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|h|m|s)", text))
