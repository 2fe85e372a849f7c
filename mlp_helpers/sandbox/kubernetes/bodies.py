"""Reading request bodies: JSON, YAML or protobuf, of the right kind, with every doubled field noticed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mlp_helpers.sandbox.kubernetes import protobuf
from mlp_helpers.sandbox.kubernetes.errors import ApiError, bad_request, cause, invalid, unsupported_media_type
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry

__all__ = ["Body", "check_kind", "read_object", "read_patch", "read_plain"]

Object = dict[str, Any]

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_SCHEME = "pkg/api/legacyscheme/scheme.go:30"
_TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_PREVIEW = 30


class _YamlLoader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: times stay text."""


_YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1, which Kubernetes still reads, has more words for booleans than PyYAML takes.
_YamlLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:y|Y|n|N)$"), list("yYnN"))
_YamlLoader.bool_values = {**yaml.CSafeLoader.bool_values, "y": True, "n": False}


@dataclass(frozen=True)
class Body:
    """An object as a client sent it, with the paths of the fields that it has twice."""

    object: Any
    duplicates: tuple[str, ...] = ()


def read_plain(data: bytes, media_type: str) -> Any:
    """A body of any shape, e.g. options; None if there is none.

    Raises:
        ApiError: 400 or 415.
    """
    if not data:
        return None
    if data.startswith(protobuf.MAGIC):
        return protobuf.decode(data)
    if media_type not in (JSON, YAML, ""):
        raise unsupported_media_type()
    try:
        return yaml.load(data, Loader=_YamlLoader) if media_type == YAML else json.loads(data)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error


def read_object(data: bytes, media_type: str, kind: Kind) -> Body:
    """A body that is to be an object of a kind.

    Raises:
        ApiError: 400 for what cannot be read, 415 for another media type.
    """
    if data.startswith(protobuf.MAGIC):
        return Body(protobuf.decode(data))
    if media_type not in (JSON, YAML, PROTOBUF):
        raise unsupported_media_type()
    what = f"the object provided is unrecognized (must be of type {kind.name}): "
    duplicates: list[str] = []
    if media_type == YAML:
        try:
            thing = yaml.load(data, Loader=_YamlLoader)
        except yaml.YAMLError as error:
            raise bad_request(f"{what}yaml: {error}") from error
    else:
        thing, duplicates = _parse_json(data, what)
    if not isinstance(thing, dict):
        shown = f"json: cannot unmarshal {_json_type(thing)} into Go value of type {_TYPE_META}"
        raise bad_request(f"{what}couldn't get version/kind; json parse error: {shown} ({data[:_PREVIEW].hex()})")
    if not kind.built_in and not thing.get("kind"):
        raise bad_request(f"{what}Object 'Kind' is missing in '{data.decode(errors='replace')}' ({_preview(data)})")
    return Body(thing, tuple(duplicates))


def _parse_json(data: bytes, what: str) -> tuple[Any, list[str]]:
    doubled: list[_Doubled] = []

    def pairs(found: list[tuple[str, Any]]) -> Object:
        made: Object = dict(found)
        if len(made) < len(found):
            keys = [key for key, _ in found]
            doubled.append(_Doubled(made, [key for key in made if keys.count(key) > 1]))
        return made

    try:
        thing = json.loads(data, object_pairs_hook=pairs)
    except ValueError as error:
        shown = f"json parse error: {go_json_error(data)} ({_preview(data)})"
        raise bad_request(f"{what}couldn't get version/kind; {shown}") from error
    return thing, [path for one in doubled for path in one.paths(thing)]


@dataclass(frozen=True)
class _Doubled:
    holder: Object
    keys: list[str]

    def paths(self, thing: Any) -> list[str]:
        """The doubled fields by their paths in the whole object."""
        where = _find(thing, self.holder, "")
        return [f"{where}.{key}".lstrip(".") for key in self.keys] if where is not None else []


def _find(value: Any, wanted: Object, path: str) -> str | None:
    if value is wanted:
        return path
    below: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        below = [(f"{path}.{key}", one) for key, one in value.items()]
    elif isinstance(value, list):
        below = [(f"{path}[{index}]", one) for index, one in enumerate(value)]
    return next((found for here, one in below if (found := _find(one, wanted, here)) is not None), None)


def go_json_error(data: bytes) -> str:
    """How Go complains about a text that is no JSON."""
    text = data.decode(errors="replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            return "unexpected end of JSON input"
        letter = text[error.pos]
        expected = "object key string" if "property name" in error.msg else "value"
        return f"invalid character '{letter}' looking for beginning of {expected}"
    return "unexpected end of JSON input"


def _preview(data: bytes) -> str:
    if not data:
        return "<empty>"
    text = data.decode(errors="replace")
    return text if len(text) <= _PREVIEW else f"{text[:_PREVIEW]} ..."


def _json_type(value: Any) -> str:
    match value:
        case list():
            return "array"
        case str():
            return "string"
        case bool():
            return "bool"
        case None:
            return "null"
    return "number"


def check_kind(kind: Kind, thing: Object, registry: Registry) -> None:
    """Refuse an object of another kind than the URL's; one that does not say what it is, is of that kind.

    Raises:
        ApiError: 400, or for custom kinds 422.
    """
    version, name = thing.get("apiVersion") or kind.api_version, thing.get("kind") or kind.name
    if (version, name) == (kind.api_version, kind.name):
        return
    if not kind.built_in:
        raise _custom_mismatch(kind, thing, str(version), str(name))
    what = f'{name} in version "{str(version).rpartition("/")[2]}" cannot be handled as a {kind.name}: '
    group, _, short = str(version).rpartition("/")
    other = registry.by_kind(group, short, str(name))
    if other is None or not other.built_in:
        raise bad_request(f'{what}no kind "{name}" is registered for version "{version}" in scheme "{_SCHEME}"')
    package = group.partition(".")[0] or "core"
    raise bad_request(f"{what}converting ({short}.{name}) to ({package}.{kind.name}): unknown conversion")


def _custom_mismatch(kind: Kind, thing: Object, version: str, name: str) -> ApiError:
    causes = []
    if version != kind.api_version:
        causes.append(
            cause("FieldValueInvalid", "apiVersion", f'Invalid value: "{version}": must be {kind.api_version}')
        )
    if name != kind.name:
        causes.append(cause("FieldValueInvalid", "kind", f'Invalid value: "{name}": must be {kind.name}'))
    return invalid(name, kind.group, (thing.get("metadata") or {}).get("name", ""), causes)


def read_patch(data: bytes, *, as_yaml: bool) -> Any:
    """The document of a PATCH. Clients send JSON even as apply-patch+yaml, which is quicker to read.

    Raises:
        ApiError: 400.
    """
    try:
        return json.loads(data)
    except ValueError as error:
        if not as_yaml:
            raise bad_request(f"error decoding patch: {go_json_error(data)}") from error
    try:
        return yaml.load(data, Loader=_YamlLoader)
    except yaml.YAMLError as error:
        raise bad_request(
            f"error decoding YAML: error converting YAML to JSON: yaml: {_go_yaml_error(error, data)}"
        ) from error


def _go_yaml_error(error: yaml.YAMLError, data: bytes) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    lines = max(len(data.splitlines()), 1)
    return f"line {min(mark.line + 1, lines)}: {problem}" if mark else problem


def accepted_patches(kind: Kind) -> Sequence[str]:
    """The media types that a kind takes for PATCH."""
    known = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
    return (*known, "application/strategic-merge-patch+json") if kind.built_in else known
