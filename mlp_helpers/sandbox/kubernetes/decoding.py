"""Reading objects of built-in kinds as a server does: unknown fields are found and dropped, wrong types are refused."""

from __future__ import annotations

import base64
import binascii
import string
from collections.abc import Mapping
from typing import Any

from mlp_helpers.sandbox.kubernetes import quantity
from mlp_helpers.sandbox.kubernetes.ages import parse_time
from mlp_helpers.sandbox.kubernetes.definitions import definitions, resolve
from mlp_helpers.sandbox.kubernetes.errors import ApiError, bad_request
from mlp_helpers.sandbox.kubernetes.kinds import Kind

__all__ = ["decode", "decode_metadata", "refused"]

Object = dict[str, Any]
Schema = Mapping[str, Any]

_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_GO_TYPES = {("integer", "int32"): "int32", ("integer", "int64"): "int64", ("integer", ""): "int64"}
_SCALARS = {"string": "string", "boolean": "bool", "number": "float64"}
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_TIMES = ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime")
# Structures that are kept as they come: schemas in a CRD name each other, and raw values may be anything.
_BASE64 = f"{string.ascii_letters}{string.digits}+/="
_OPAQUE = ("FieldsV1", "JSON", "JSONSchemaProps", "RawExtension")


def decode(kind: Kind, obj: Object) -> list[str]:
    """Drop from an object what its kind does not have; returns the paths of what was unknown.

    Raises:
        ApiError: 400 for a value of the wrong type.
    """
    reader = _Reader(kind)
    reader.structure(kind.schema, obj, "", kind.name)
    if kind.resource == "secrets":
        _check_base64(kind, obj.get("data") or {})
    return reader.unknown


def decode_metadata(kind: Kind, obj: Object) -> list[str]:
    """The same for the metadata of an object of any kind."""
    reader = _Reader(kind)
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        reader.structure(definitions()[_METADATA], metadata, "metadata", "ObjectMeta")
    elif metadata is not None:
        raise refused(kind, f"json: cannot unmarshal {_json_type(metadata)} into Go value of type v1.ObjectMeta")
    return reader.unknown


def refused(kind: Kind, why: str) -> ApiError:
    """The 400 of a body that cannot be read as an object of the kind."""
    return bad_request(f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {why}')


class _Reader:
    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.unknown: list[str] = []

    def structure(self, schema: Schema, obj: Object, path: str, name: str) -> None:
        """Read the fields of a structure named `name` in Go."""
        properties = resolve(schema).get("properties")
        if properties is None:
            return
        for field in list(obj):
            where = f"{path}.{field}" if path else field
            if field not in properties:
                self.unknown.append(where)
                del obj[field]
            elif obj[field] is None:
                del obj[field]
            else:
                obj[field] = self.value(properties[field], obj[field], where, (name, _without_indices(where)))

    def value(self, raw: Schema, value: Any, path: str, field: tuple[str, str]) -> Any:
        """Read one value; `field` names structure and field for the error."""
        name = _definition(raw)
        if name == _QUANTITY:
            return self.quantity(value)
        if name.rpartition(".")[2] in _OPAQUE:
            return value
        schema = resolve(raw)
        if schema.get("format") == "int-or-string":
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise self.mismatch(value, "intstr.IntOrString", field)
            return value
        if name in _TIMES:
            return self.time(value, field)
        expected = schema.get("type", "object" if "properties" in schema else "")
        if not expected or value is None:
            return value
        if not _fits(expected, value):
            raise self.mismatch(value, _go_type(raw), field)
        if expected == "array":
            items = schema.get("items", {})
            return [self.value(items, one, f"{path}[{number}]", field) for number, one in enumerate(value)]
        if expected == "object":
            return self.object(schema, value, path, name.rpartition(".")[2] or field[0], field)
        return int(value) if expected == "integer" else value

    def object(self, schema: Schema, value: Object, path: str, name: str, field: tuple[str, str]) -> Object:
        """Read a structure or a map."""
        if "properties" in schema:
            self.structure(schema, value, path, name)
        elif isinstance(schema.get("additionalProperties"), dict):
            entries = schema["additionalProperties"]
            for key in value:
                value[key] = self.value(entries, value[key], f"{path}.{key}", field)
        return value

    def quantity(self, value: Any) -> str:
        """Read an amount."""
        if not quantity.is_quantity(value):
            raise refused(self.kind, f"quantities must match the regular expression '{quantity.PATTERN_TEXT}'")
        return quantity.canonical(value)

    def time(self, value: Any, field: tuple[str, str]) -> str:
        """Read a time."""
        if not isinstance(value, str):
            raise self.mismatch(value, "string", field)
        try:
            parse_time(value)
        except ValueError as error:
            form = "2006-01-02T15:04:05Z07:00"
            why = f'parsing time "{value}" as "{form}": cannot parse "{value}" as "2006"'
            raise refused(self.kind, why) from error
        return value

    def mismatch(self, value: Any, expected: str, field: tuple[str, str]) -> ApiError:
        """The error of a value of another type."""
        structure, path = field
        why = f"json: cannot unmarshal {_json_type(value)} into Go struct field {structure}.{path} of type {expected}"
        return refused(self.kind, why)


def _definition(schema: Schema) -> str:
    reference = schema.get("$ref")
    return reference.rpartition("/")[2] if isinstance(reference, str) else ""


def _without_indices(path: str) -> str:
    return "".join(part.partition("]")[2] if number else part for number, part in enumerate(path.split("[")))


def _fits(expected: str, value: Any) -> bool:
    match expected:
        case "integer":
            return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "number"
        case float():
            return f"number {value}"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _go_type(raw: Schema) -> str:
    name, schema = _definition(raw), resolve(raw)
    expected = schema.get("type", "")
    if expected == "array":
        return f"[]{_go_type(schema.get('items', {}))}"
    if name and expected == "object":
        package, _, structure = name.rpartition(".")
        return f"{package.rpartition('.')[2]}.{structure}"
    if expected == "object":
        return f"map[string]{_go_type(schema.get('additionalProperties') or {'type': 'string'})}"
    return _SCALARS.get(expected) or _GO_TYPES.get((expected, schema.get("format", "")), "int64")


def _check_base64(kind: Kind, data: Mapping[str, str]) -> None:
    for value in data.values():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as error:
            alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
            bad = next(
                (number for number, letter in enumerate(value) if letter not in alphabet), max(len(value) - 1, 0)
            )
            raise refused(kind, f"illegal base64 data at input byte {bad}") from error
