"""The rules of the API for single objects: create, update, patch; what is kept, counted, owned and refused."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mlp_helpers.sandbox.kubernetes import crds, merge, patches
from mlp_helpers.sandbox.kubernetes.access import Access, User
from mlp_helpers.sandbox.kubernetes.admission import Admission, AdmissionRequest
from mlp_helpers.sandbox.kubernetes.decoding import refused
from mlp_helpers.sandbox.kubernetes.errors import ApiError, already_exists, internal, not_found
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry
from mlp_helpers.sandbox.kubernetes.merge import Writer
from mlp_helpers.sandbox.kubernetes.metadata import (
    Clock,
    bump_generation,
    carry_over,
    check_identity,
    check_version,
    give,
    new_identity,
    timestamp,
)
from mlp_helpers.sandbox.kubernetes.schema import default, unknown_fields, validate
from mlp_helpers.sandbox.kubernetes.store import Store
from mlp_helpers.sandbox.kubernetes.strategies import (
    counts_generations,
    creates_on_update,
    default_metadata,
    prepare_create,
    prepare_update,
)
from mlp_helpers.sandbox.kubernetes.versions import from_request, to_request
from mlp_helpers.sandbox.kubernetes.zeros import as_written, without_empty

__all__ = ["Objects", "WriteOptions", "Written"]

Object = dict[str, Any]


@dataclass(frozen=True)
class WriteOptions:
    """Who writes, and how.

    Args:
        user: Who asks.
        manager: Owner of the fields that change.
        dry_run: Decide and answer, but keep nothing.
        field_validation: `Strict`, `Warn`, `Ignore` or empty.
        force: Of an apply: take over fields that others own.
        subresource: Through which subresource, or empty.
        duplicates: Fields that the body has twice.
    """

    user: User
    manager: str = "unknown"
    dry_run: bool = False
    field_validation: str = ""
    force: bool = False
    subresource: str = ""
    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """The outcome of a write.

    Args:
        object: As the client sees it.
        created: Whether it is new.
        warnings: For the client's Warning headers.
    """

    object: Object
    created: bool = False
    warnings: list[str] = field(default_factory=list)


class Objects:
    """Writes objects, each in one transaction.

    Args:
        store: Where objects are kept.
        registry: The kinds; changes with the CustomResourceDefinitions.
        admission: What may be written.
        access: Who may grant rights.
        clock: The present.
    """

    def __init__(self, store: Store, registry: Registry, *, admission: Admission, access: Access, clock: Clock) -> None:
        self.store, self.registry, self.clock = store, registry, clock
        self._admission, self._access = admission, access

    def now(self) -> str:
        """The present, as objects write it."""
        return timestamp(self.clock())

    def list_resource(self, resource: str) -> list[Object]:
        """All objects of a resource."""
        return self.store.list(resource)

    def stored(self, kind: Kind, namespace: str, name: str) -> Object:
        """An object as it is kept.

        Raises:
            ApiError: 404.
        """
        found = self.store.get(kind.storage_key, namespace, name)
        if found is None:
            raise not_found(kind.resource, name)
        return found

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """An object in the version of the kind.

        Raises:
            ApiError: 404.
        """
        return to_request(kind, self.stored(kind, namespace, name))

    # -- create

    def create(
        self, kind: Kind, namespace: str, thing: Object, options: WriteOptions, *, applied: bool = False
    ) -> Written:
        """Create an object.

        Args:
            kind: Of the object.
            namespace: Of the URL.
            thing: Is changed.
            options: Who and how.
            applied: Whether its managedFields are already those of an apply.

        Raises:
            ApiError: The object is not acceptable, or exists.
        """
        if (thing.get("metadata") or {}).get("resourceVersion"):
            raise internal("resourceVersion should not be set on objects to be created")
        generated = not (thing.get("metadata") or {}).get("name")
        fields = (thing.get("metadata") or {}).pop("managedFields", None)
        give(kind, thing, namespace)
        asked, kind = kind, self._stored_kind(kind)
        thing, warnings = self._read(kind, from_request(asked, thing), options)
        if "status" in kind.subresources:
            thing.pop("status", None)
        metadata = thing["metadata"]
        if applied:
            metadata["managedFields"] = fields
        else:
            merge.record_update({}, thing, kind.schema, self.writer(kind, options))
        request = self._admitted("CREATE", kind, thing, None, options)
        thing = request.obj or thing
        metadata = thing["metadata"]
        metadata |= new_identity(self.clock())
        if counts_generations(kind):
            metadata["generation"] = 1
        prepare_create(kind, thing, self.list_resource)
        thing = as_written(thing, kind.schema) if kind.built_in else thing
        validate(kind, thing)
        request.obj = thing
        warnings += self._admission.validate(request)
        self._access.check_escalation(options.user, thing, kind.name)
        if self.store.get(kind.storage_key, metadata.get("namespace", ""), metadata["name"]):
            raise already_exists(kind.resource, metadata["name"], generated=generated)
        if not options.dry_run:
            with self.store.transaction():
                self._admission.charge(request)
                self.store.write("ADDED", kind.storage_key, thing)
                if kind.resource == crds.RESOURCE:
                    crds.establish(self.store, self.registry, thing, self.now())
        return Written(to_request(asked, thing), created=True, warnings=warnings)

    # -- update

    def replace(self, kind: Kind, namespace: str, name: str, thing: Object, options: WriteOptions) -> Written:
        """PUT: the object as the client wants it.

        Raises:
            ApiError: It is not acceptable, stale, or does not exist.
        """
        check_identity(kind, thing, namespace, name)
        live = self.store.get(kind.storage_key, namespace, name)
        if live is None and creates_on_update(kind) and not options.subresource:
            thing["metadata"].pop("resourceVersion", None)
            return self.create(kind, namespace, thing, options)
        live = live or self.stored(kind, namespace, name)
        if not kind.built_in and not thing["metadata"].get("resourceVersion"):
            raise crds.missing_version(kind, name)
        return self._update(kind, live, from_request(kind, thing), options)

    def patch(
        self, kind: Kind, namespace: str, name: str, media_type: str, patch: Any, options: WriteOptions
    ) -> Written:
        """PATCH in any of its forms.

        Raises:
            ApiError: The patch cannot be read or applied, conflicts, or makes an object that is not acceptable.
        """
        if media_type == patches.APPLY:
            return self._apply(kind, namespace, name, patch, options)
        live = self.stored(kind, namespace, name)
        thing = patches.patched(kind, to_request(kind, live), media_type, patch)
        check_identity(kind, thing, namespace, name)
        try:
            return self._update(kind, live, from_request(kind, thing), options)
        except ApiError as error:
            raise patches.decoding_error(error, media_type, patch, thing) from error

    def _apply(self, kind: Kind, namespace: str, name: str, applied: Any, options: WriteOptions) -> Written:
        patches.check_applied(kind, applied, options.manager)
        metadata = applied.setdefault("metadata", {})
        check_identity(kind, applied, namespace, name)
        live = self.store.get(kind.storage_key, namespace, name)
        writer = self.writer(kind, options)
        if live is None:
            if options.subresource:
                raise not_found(kind.resource, name)
            metadata.pop("resourceVersion", None)  # as a real server has it
            made = merge.apply({}, applied, kind.schema, writer)
            return self.create(kind, namespace, made.object, options, applied=True)
        shown = to_request(kind, live)
        made = merge.apply(shown, applied, kind.schema, writer, force=options.force)
        if (
            made.conflicts
            and options.manager == "kubectl"
            and patches.were_applied_by_client(kind, live, made.conflicts)
        ):
            made = merge.apply(shown, applied, kind.schema, writer, force=True)
        if made.conflicts:
            raise patches.conflict_error(made.conflicts)
        return self._update(kind, live, from_request(kind, made.object), options, applied=True)

    def rescale(self, kind: Kind, thing: Object, options: WriteOptions) -> Written:
        """Keep an object whose replicas /scale has changed."""
        namespace, name = thing["metadata"].get("namespace", ""), thing["metadata"]["name"]
        return self._update(kind, self.stored(kind, namespace, name), from_request(kind, thing), options)

    def finalize(self, kind: Kind, name: str, thing: Object, options: WriteOptions) -> Written:
        """PUT namespaces/NAME/finalize: the namespace controller lets a namespace go.

        Raises:
            ApiError: The namespace is not there, or has changed since.
        """
        check_identity(kind, thing, "", name)
        live = self.stored(kind, "", name)
        check_version(kind, thing, live)
        made = copy.deepcopy(live)
        made["spec"] = {"finalizers": list((thing.get("spec") or {}).get("finalizers") or ())}
        if not made["spec"]["finalizers"]:
            made["spec"] = {}
        request = self.request("UPDATE", kind, made, live, options)
        return Written(self._keep(kind, live, made, request))

    def _update(
        self, kind: Kind, live: Object, thing: Object, options: WriteOptions, *, applied: bool = False
    ) -> Written:
        asked, kind = kind, self._stored_kind(kind)
        check_version(kind, thing, live)
        fields = thing["metadata"].get("managedFields")
        thing = self._scoped(kind, live, thing, options.subresource)
        carry_over(thing, live)
        thing, warnings = self._read(kind, thing, options)
        if applied:
            thing["metadata"]["managedFields"] = fields
        else:
            owners = _owners(live, fields, options.subresource)
            merge.record_update(owners, thing, kind.schema, self.writer(kind, options))
        request = self._admitted("UPDATE", kind, thing, live, options)
        thing = request.obj or thing
        if not options.subresource:
            prepare_update(kind, thing, live, self.list_resource)
        thing = as_written(thing, kind.schema) if kind.built_in else thing
        bump_generation(thing, live)
        validate(kind, thing)
        request.obj = thing
        warnings += self._admission.validate(request)
        if not options.subresource:
            self._access.check_escalation(options.user, thing, kind.name)
        if options.dry_run:
            return Written(to_request(asked, thing), warnings=warnings)
        return Written(to_request(asked, self._keep(kind, live, thing, request)), warnings=warnings)

    def _scoped(self, kind: Kind, live: Object, thing: Object, subresource: str) -> Object:
        """Only the part that may change here: the status moves only through /status, all else only outside of it."""
        if subresource == "status":
            scoped = {**copy.deepcopy(live), "status": thing.get("status")}
            if kind.built_in:
                scoped["metadata"] = thing["metadata"]
            if scoped["status"] is None:
                del scoped["status"]
            return scoped
        if "status" in kind.subresources:
            scoped = {key: value for key, value in thing.items() if key != "status"}
            if "status" in live:
                scoped["status"] = live["status"]
            return scoped
        return thing

    def _keep(self, kind: Kind, live: Object, thing: Object, request: AdmissionRequest) -> Object:
        if _timeless(live) == _timeless(thing):
            return live  # nothing but times of managedFields: no new version
        if "deletionTimestamp" in thing["metadata"] and is_released(thing):
            return self.drop(kind, thing, live, request)
        with self.store.transaction():
            self._admission.charge(request)
            self.store.write("MODIFIED", kind.storage_key, thing, live)
        if kind.resource == crds.RESOURCE and request.subresource == "":
            self.registry.register(thing)
        return thing

    def drop(self, kind: Kind, thing: Object, live: Object, request: AdmissionRequest) -> Object:
        """Remove an object for good."""
        with self.store.transaction():
            last = self.store.write("DELETED", kind.storage_key, copy.deepcopy(thing), live)
            self._admission.release(request)
        if kind.resource == crds.RESOURCE:
            self.registry.unregister(thing)
        elif not kind.built_in:
            self._finish_crd(kind)
        return last

    def _finish_crd(self, kind: Kind) -> None:
        """A CustomResourceDefinition that is being deleted goes with the last of its objects."""
        name = f"{kind.plural}.{kind.group}"
        crd = self.store.get(crds.RESOURCE, "", name)
        if crd and "deletionTimestamp" in crd["metadata"] and not self.store.count(kind.storage_key):
            self.store.write("DELETED", crds.RESOURCE, copy.deepcopy(crd), crd)
            self.registry.unregister(crd)

    # -- shared

    def request(
        self, operation: str, kind: Kind, thing: Object | None, live: Object | None, options: WriteOptions
    ) -> AdmissionRequest:
        """What admission judges."""
        metadata = (thing or live or {})["metadata"]
        return AdmissionRequest(
            operation,
            kind,
            metadata.get("namespace", ""),
            metadata.get("name", ""),
            thing,
            live,
            options.user,
            options.subresource,
            options.dry_run,
        )

    def _admitted(
        self, operation: str, kind: Kind, thing: Object, live: Object | None, options: WriteOptions
    ) -> AdmissionRequest:
        request = self.request(operation, kind, thing, live, options)
        self._admission.mutate(request)
        return request

    def _read(self, kind: Kind, thing: Object, options: WriteOptions) -> tuple[Object, list[str]]:
        """The object with its defaults and without fields that its kind does not have; and warnings about those."""
        found = [f'unknown field "{path}"' for path in unknown_fields(kind, thing)]
        found = [f'duplicate field "{path}"' for path in options.duplicates] + found
        if found and options.field_validation == "Strict":
            raise refused(kind, f"strict decoding error: {', '.join(found)}")
        if kind.built_in:
            thing = without_empty(thing, kind.schema)
        default(kind, thing)
        default_metadata(kind, thing)
        thing = as_written(thing, kind.schema) if kind.built_in else thing
        return thing, [] if options.field_validation == "Ignore" else found

    def _stored_kind(self, kind: Kind) -> Kind:
        """The kind in which objects are kept: events have two groups and one place."""
        core = self.registry.find("", "v1", kind.plural) if kind.group == "events.k8s.io" else None
        return core or kind

    def writer(self, kind: Kind, options: WriteOptions) -> Writer:
        """Who writes, as managedFields have it."""
        return Writer(options.manager, kind.api_version, self.now(), options.subresource)


def is_released(thing: Object) -> bool:
    """Whether nothing holds an object that is being deleted."""
    metadata, spec = thing["metadata"], thing.get("spec")
    if thing.get("kind") == "Namespace" and isinstance(spec, dict) and spec.get("finalizers"):
        return False
    if metadata.get("deletionGracePeriodSeconds"):
        return False  # a pod's node confirms its end
    return not metadata.get("finalizers")


def _owners(live: Object, fields: Iterable[Object] | None, subresource: str) -> Object:
    """The stored object with the owners that the client gives: outside of subresources it may edit them."""
    if subresource or fields is None:
        return live
    given = [one for one in fields if one]
    return {**live, "metadata": {**live["metadata"], "managedFields": given}}


def _timeless(thing: Object) -> Object:
    fields = [{**one, "time": ""} for one in thing["metadata"].get("managedFields") or ()]
    return {**thing, "metadata": {**thing["metadata"], "managedFields": fields}}
