"""Deleting objects: options, preconditions, grace, finalizers, and what goes with what."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlp_helpers.sandbox.kubernetes import crds
from mlp_helpers.sandbox.kubernetes.admission import Admission
from mlp_helpers.sandbox.kubernetes.errors import ApiError, bad_request, cause, invalid
from mlp_helpers.sandbox.kubernetes.kinds import Kind
from mlp_helpers.sandbox.kubernetes.metadata import timestamp
from mlp_helpers.sandbox.kubernetes.objects import Objects, WriteOptions
from mlp_helpers.sandbox.kubernetes.queries import Matches
from mlp_helpers.sandbox.kubernetes.versions import to_request

__all__ = ["DeleteOptions", "Deletions", "parse_delete_options"]

Object = dict[str, Any]

# Kinds whose deletion answers with the object; the others answer with a Status.
_RETURNED = {
    *("pods", "services", "serviceaccounts", "persistentvolumeclaims", "persistentvolumes", "podtemplates"),
    *("resourcequotas", "namespaces"),
}
_POLICIES = ("Foreground", "Background", "Orphan")
_FINALIZERS = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}
_CRD_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_SCHEME = "pkg/apis/meta/internalversion/scheme/register.go:27"
_DEFAULT_GRACE_SECONDS = 30


@dataclass(frozen=True)
class DeleteOptions:
    """How to delete.

    Args:
        propagation: `Background`, `Foreground`, `Orphan` or empty.
        grace_seconds: Time that a pod gets to end; None for its own.
        uid: Delete only this object, or empty.
        resource_version: Delete only this version, or empty.
        dry_run: Decide and answer, but keep everything.
    """

    propagation: str = ""
    grace_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


def parse_delete_options(query: Mapping[str, str], body: Any) -> DeleteOptions:
    """The options of a request, from its body or else from its query.

    Raises:
        ApiError: 400 or 422 for options that are none.
    """
    given: Object = dict(body or {})
    if given.get("kind") not in (None, "", "DeleteOptions"):
        version = given.get("apiVersion", "")
        raise bad_request(f'no kind "{given["kind"]}" is registered for version "{version}" in scheme "{_SCHEME}"')
    if not given:
        given = {name: query[name] for name in ("propagationPolicy", "gracePeriodSeconds") if query.get(name)}
    policy = given.get("propagationPolicy") or ""
    if policy and policy not in _POLICIES:
        supported = ", ".join(f'"{one}"' for one in (*_POLICIES, "nil"))
        raise _invalid(
            "propagationPolicy", "NotSupported", f'Unsupported value: "{policy}": supported values: {supported}'
        )
    preconditions = given.get("preconditions") or {}
    return DeleteOptions(
        policy,
        _grace(given.get("gracePeriodSeconds")),
        preconditions.get("uid", ""),
        preconditions.get("resourceVersion", ""),
        bool(query.get("dryRun") or given.get("dryRun")),
    )


def _grace(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return max(int(value), 1 if int(value) < 0 else 0)  # the server takes a negative time for one second
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax') from error


def _invalid(field: str, reason: str, message: str) -> ApiError:
    return invalid("DeleteOptions", "meta.k8s.io", "", [cause(f"FieldValue{reason}", field, message)])


class Deletions:
    """Deletes objects.

    Args:
        objects: The rules of single objects.
        admission: What may be deleted.
    """

    def __init__(self, objects: Objects, *, admission: Admission) -> None:
        self._objects, self._admission = objects, admission
        self._store = objects.store

    def delete(self, kind: Kind, namespace: str, name: str, options: DeleteOptions, write: WriteOptions) -> Object:
        """Delete an object, or mark it so while something holds it.

        Returns:
            The object, or a Status of success, as the kind has it.

        Raises:
            ApiError: 404, 409 for a precondition, or a refusal of admission.
        """
        live = self._objects.stored(kind, namespace, name)
        thing = self._remove(kind, live, options, write)
        if kind.resource in _RETURNED or thing["metadata"].get("finalizers"):
            return to_request(kind, thing)
        details = {"name": name, "group": kind.group, "kind": kind.plural, "uid": live["metadata"]["uid"]}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }

    def delete_collection(
        self, kind: Kind, namespace: str, matches: Matches | None, options: DeleteOptions, write: WriteOptions
    ) -> list[Object]:
        """Delete all objects that match; returns them."""
        things = [one for one in self._store.list(kind.storage_key, namespace) if matches is None or matches(one)]
        return [to_request(kind, self._remove(kind, one, options, write)) for one in things]

    def _remove(self, kind: Kind, live: Object, options: DeleteOptions, write: WriteOptions) -> Object:
        _check_preconditions(kind, live, options)
        request = self._objects.request("DELETE", kind, None, live, write)
        self._admission.validate(request)
        thing = copy.deepcopy(live)
        _set_finalizers(thing, options.propagation)
        if kind.resource == crds.RESOURCE and not options.dry_run:
            self._delete_custom_objects(thing, write)
        held = self._mark(kind, thing, options)
        if options.dry_run:
            return thing
        if not held:
            return self._objects.drop(kind, thing, live, request)
        if thing != live:
            self._store.write("MODIFIED", kind.storage_key, thing, live)
        return thing

    def _mark(self, kind: Kind, thing: Object, options: DeleteOptions) -> bool:
        """Set the marks of deletion; returns whether something still holds the object."""
        metadata = thing["metadata"]
        seconds = _pod_grace(thing, options) if kind.resource == "pods" else 0
        held = bool(metadata.get("finalizers")) or seconds > 0 or kind.resource == "namespaces"
        if not held and kind.resource != "pods":
            return False
        when = timestamp(self._objects.clock() + timedelta(seconds=seconds))
        first = "deletionTimestamp" not in metadata
        if first or seconds < metadata.get("deletionGracePeriodSeconds", 0):
            metadata["deletionTimestamp"] = when
            if kind.resource == "namespaces":
                thing["status"] = {**(thing.get("status") or {}), "phase": "Terminating"}
                return bool(thing.get("spec", {}).get("finalizers") or metadata.get("finalizers"))
            metadata["deletionGracePeriodSeconds"] = seconds
            if first and "generation" in metadata:
                metadata["generation"] += 1
        return held

    def _delete_custom_objects(self, crd: Object, write: WriteOptions) -> None:
        """The objects of a definition go first; while some are held, so is the definition."""
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        kinds = [one for one in self._objects.registry.all() if (one.group, one.plural) == (group, plural)]
        if not kinds:
            return
        for thing in self._store.list(kinds[0].storage_key):
            self._remove(kinds[0], thing, DeleteOptions(), write)
        if self._store.count(kinds[0].storage_key):
            finalizers = crd["metadata"].setdefault("finalizers", [])
            if _CRD_FINALIZER not in finalizers:
                finalizers.append(_CRD_FINALIZER)


def _check_preconditions(kind: Kind, live: Object, options: DeleteOptions) -> None:
    name, metadata = live["metadata"]["name"], live["metadata"]
    checks = (
        ("UID", options.uid, metadata["uid"], "deleted and then recreated"),
        ("ResourceVersion", options.resource_version, metadata["resourceVersion"], "modified"),
    )
    for what, wanted, found, happened in checks:
        if wanted and wanted != found:
            why = f"the {what} in the precondition ({wanted}) does not match the {what} in record ({found})"
            message = (
                f'Operation cannot be fulfilled on {kind.name} "{name}": {why}. The object might have been {happened}'
            )
            details = {"name": name, "group": kind.group, "kind": kind.name}
            raise ApiError(409, "Conflict", message, details={key: one for key, one in details.items() if one})


def _set_finalizers(thing: Object, propagation: str) -> None:
    """Foreground and Orphan are finalizers, which the garbage collector removes; any policy replaces the other's."""
    if not propagation:
        return
    metadata = thing["metadata"]
    kept = [one for one in metadata.get("finalizers") or () if one not in _FINALIZERS.values()]
    if propagation in _FINALIZERS:
        kept.append(_FINALIZERS[propagation])
    metadata.pop("finalizers", None)
    if kept:
        metadata["finalizers"] = kept


def _pod_grace(pod: Object, options: DeleteOptions) -> int:
    """Seconds that a pod gets: none if no node runs it or it has ended."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_seconds is not None:
        return options.grace_seconds
    return int(spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS))
