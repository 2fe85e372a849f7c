"""What a root hands on to the helpers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from mlp_helpers.errors import TerraformError


class Outputs(Mapping[str, object]):
    """Output values by name."""

    def __init__(self, values: Mapping[str, object], *, root: str = "") -> None:
        self._values, self._root = dict(values), root

    @classmethod
    def parse(cls, document: str, *, root: str = "") -> Outputs:
        """Read what `terraform output -json` prints."""
        return cls({name: output["value"] for name, output in json.loads(document).items()}, root=root)

    def __getitem__(self, name: str) -> object:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(sorted(self._values))})"

    def text(self, name: str) -> str:
        """An output that is a text.

        Raises:
            TerraformError: The root was not applied yet, or has no such output.
        """
        value = self._values.get(name)
        if not isinstance(value, str):
            known = ", ".join(sorted(self._values))
            raise TerraformError(
                f"Terraform's root {self._root} has no output {name!r}.".replace("root  ", "root "),
                why=f"Its state has: {known}."
                if known
                else "Its state is empty: it was not applied, or was destroyed.",
                fix=f"Apply {self._root or 'it'} first.",
            )
        return value
