"""The metadata that the server gives to objects, and what of it an update may change."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mlp_helpers.sandbox.kubernetes.errors import bad_request, conflict, stale
from mlp_helpers.sandbox.kubernetes.kinds import Kind

__all__ = ["Clock", "bump_generation", "carry_over", "check_identity", "check_version", "give", "timestamp", "utc_now"]

Object = dict[str, Any]
Clock = Callable[[], datetime]

# Kubernetes leaves out vowels and look-alikes, so that no words come about.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_MAX_GENERATED_PREFIX = 58
_OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"
_KEPT = ("name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion", "generateName")
_DELETION = ("deletionTimestamp", "deletionGracePeriodSeconds")


def utc_now() -> datetime:
    """The present."""
    return datetime.now(UTC)


def timestamp(when: datetime) -> str:
    """A time as objects write it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def generate_name(prefix: str) -> str:
    """A name with a random end."""
    return prefix[:_MAX_GENERATED_PREFIX] + "".join(random.choices(_ALPHABET, k=_SUFFIX_LENGTH))


def give(kind: Kind, thing: Object, namespace: str) -> None:
    """Name and namespace of an object that is to be created.

    Raises:
        ApiError: 400 if the object names another namespace than the URL.
    """
    metadata = thing.setdefault("metadata", {})
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generate_name(metadata["generateName"])
    check_namespace(kind, metadata, namespace, why=_OTHER_NAMESPACE)
    for name in ("uid", "creationTimestamp", "generation", *_DELETION):
        metadata.pop(name, None)


def check_namespace(kind: Kind, metadata: Object, namespace: str, *, why: str = "") -> None:
    """Put the URL's namespace into the metadata.

    Raises:
        ApiError: 400 if they name another one.
    """
    if not kind.namespaced:
        metadata.pop("namespace", None)
        return
    given = metadata.setdefault("namespace", namespace)
    if given != namespace:
        raise bad_request(
            why or f"the namespace of the object ({given}) does not match the namespace on the request ({namespace})"
        )


def check_identity(kind: Kind, thing: Object, namespace: str, name: str) -> None:
    """Refuse a body about another object than the URL's.

    Raises:
        ApiError: 400.
    """
    metadata = thing.setdefault("metadata", {})
    given = metadata.get("name")
    if not given:
        metadata["name"] = name
    elif given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    check_namespace(kind, metadata, namespace)


def check_version(kind: Kind, thing: Object, live: Object) -> None:
    """Refuse an update made from another version or of another object.

    Raises:
        ApiError: 409.
    """
    metadata, stored = thing["metadata"], live["metadata"]
    uid = metadata.get("uid")
    if uid and uid != stored["uid"]:
        key = "/".join(filter(None, ("/registry", kind.group, kind.plural, stored.get("namespace"), stored["name"])))
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored['uid']}"
        raise conflict(
            kind.resource,
            stored["name"],
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {why}",
        )
    version = metadata.get("resourceVersion")
    if version and version != stored["resourceVersion"]:
        raise stale(kind.resource, stored["name"])


def carry_over(thing: Object, live: Object) -> None:
    """Set the fields of the metadata that an update cannot change."""
    metadata = thing["metadata"]
    for name in (*_KEPT, *_DELETION):
        metadata.pop(name, None)
        if name in live["metadata"]:
            metadata[name] = live["metadata"][name]


def new_identity(when: datetime) -> Object:
    """Unique id and time of a new object."""
    return {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(when)}


def wanted(thing: Object) -> Object:
    """The part of an object that its generation counts."""
    return {key: value for key, value in thing.items() if key not in ("metadata", "status", "apiVersion", "kind")}


def bump_generation(thing: Object, live: Object) -> None:
    """Count a change of what is wanted."""
    if "generation" in live["metadata"] and wanted(thing) != wanted(live):
        thing["metadata"]["generation"] = live["metadata"]["generation"] + 1
