"""HTTP answers: objects, lists, tables and errors in the form that was negotiated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml
from aiohttp import web

from mlp_helpers.sandbox.kubernetes.errors import ApiError
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.lists import Page, encode_list
from mlp_helpers.sandbox.kubernetes.negotiation import JSON, META, YAML, Form, partial_metadata
from mlp_helpers.sandbox.kubernetes.store import encode
from mlp_helpers.sandbox.kubernetes.table import table

__all__ = ["answer", "answer_error", "answer_list", "answer_object", "shown"]

Object = dict[str, Any]


class _Dumper(yaml.CSafeDumper):
    """YAML as Go writes it: what could be taken for another type stands in double quotes."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    found = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    plain = found == "tag:yaml.org,2002:str"
    style = "|" if "\n" in text else None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def answer(
    value: Any, *, status: int = 200, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Any value."""
    if media_type == YAML:
        body = yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True).encode()
    else:
        body = encode(value)
    return web.Response(body=body, status=status, headers={"Content-Type": media_type, **(headers or {})})


def answer_error(error: ApiError) -> web.Response:
    """A Status."""
    details = error.status.get("details") or {}
    seconds = details.get("retryAfterSeconds")
    return answer(error.status, status=error.code, headers={"Retry-After": str(seconds)} if seconds else None)


def shown(kind: Kind, thing: Object, form: Form, *, include_object: str = "") -> Object:
    """One object in the negotiated shape."""
    if form.shape == "Table" and thing.get("kind") == kind.name:
        metadata = {"resourceVersion": thing["metadata"].get("resourceVersion", "")}
        return table(kind, [thing], metadata, include_object=include_object, with_columns=True)
    if form.shape == "PartialObjectMetadata" and thing.get("kind") != "Status":
        return partial_metadata(thing)
    return thing


def answer_object(
    kind: Kind, thing: Object, form: Form, *, status: int = 200, warnings: Iterable[str] = (), include_object: str = ""
) -> web.Response:
    """One object."""
    made = shown(kind, thing, form, include_object=include_object)
    return with_warnings(answer(made, status=status, media_type=form.media_type), warnings)


def answer_list(
    kind: Kind, page: Page, form: Form, *, warnings: Sequence[str] = (), include_object: str = ""
) -> web.Response:
    """A list; its items carry no apiVersion and kind where they are of a built-in kind."""
    if form.is_plain and page.items is None:
        response = web.Response(body=encode_list(kind, page), headers={"Content-Type": JSON})
        return with_warnings(response, warnings)
    items = page.items or []
    if form.shape == "Table":
        made = table(kind, items, page.metadata, include_object=include_object, with_columns=True)
    elif form.shape == "PartialObjectMetadata":
        partial = [partial_metadata(one) for one in items]
        made = {"kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": page.metadata, "items": partial}
    else:
        if not kind.built_in:
            page.metadata.setdefault("continue", "")  # a real server's custom lists always have it
        else:
            items = [{key: one for key, one in thing.items() if key not in ("apiVersion", "kind")} for thing in items]
        made = {"kind": kind.list_name, "apiVersion": kind.api_version, "metadata": page.metadata, "items": items}
    return with_warnings(answer(made, media_type=form.media_type), warnings)


def with_warnings(response: web.Response, warnings: Iterable[str]) -> web.Response:
    """The response with a Warning header for each."""
    for text in dict.fromkeys(warnings):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response
