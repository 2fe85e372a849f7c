"""What a URL asks for: a resource and a verb, or a path that is not a resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlp_helpers.sandbox.kubernetes.access import Attributes, User

__all__ = ["Target", "attributes_of", "parse_path"]

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_NAMESPACES = ("status", "finalize")  # what may follow /namespaces/NAME without being a resource inside of it
_TRUE = ("true", "1")


@dataclass(frozen=True)
class Target:
    """A resource that a URL names.

    Args:
        group: API group, empty for the core one.
        version: API version.
        namespace: Empty for all, and for what lives in none.
        plural: The resource; empty for the group version itself.
        name: Of the object; empty for the collection.
        subresource: Of the object, or empty.
        rest: What follows the subresource (of proxies), with its slash.
    """

    group: str
    version: str
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""


def parse_path(path: str) -> Target | None:
    """The resource of a path; None for every other path."""
    root, *parts = path.lstrip("/").split("/")
    if root == "api" and parts and parts[0]:
        group, version, rest = "", parts[0], parts[1:]
    elif root == "apis" and len(parts) >= 2 and parts[1]:
        group, version, rest = parts[0], parts[1], parts[2:]
    else:
        return None
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] and rest[2] not in _OF_NAMESPACES:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, "", "", ""][:3]
    below = "/" + "/".join(rest[3:]) if len(rest) > 3 else ""
    return Target(group, version, namespace, plural, name, subresource, below)


def attributes_of(user: User, method: str, path: str, target: Target | None, query: Mapping[str, str]) -> Attributes:
    """The request as access control sees it."""
    if target is None or not target.plural:
        return Attributes(user, method.lower(), path=path)
    name = target.name
    if target.plural == "namespaces" and not target.group:
        namespace = name
    else:
        namespace = target.namespace
    return Attributes(
        user,
        _verb(method, name, query),
        target.group,
        target.version,
        target.plural,
        target.subresource,
        namespace,
        name or _selected_name(query),
        path,
    )


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    verb = _VERBS.get(method, method.lower())
    if not name and verb == "get":
        return "watch" if query.get("watch") in _TRUE else "list"
    return "deletecollection" if not name and verb == "delete" else verb


def _selected_name(query: Mapping[str, str]) -> str:
    """A list of one object by its name is allowed where that name is."""
    selector = query.get("fieldSelector", "")
    return (
        selector.removeprefix("metadata.name=") if selector.startswith("metadata.name=") and "," not in selector else ""
    )
