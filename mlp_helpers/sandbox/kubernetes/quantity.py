"""Quantities: amounts of CPU, memory and countable things, `500m`, `1Gi`, `2e3`, compared and printed as a server"
" does."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

__all__ = ["PATTERN_TEXT", "add", "canonical", "is_quantity", "parse", "show"]

PATTERN_TEXT = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"

_FORM = re.compile(r"^(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?P<suffix>[numkMGTPE]?|[KMGTPE]i|[eE][+-]?\d+)$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {suffix: 1024**power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}


def is_quantity(value: Any) -> bool:
    """Whether a server would read it as a quantity; plain numbers count."""
    return isinstance(value, int | float | str) and not isinstance(value, bool) and bool(_FORM.match(str(value)))


@lru_cache(maxsize=1024)
def _split(text: str) -> tuple[Decimal, str]:
    found = _FORM.match(text)
    if not found:
        raise ValueError(f"{text!r} is not a quantity")
    number, suffix = Decimal(found["number"]), found["suffix"]
    if suffix in _BINARY:
        return number * _BINARY[suffix], "binary"
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix]), "decimal"
    return number.scaleb(int(suffix[1:])), "exponent"


def parse(value: Any) -> Decimal:
    """The amount.

    Raises:
        ValueError: Not a quantity.
    """
    return _split(str(value))[0]


def canonical(value: Any) -> str:
    """The same amount as a server prints it: no fractions, the largest suffix that fits, in the notation it was"
    " given."""
    text = str(value)
    amount, notation = _split(text)
    return show(amount, notation)


def show(amount: Decimal, notation: str = "decimal") -> str:
    """An amount in a notation (`decimal`, `binary` or `exponent`)."""
    if amount == 0:
        return "0"
    if notation == "binary" and abs(amount) >= 1024 and amount == amount.to_integral_value():
        for suffix, factor in reversed(_BINARY.items()):
            if amount % factor == 0:
                return f"{int(amount / factor)}{suffix}"
        return str(int(amount))
    power = -9
    while power < 18 and amount.scaleb(-power - 3) == amount.scaleb(-power - 3).to_integral_value():
        power += 3
    number = int(amount.scaleb(-power).to_integral_value(rounding="ROUND_CEILING"))
    if notation == "exponent" and power:
        return f"{number}e{power}"
    return f"{number}{next(suffix for suffix, one in _DECIMAL.items() if one == power)}"


def add(first: Any, second: Any, *, subtract: bool = False) -> str:
    """The sum (or difference), printed in the notation of the first that has one."""
    one, notation = _split(str(first))
    other, other_notation = _split(str(second))
    return show(one - other if subtract else one + other, notation if one else other_notation)
