"""Cloud Storage's JSON API, and the part of the XML API that Go's client reads objects through.

`StorageService.admit` is the one place where a call is let in.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mlp_helpers.sandbox.google.admission import Admission
from mlp_helpers.sandbox.google.calls import Call, Json, Reply, Route, Service, json_reply
from mlp_helpers.sandbox.google.errors import GoogleError, legacy_body
from mlp_helpers.sandbox.google.storage import errors
from mlp_helpers.sandbox.google.storage.batch import answer_batch
from mlp_helpers.sandbox.google.storage.downloads import send
from mlp_helpers.sandbox.google.storage.listing import Listing, list_objects
from mlp_helpers.sandbox.google.storage.preconditions import Preconditions
from mlp_helpers.sandbox.google.storage.resources import OBJECT_FIELDS, Digest, bucket_links, object_links
from mlp_helpers.sandbox.google.storage.store import StorageStore
from mlp_helpers.sandbox.google.storage.uploads import Uploads

_MOST_COMPOSED = 32


class StorageService(Service):
    """Cloud Storage."""

    name = "storage.googleapis.com"

    def __init__(self, folder: Path, admission: Admission, dispatch: Callable[[Call], Awaitable[Reply]]) -> None:
        self.store = StorageStore(folder)
        self._admission, self._dispatch = admission, dispatch
        self._uploads = Uploads(self.store, folder / "uploads", self._admit_write)

    def routes(self) -> Sequence[Route]:
        bucket, object_ = "/storage/v1/b/{bucket}", "/storage/v1/b/{bucket}/o/{name}"
        upload = "/upload/storage/v1/b/{bucket}/o"
        copied = "/b/{target_bucket}/o/{target}"
        return (
            Route("POST", "/batch/storage/v1", self._batch),
            Route("POST", "/batch", self._batch),
            Route("GET", "/storage/v1/b", self._list_buckets, "storage.buckets.list"),
            Route("POST", "/storage/v1/b", self._create_bucket, "storage.buckets.create"),
            Route(
                "GET",
                "/storage/v1/projects/{project}/serviceAccount",
                self._service_account,
                "resourcemanager.projects.get",
            ),
            Route("GET", bucket, self._get_bucket, "storage.buckets.get"),
            Route("PATCH", bucket, self._patch_bucket, "storage.buckets.update"),
            Route("PUT", bucket, self._put_bucket, "storage.buckets.update"),
            Route("DELETE", bucket, self._delete_bucket, "storage.buckets.delete"),
            Route("GET", f"{bucket}/iam", self._get_policy, "storage.buckets.getIamPolicy"),
            Route("PUT", f"{bucket}/iam", self._set_policy, "storage.buckets.setIamPolicy"),
            Route("GET", f"{bucket}/iam/testPermissions", self._test_permissions),
            Route("GET", f"{bucket}/storageLayout", self._storage_layout, "storage.objects.list"),
            Route("GET", f"{bucket}/managedFolders", self._no_folders, "storage.objects.list"),
            Route("GET", f"{bucket}/folders", self._no_folders, "storage.objects.list"),
            Route("GET", f"{bucket}/o", self._list_objects, "storage.objects.list"),
            Route("POST", f"{object_}/rewriteTo{copied}", self._rewrite, "storage.objects.get"),
            Route("POST", f"{object_}/copyTo{copied}", self._copy, "storage.objects.get"),
            Route("POST", f"{object_}/compose", self._compose, "storage.objects.get"),
            Route("GET", object_, self._get_object, "storage.objects.get"),
            Route("GET", f"/download{object_}", self._download, "storage.objects.get"),
            Route("PATCH", object_, self._patch_object, "storage.objects.update"),
            Route("PUT", object_, self._put_object, "storage.objects.update"),
            Route("DELETE", object_, self._delete_object, "storage.objects.delete"),
            Route("POST", upload, self._upload, "storage.objects.create"),
            Route("POST", f"/resumable{upload}", self._upload, "storage.objects.create"),
            Route("PUT", upload, self._continue_upload, "storage.objects.create"),
            Route("DELETE", upload, self._cancel_upload, "storage.objects.create"),
        )

    def object_routes(self) -> Sequence[Route]:
        """The XML API's read path, `/BUCKET/OBJECT`; it comes after every other service's routes."""
        template = "/{bucket}/{name=**}"
        return tuple(Route(method, template, self._download, "storage.objects.get") for method in ("GET", "HEAD"))

    # Admission

    async def admit(self, call: Call, route: Route, values: Mapping[str, str]) -> None:
        bucket = values.get("bucket", "")
        if bucket:
            project = self.store.bucket_project(bucket)
        else:
            project = values.get("project") or call.query.text("project")
            if not project and route.permission:
                raise errors.invalid("Required parameter: project", "required")
        if project:
            self._admission.project(project, self.name)
        if route.permission:
            self._require(call, route.permission, project, bucket, values.get("name", ""))

    def _require(self, call: Call, permission: str, project: str, bucket: str, name: str = "") -> None:
        policies = [self.store.policy(bucket)] if bucket else []
        if not self._admission.permits(call.identity, permission, project, *policies):
            raise errors.forbidden(
                call.identity.email, permission, "object" if name else "bucket" if bucket else "project"
            )

    def _admit_write(self, call: Call, bucket: str, name: str) -> None:
        """Writing needs the right to create, and to delete where it takes the place of an object."""
        project = self.store.bucket_project(bucket)
        self._require(call, "storage.objects.create", project, bucket, name)
        if self.store.has_live(bucket, name):
            self._require(call, "storage.objects.delete", project, bucket, name)

    def error_reply(self, call: Call, error: GoogleError) -> Reply:
        if error.code == 304:
            return Reply(304)
        if _is_xml(call):
            return Reply(error.code, errors.xml_body(error), {"Content-Type": "application/xml; charset=UTF-8"})
        if error.code == 401:
            error = replace(error, message="Invalid Credentials", details=())
        return json_reply(legacy_body(error), error.code)

    # Buckets

    async def _list_buckets(self, call: Call) -> Json:
        project = self._admission.projects.get(call.query.text("project"))
        buckets = self.store.buckets(project.id, call.query.text("prefix"))
        after = base64.urlsafe_b64decode(call.query.text("pageToken")).decode()
        waiting = [bucket for bucket in buckets if bucket["name"] > after]
        size = call.query.number("maxResults") or 1000
        reply: Json = {
            "kind": "storage#buckets",
            "items": [bucket_links(bucket, call.base_url) for bucket in waiting[:size]],
        }
        if len(waiting) > size:
            reply["nextPageToken"] = base64.urlsafe_b64encode(waiting[size - 1]["name"].encode()).decode()
        return reply

    async def _create_bucket(self, call: Call) -> Json:
        project = self._admission.projects.get(call.query.text("project"))
        bucket = self.store.create_bucket(await call.json(), project=project.id, project_number=project.number)
        return bucket_links(bucket, call.base_url)

    async def _get_bucket(self, call: Call, bucket: str) -> Json:
        found = self.store.bucket(bucket)
        Preconditions.of(call.query).check(found, reading=True)
        return bucket_links(found, call.base_url)

    async def _patch_bucket(self, call: Call, bucket: str) -> Json:
        changed = self.store.change_bucket(bucket, await call.json(), conditions=Preconditions.of(call.query))
        return bucket_links(changed, call.base_url)

    async def _put_bucket(self, call: Call, bucket: str) -> Json:
        conditions = Preconditions.of(call.query)
        changed = self.store.change_bucket(bucket, await call.json(), replace=True, conditions=conditions)
        return bucket_links(changed, call.base_url)

    async def _delete_bucket(self, call: Call, bucket: str) -> Reply:
        self.store.delete_bucket(bucket, conditions=Preconditions.of(call.query))
        return Reply(204)

    async def _get_policy(self, call: Call, bucket: str) -> Json:
        return self.store.policy(bucket)

    async def _set_policy(self, call: Call, bucket: str) -> Json:
        return self.store.set_policy(bucket, await call.json())

    async def _test_permissions(self, call: Call, bucket: str) -> Json:
        project, policy = self.store.bucket_project(bucket), self.store.policy(bucket)
        held = [
            permission
            for permission in call.query.texts("permissions")
            if self._admission.permits(call.identity, permission, project, policy)
        ]
        return {"kind": "storage#testIamPermissionsResponse", "permissions": held}

    async def _storage_layout(self, call: Call, bucket: str) -> Json:
        found = self.store.bucket(bucket)
        layout: Json = {"kind": "storage#storageLayout", "bucket": bucket, "hierarchicalNamespace": {"enabled": False}}
        return layout | {field: found[field] for field in ("location", "locationType")}

    async def _no_folders(self, call: Call, bucket: str) -> Json:
        """Folders are objects of a hierarchical namespace, which no bucket here has."""
        return {"kind": "storage#folders", "items": []}

    async def _service_account(self, call: Call, project: str) -> Json:
        number = self._admission.projects.get(project).number
        return {
            "kind": "storage#serviceAccount",
            "email_address": f"service-{number}@gs-project-accounts.iam.gserviceaccount.com",
        }

    # Objects

    async def _list_objects(self, call: Call, bucket: str) -> Json:
        page = list_objects(self.store.connection, bucket, Listing.of(call.query))
        reply: Json = {"kind": "storage#objects"}
        if page.items:
            reply["items"] = [object_links(item, call.base_url) for item in page.items]
        if page.prefixes:
            reply["prefixes"] = page.prefixes
        if page.next_token:
            reply["nextPageToken"] = page.next_token
        return reply

    async def _get_object(self, call: Call, bucket: str, name: str) -> Reply | Json:
        if call.query.text("alt") == "media":
            return await self._download(call, bucket, name)
        resource = self.store.source(bucket, name, call.query.number("generation")).resource
        Preconditions.of(call.query).check(resource, reading=True)
        return object_links(resource, call.base_url)

    async def _download(self, call: Call, bucket: str, name: str) -> Reply:
        source = self.store.source(bucket, name, call.query.number("generation"))
        conditions = Preconditions.of_headers(call.headers) if _is_xml(call) else Preconditions.of(call.query)
        conditions.check(source.resource, reading=True)
        return send(call, source, self.store.contents)

    async def _patch_object(self, call: Call, bucket: str, name: str) -> Json:
        return await self._change_object(call, bucket, name, replace_all=False)

    async def _put_object(self, call: Call, bucket: str, name: str) -> Json:
        return await self._change_object(call, bucket, name, replace_all=True)

    async def _change_object(self, call: Call, bucket: str, name: str, *, replace_all: bool) -> Json:
        changed = self.store.change_object(
            bucket,
            name,
            await call.json(),
            generation=call.query.number("generation"),
            replace=replace_all,
            conditions=Preconditions.of(call.query),
        )
        return object_links(changed, call.base_url)

    async def _delete_object(self, call: Call, bucket: str, name: str) -> Reply:
        generation = call.query.number("generation")
        self.store.delete_object(bucket, name, generation=generation, conditions=Preconditions.of(call.query))
        return Reply(204)

    async def _copy(self, call: Call, bucket: str, name: str, target_bucket: str, target: str) -> Json:
        self._admit_write(call, target_bucket, target)
        source = self.store.source(bucket, name, call.query.number("sourceGeneration"))
        Preconditions.of(call.query, "ifSource").check(source.resource)
        fields = {field: value for field, value in source.resource.items() if field in OBJECT_FIELDS - {"storageClass"}}
        wanted = {field: value for field, value in (await call.json()).items() if field in OBJECT_FIELDS}
        resource = self.store.write(
            target_bucket,
            target,
            source.content,
            Digest.of(source.resource),
            fields={**fields, **wanted},
            conditions=Preconditions.of(call.query),
        )
        return object_links(resource, call.base_url)

    async def _rewrite(self, call: Call, bucket: str, name: str, target_bucket: str, target: str) -> Json:
        """A copy; it never needs a second call, since no byte is moved."""
        resource = await self._copy(call, bucket, name, target_bucket, target)
        size = resource["size"]
        return {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": size,
            "objectSize": size,
            "done": True,
            "resource": resource,
        }

    async def _compose(self, call: Call, bucket: str, name: str) -> Json:
        self._admit_write(call, bucket, name)
        body, conditions = await call.json(), Preconditions.of(call.query)
        parts = body.get("sourceObjects") or []
        if not 1 <= len(parts) <= _MOST_COMPOSED:
            raise errors.invalid(
                f"The number of source components provided ({len(parts)}) is not between 1 and {_MOST_COMPOSED}."
            )
        sources = []
        for part in parts:
            source = self.store.source(bucket, part["name"], int(part.get("generation") or 0) or None)
            generation = (part.get("objectPreconditions") or {}).get("ifGenerationMatch")
            Preconditions(generation_match=int(generation) if generation else None).check(source.resource)
            sources.append(source)
        self.store.check_write(bucket, name, conditions)
        content, digest = self.store.contents.join(source.content for source in sources)
        count = sum(int(source.resource.get("componentCount", 1)) for source in sources)
        resource = self.store.write(
            bucket,
            name,
            content,
            digest,
            fields=body.get("destination") or {},
            conditions=conditions,
            component_count=count,
        )
        return object_links(resource, call.base_url)

    # Uploads and batches

    async def _upload(self, call: Call, bucket: str) -> Reply | Json:
        kinds = {"media": self._uploads.media, "multipart": self._uploads.multipart}
        kind = call.query.text("uploadType", "media")
        if "upload_id" in call.query:
            return await self._uploads.continue_resumable(call, bucket)
        if kind == "resumable":
            return await self._uploads.start_resumable(call, bucket)
        if kind not in kinds:
            raise errors.invalid(f"Invalid value for uploadType: {kind}")
        return object_links(await kinds[kind](call, bucket), call.base_url)

    async def _continue_upload(self, call: Call, bucket: str) -> Reply:
        return await self._uploads.continue_resumable(call, bucket)

    async def _cancel_upload(self, call: Call, bucket: str) -> Reply:
        return self._uploads.cancel_resumable(call, bucket)

    async def _batch(self, call: Call) -> Reply:
        return await answer_batch(call, self._dispatch)


def _is_xml(call: Call) -> bool:
    """Whether a call is a read of the XML API, which is refused in XML."""
    is_json = re.match(r"/(storage|upload|download|batch|resumable)\b", call.path)
    return call.method in ("GET", "HEAD") and not is_json
