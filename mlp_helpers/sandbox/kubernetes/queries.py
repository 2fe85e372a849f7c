"""The selectors of lists and watches: `labelSelector=a=b,c in (d,e),!f` and `fieldSelector=spec.nodeName=n`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mlp_helpers.sandbox.kubernetes.errors import bad_request
from mlp_helpers.sandbox.kubernetes.jsonpath import find
from mlp_helpers.sandbox.kubernetes.kinds import Kind

__all__ = ["Matches", "parse_selectors"]

Object = dict[str, Any]
Matches = Callable[[Object], bool]

_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = re.compile(rf"\s*({_KEY})\s+(in|notin)\s*\(([^)]*)\)\s*")
_EQUAL = re.compile(rf"\s*({_KEY})\s*(==|!=|=)\s*({_VALUE})\s*")
_EXISTS = re.compile(rf"\s*(!?)\s*({_KEY})\s*")
_FIELD = re.compile(r"([^=!]+)(==|!=|=)(.*)")

_ANY_KIND = ("metadata.name", "metadata.namespace")
_OBJECT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
# Fields by which objects of a kind can be selected besides name and namespace.
_SELECTABLE = {
    "pods": (
        *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork"),
        *("status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"),
    ),
    "events": (
        *(f"involvedObject.{name}" for name in _OBJECT),
        *("reason", "reportingComponent", "source", "type"),
    ),
    "events.events.k8s.io": (*(f"regarding.{name}" for name in _OBJECT), "reason", "reportingController", "type"),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "jobs.batch": ("status.successful",),
    "replicasets.apps": ("status.replicas",),
    "replicationcontrollers": ("status.replicas",),
}
_PATHS = {"source": "source.component", "status.successful": "status.succeeded"}


def parse_selectors(kind: Kind, labels: str, fields: str) -> Matches | None:
    """A predicate for both selectors; None if there is nothing to select by.

    Raises:
        ApiError: 400 for a selector that cannot be read, or a field by which this kind cannot be selected.
    """
    tests = [*_label_tests(labels), *_field_tests(kind, fields)]
    return (lambda thing: all(test(thing) for test in tests)) if tests else None


def _label_tests(text: str) -> list[Matches]:
    tests, at = [], 0
    while at < len(text):
        for pattern, build in ((_SET, _set_test), (_EQUAL, _equal_test), (_EXISTS, _exists_test)):
            found = pattern.match(text, at)
            if found and text[found.end() : found.end() + 1] in ("", ","):
                tests.append(build(found))
                at = found.end() + 1
                break
        else:
            raise bad_request(f"unable to parse requirement: {_complaint(text, at)}")
    return tests


def _complaint(text: str, at: int) -> str:
    found = re.compile(rf"\s*!?\s*{_KEY}\s*(==|!=|=)?\s*").match(text, at)
    rest = text[found.end() :] if found else text[at:]
    token = re.match(r"==|!=|[=!(),]|[^\s=!(),]+", rest.strip())
    shown = token[0] if token else ""
    if found and found[1]:
        return f"found '{shown}', expected: identifier"
    return f"found '{shown}', expected: !, identifier, or 'end of string'"


def _labels(thing: Object) -> Object:
    return thing["metadata"].get("labels") or {}


def _set_test(found: re.Match[str]) -> Matches:
    key, wanted = found[1], found[2] == "in"
    values = {value.strip() for value in found[3].split(",")}
    return lambda thing: (_labels(thing).get(key) in values) is wanted


def _equal_test(found: re.Match[str]) -> Matches:
    key, wanted, value = found[1], found[2] != "!=", found[3]
    return lambda thing: (_labels(thing).get(key) == value) is wanted


def _exists_test(found: re.Match[str]) -> Matches:
    key, wanted = found[2], not found[1]
    return lambda thing: (key in _labels(thing)) is wanted


def _field_tests(kind: Kind, text: str) -> list[Matches]:
    tests = []
    for term in filter(None, text.split(",")):
        found = _FIELD.fullmatch(term)
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        _check_field(kind, found[1])
        tests.append(_field_test(_PATHS.get(found[1], found[1]), found[2] != "!=", found[3]))
    return tests


def _field_test(path: str, wanted: bool, value: str) -> Matches:
    return lambda thing: (_text(find(thing, f".{path}")) == value) is wanted


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _check_field(kind: Kind, name: str) -> None:
    if name in _ANY_KIND or name in _SELECTABLE.get(kind.resource, ()):
        return
    if not kind.built_in:
        fields = kind.version_options().get("selectableFields") or ()
        if any(one["jsonPath"].lstrip(".") == name for one in fields):
            return
        raise bad_request(f"field label not supported: {name}")
    if kind.resource in _SELECTABLE:
        raise bad_request(f"field label not supported: {name}")
    raise bad_request(f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"')
