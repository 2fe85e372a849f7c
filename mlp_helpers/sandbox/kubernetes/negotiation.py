"""The form in which a client wants objects: themselves, their metadata, a table; as JSON or YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.kubernetes.errors import ApiError, not_acceptable

__all__ = ["Form", "negotiate", "partial_metadata"]

Object = dict[str, Any]

JSON, YAML = "application/json", "application/yaml"
META = "meta.k8s.io/v1"
_OFFERED = (
    "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch,"
    " application/vnd.kubernetes.protobuf;stream=watch"
)
_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True)
class Form:
    """How to answer.

    Args:
        media_type: JSON or YAML.
        shape: Empty for the objects themselves, `Table` or `PartialObjectMetadata`.
    """

    media_type: str = JSON
    shape: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether objects are wanted as they are, in JSON."""
        return self.media_type == JSON and not self.shape


def negotiate(accept: str) -> Form:
    """The first form of an Accept header that the server has.

    Raises:
        ApiError: 406 if there is none.
    """
    if not accept:
        return Form()
    for part in accept.split(","):
        media_type, *parameters = (one.strip() for one in part.split(";"))
        options = dict(one.split("=", 1) for one in parameters if "=" in one)
        form = _form(media_type, options)
        if form is not None:
            return form
    raise ApiError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {_OFFERED}", details={})


def _form(media_type: str, options: Mapping[str, str]) -> Form | None:
    if media_type in ("*/*", "application/*"):
        return Form()
    if media_type not in (JSON, YAML):
        return None
    shape = options.get("as", "")
    if shape and (shape not in _FORMS or options.get("v") != "v1"):
        return None
    return Form(media_type, shape.removesuffix("List"))


def negotiate_discovery(accept: str, aggregated: str) -> bool:
    """Whether discovery is wanted in its aggregated form.

    Raises:
        ApiError: 406 if only a form is accepted that the server does not have.
    """
    wanted = [part.strip().replace(" ", "") for part in accept.split(",") if part.strip()]
    for part in wanted:
        if part == aggregated:
            return True
        if "as=" not in part and part.partition(";")[0] in (JSON, YAML, "*/*", "application/*"):
            return False
        if part.startswith("application/vnd.kubernetes.protobuf"):
            continue
    if wanted:
        raise not_acceptable()
    return False


def partial_metadata(thing: Object) -> Object:
    """Nothing but an object's metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": thing.get("metadata") or {}}
