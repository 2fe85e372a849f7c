"""From a folder of manifests to declared objects, each with the place that it is written at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlp_helpers.sandbox.controllers.config_sync.names import LOCAL_CONFIG, ObjectId, annotations_of, id_of, version_of
from mlp_helpers.sandbox.controllers.config_sync.problems import Place, Problem, Subject

SUFFIXES = (".yaml", ".yml", ".json")


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: no timestamps, they are strings there."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Declared:
    """One object that the source declares."""

    obj: Mapping[str, Any] = field(hash=False)
    place: Place

    @property
    def id(self) -> ObjectId:
        return id_of(self.obj)

    @property
    def api_version(self) -> str:
        return str(self.obj.get("apiVersion", ""))

    @property
    def version(self) -> str:
        return version_of(self.api_version)

    @property
    def subject(self) -> Subject:
        return Subject(self.id, self.version, self.place)


def read_manifests(root: Path, directory: Path) -> tuple[list[Declared], list[Problem]]:
    """Read every manifest below a directory.

    Args:
        root: The top of the source; places are told relative to it.
        directory: The sync directory, `root` or below it.

    Returns:
        The declared objects in the order of their files, and a KNV1006 for each document that is none.
    """
    declared: list[Declared] = []
    problems: list[Problem] = []
    for path in _manifest_files(directory):
        name = path.relative_to(root).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(_unreadable(Place(name), str(error)))
            continue
        found, broken = parse_manifests(text, name)
        declared += found
        problems += broken
    return declared, problems


def parse_manifests(text: str, path: str) -> tuple[list[Declared], list[Problem]]:
    """Read the documents of one file; a syntax error loses the whole file, as it does in Config Sync."""
    try:
        documents = list(_json_documents(text) if path.endswith(".json") else _yaml_documents(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return [], [_unreadable(Place(path, line), f"{error.problem or error} (line {line})")]
    except (yaml.YAMLError, ValueError) as error:
        return [], [_unreadable(Place(path), str(error))]
    declared: list[Declared] = []
    problems: list[Problem] = []
    for line, document in documents:
        for obj in _expanded(document):
            reason = _why_no_object(obj)
            if reason:
                problems.append(_unreadable(Place(path, line), reason))
            elif annotations_of(obj).get(LOCAL_CONFIG) != "true":
                declared.append(Declared(obj, Place(path, line)))
    return declared, problems


def _manifest_files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if path.suffix in SUFFIXES and not hidden and path.is_file():
            yield path


def _yaml_documents(text: str) -> Iterator[tuple[int, Any]]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # what check_node has just promised
            document = loader.construct_document(node)
            if document is not None:
                yield node.start_mark.line + 1, _with_text_keys(document)
    finally:
        loader.dispose()


def _json_documents(text: str) -> Iterator[tuple[int, Any]]:
    yield 1, json.loads(text)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text_key(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_text_keys(item) for item in value]
    return value


def _text_key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def _expanded(document: Any) -> list[Any]:
    """The items of a List, or the document itself."""
    if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
        return list(document["items"])
    return [document]


def _why_no_object(obj: Any) -> str:
    if not isinstance(obj, dict):
        return f"a document must be a mapping, this one is {type(obj).__name__}"
    for key in ("apiVersion", "kind"):
        if not isinstance(obj.get(key), str) or not obj[key]:
            return f"the object has no {key}"
    metadata = obj.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return "metadata must be a mapping"
    for key in ("annotations", "labels"):
        if not isinstance((metadata or {}).get(key) or {}, dict):
            return f"metadata.{key} must be a mapping"
    return ""


def _unreadable(place: Place, reason: str) -> Problem:
    text = f"The following config could not be parsed as a Kubernetes object: {reason}"
    return Problem(1006, text, (Subject(place=place),))
