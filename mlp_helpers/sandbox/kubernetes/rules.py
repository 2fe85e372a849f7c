"""CEL, the language of validation rules and admission policies, behind one function."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from mlp_helpers.sandbox.kubernetes import quantity

__all__ = ["RuleError", "RuleSyntaxError", "check", "evaluate"]


class RuleError(Exception):
    """A rule that failed while it was evaluated, in a real server's words."""


class RuleSyntaxError(Exception):
    """A rule that does not compile; the message shows where."""


_WORDS = (
    (re.compile(r'Key not found in map\s*:\s*"?([^"]*)"?'), r"no such key: \1"),
    (re.compile(r"No matching overloads found.*"), "no such overload"),
    (re.compile(r"divide by zero.*"), "division by zero"),
    (re.compile(r"modulus by zero.*"), "modulus by zero"),
    (re.compile(r"Index error: index=(-?\d+).*"), r"index out of bounds: \1"),
)


def check(expression: str, names: tuple[str, ...]) -> None:
    """Compile an expression.

    Raises:
        RuleSyntaxError: It does not compile.
    """
    _compiled(expression, names)


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """The value of an expression.

    Args:
        expression: In CEL, with the functions that Kubernetes adds.
        variables: What it may name; plain data, with datetime and timedelta where the schema says so.

    Raises:
        RuleSyntaxError: It does not compile.
        RuleError: It has no value: a missing key, a wrong type.
    """
    found = _compiled(expression, tuple(sorted(variables))).eval(data=dict(variables))
    if found.type().name() == "*error*" or str(found.type()) == "ERROR":
        raise RuleError(_in_words(str(found.value())))
    return found.plain_value()


def _in_words(message: str) -> str:
    text = re.sub(r"^[A-Z_]+: ", "", message)
    for pattern, words in _WORDS:
        if pattern.search(text):
            return pattern.sub(words, text)
    return text


@lru_cache(maxsize=1024)
def _compiled(expression: str, names: tuple[str, ...]) -> Any:
    try:
        return _environment(names).compile(expression)
    except RuntimeError as error:
        text = str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
        raise RuleSyntaxError(text) from error


@lru_cache(maxsize=64)
def _environment(names: tuple[str, ...]) -> Any:
    # Imported at first use: it is large, and most servers never see a rule.
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

    extensions = [
        ext_strings.ExtStrings(),
        ext_optional.ExtOptional(),
        ext_math.ExtMath(),
        ext_bindings.ExtBindings(),
        cel.CelExtension("kubernetes", _functions(cel)),
    ]
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN), extensions=extensions)


# The functions that Kubernetes adds. Their values are maps, for own functions are chosen by the run-time type of
# arguments.


def _functions(cel: Any) -> list[Any]:
    kind = cel.Type
    text, truth, whole, any_list = kind.STRING, kind.BOOL, kind.INT, kind.List(kind.DYN)
    amount = kind.Map(kind.STRING, kind.DYN)
    table = [
        ("quantity", amount, [text], False, _quantity),
        ("isQuantity", truth, [text], False, quantity.is_quantity),
        ("isGreaterThan", truth, [amount, amount], True, lambda one, other: _amount(one) > _amount(other)),
        ("isLessThan", truth, [amount, amount], True, lambda one, other: _amount(one) < _amount(other)),
        ("compareTo", whole, [amount, amount], True, lambda one, other: _compare(_amount(one), _amount(other))),
        ("asInteger", whole, [amount], True, lambda one: int(_amount(one))),
        ("asApproximateFloat", kind.DOUBLE, [amount], True, lambda one: float(_amount(one))),
        ("sign", whole, [amount], True, lambda one: _compare(_amount(one), quantity.parse("0"))),
        ("url", amount, [text], False, _url),
        ("isURL", truth, [text], False, _is_url),
        ("getHost", text, [amount], True, lambda one: one["host"]),
        ("getHostname", text, [amount], True, lambda one: one["hostname"]),
        ("getPort", text, [amount], True, lambda one: one["port"]),
        ("getScheme", text, [amount], True, lambda one: one["scheme"]),
        ("getEscapedPath", text, [amount], True, lambda one: one["path"]),
        ("isIP", truth, [text], False, lambda value: _parses(ipaddress.ip_address, value)),
        ("isCIDR", truth, [text], False, lambda value: _parses(ipaddress.ip_network, value)),
        ("find", text, [text, text], True, lambda value, pattern: (_search(pattern, value) or [""])[0]),
        ("findAll", kind.List(text), [text, text], True, lambda value, pattern: _search(pattern, value)),
        ("isSorted", truth, [any_list], True, lambda values: list(values) == sorted(values)),
        ("sum", kind.DYN, [any_list], True, lambda values: sum(values)),
        ("min", kind.DYN, [any_list], True, lambda values: min(values)),
        ("max", kind.DYN, [any_list], True, lambda values: max(values)),
        ("indexOf", whole, [any_list, kind.DYN], True, lambda values, one: _index(list(values), one)),
        ("lastIndexOf", whole, [any_list, kind.DYN], True, lambda values, one: _last_index(list(values), one)),
    ]
    return [
        cel.FunctionDecl(
            name,
            [
                cel.Overload(
                    id=f"kubernetes_{name}_{number}",
                    return_type=returns,
                    parameters=parameters,
                    is_member=member,
                    impl=implementation,
                )
            ],
        )
        for number, (name, returns, parameters, member, implementation) in enumerate(table)
    ]


def _quantity(text: str) -> dict[str, Any]:
    return {"quantity": str(quantity.parse(text))}


def _amount(value: Mapping[str, Any]) -> Any:
    return quantity.parse(_plain(value["quantity"]))


def _plain(value: Any) -> Any:
    return value.plain_value() if hasattr(value, "plain_value") else value


def _compare(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def _url(text: str) -> dict[str, Any]:
    if not _is_url(text):
        raise ValueError(f"URL parse error during conversion from string: parse {text!r}: invalid URI for request")
    parts = urlsplit(text)
    port = str(parts.port or "")
    return {
        "host": parts.netloc.rpartition("@")[2],
        "hostname": parts.hostname or "",
        "port": port,
        "scheme": parts.scheme,
        "path": parts.path,
    }


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool((parts.scheme and (parts.netloc or parts.path)) or text.startswith("/")) and (parts.port or 0) >= 0
    except ValueError:
        return False


def _parses(parser: Any, text: str) -> bool:
    try:
        parser(text)
    except ValueError:
        return False
    return True


def _search(pattern: str, text: str) -> list[str]:
    return [found[0] for found in re.finditer(pattern, text)]


def _index(values: list[Any], wanted: Any) -> int:
    return values.index(wanted) if wanted in values else -1


def _last_index(values: list[Any], wanted: Any) -> int:
    return len(values) - 1 - values[::-1].index(wanted) if wanted in values else -1
