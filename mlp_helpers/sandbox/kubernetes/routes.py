"""From HTTP to the rules and back: who asks, for what, whether they may, and in which form they want it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from mlp_helpers.sandbox.kubernetes import bodies, documents, patches, pods
from mlp_helpers.sandbox.kubernetes.access import Access, User
from mlp_helpers.sandbox.kubernetes.answers import (
    answer,
    answer_error,
    answer_list,
    answer_object,
    shown,
    with_warnings,
)
from mlp_helpers.sandbox.kubernetes.deletions import Deletions, parse_delete_options
from mlp_helpers.sandbox.kubernetes.errors import (
    ApiError,
    cause,
    invalid,
    method_not_allowed,
    plain_not_found,
    unauthorized,
    unsupported_media_type,
)
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry
from mlp_helpers.sandbox.kubernetes.lists import list_objects
from mlp_helpers.sandbox.kubernetes.merge import record_update
from mlp_helpers.sandbox.kubernetes.negotiation import Form, negotiate
from mlp_helpers.sandbox.kubernetes.objects import Objects, WriteOptions, Written
from mlp_helpers.sandbox.kubernetes.proxy import Proxy
from mlp_helpers.sandbox.kubernetes.queries import parse_selectors
from mlp_helpers.sandbox.kubernetes.rbac import anonymous
from mlp_helpers.sandbox.kubernetes.reviews import REVIEW_KINDS
from mlp_helpers.sandbox.kubernetes.scale import scale_of, with_scale
from mlp_helpers.sandbox.kubernetes.store import Store
from mlp_helpers.sandbox.kubernetes.tokens import Tokens
from mlp_helpers.sandbox.kubernetes.urls import Target, attributes_of, parse_path
from mlp_helpers.sandbox.kubernetes.watching import Watch

__all__ = ["Routes"]

Object = dict[str, Any]
log = logging.getLogger(__name__)

_TRUE = ("true", "1")
_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


@dataclass(frozen=True)
class Call:
    """A request on a resource that its user may make."""

    request: web.Request
    user: User
    target: Target
    kind: Kind

    @property
    def query(self) -> Mapping[str, str]:
        """The options of the request."""
        return self.request.query

    @property
    def form(self) -> Form:
        """The form in which the answer is wanted."""
        return negotiate(self.request.headers.get("Accept", ""))


class Routes:
    """Answers every request to one cluster.

    Args:
        store: The objects.
        registry: The kinds.
        objects: Their rules.
        deletions: The rules of their end.
        access: Who may do what.
        tokens: Who is who.
        proxy: The way to pods.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        objects: Objects,
        deletions: Deletions,
        access: Access,
        tokens: Tokens,
        proxy: Proxy,
    ) -> None:
        self._store, self._registry, self._objects, self._deletions = store, registry, objects, deletions
        self._access, self._tokens, self._proxy = access, tokens, proxy
        self._subresources: dict[str, Callable[[Call], Awaitable[web.StreamResponse]]] = {
            "scale": self._scale,
            "pods/binding": self._bind,
            "pods/eviction": self._evict,
            "nodes/proxy": self._proxy_node,
            "pods/attach": self._connect,
            "pods/exec": self._connect,
            "pods/log": self._log,
            "pods/portforward": self._connect,
            "pods/proxy": self._proxy_pod,
            "services/proxy": self._proxy_service,
            "serviceaccounts/token": self._token,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; whatever goes wrong becomes a Status."""
        try:
            return await self._route(request)
        except ApiError as error:
            return answer_error(error)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as error:  # clients need a Status whatever happens
            log.exception("%s %s", request.method, request.path_qs)
            return answer_error(ApiError(500, "InternalError", f"Internal error occurred: {error!r}"))

    async def _route(self, request: web.Request) -> web.StreamResponse:
        target = parse_path(request.path)
        user = self._user(request)
        attributes = attributes_of(user, request.method, request.path, target, request.query)
        user = self._access.impersonate(user, _all_headers(request), attributes)
        self._access.require(replace(attributes, user=user))
        if target is None or not target.plural:
            return documents.respond(request, self._registry)
        kind = self._registry.find(target.group, target.version, target.plural)
        if kind is None:
            return documents.missing(self._registry, target.group)
        response = await self._act(Call(request, user, target, kind))
        if kind.deprecation and isinstance(response, web.Response):
            with_warnings(response, [kind.deprecation])
        return response

    def _user(self, request: web.Request) -> User:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return anonymous()
        user = self._tokens.authenticate(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise unauthorized()
        return user

    # -- resources

    async def _act(self, call: Call) -> web.StreamResponse:
        kind, target, method = call.kind, call.target, call.request.method
        if kind.group in REVIEW_KINDS.values():
            return await self._review(call)
        if kind.name == "Binding":
            return await self._bind(call)
        if target.subresource:
            handler = self._subresources.get(f"{kind.plural}/{target.subresource}") or self._subresources.get(
                target.subresource
            )
            if target.subresource not in kind.subresources:
                raise plain_not_found()
            if handler:
                return await handler(call)
        if not target.name:
            return await self._collection(call)
        match method:
            case "GET" | "HEAD":
                thing = self._objects.get(kind, target.namespace, target.name)
                return answer_object(kind, thing, call.form, include_object=call.query.get("includeObject", ""))
            case "POST" if not kind.built_in and not target.subresource:
                return await self._collection(call)  # a real server's custom kinds do not look at the name
            case "PUT":
                return await self._put(call)
            case "PATCH":
                return await self._patch(call)
            case "DELETE" if not target.subresource:
                return await self._delete(call)
        raise method_not_allowed()

    async def _collection(self, call: Call) -> web.StreamResponse:
        kind, target = call.kind, call.target
        match call.request.method:
            case "GET" | "HEAD" if call.query.get("watch") in _TRUE:
                return await self._watch(call)
            case "GET" | "HEAD":
                form = call.form
                page = list_objects(self._store, kind, target.namespace, call.query, decode=not form.is_plain)
                return answer_list(kind, page, form, include_object=call.query.get("includeObject", ""))
            case "POST" if not kind.namespaced or target.namespace:
                thing, options = await self._object(call)
                written = self._objects.create(kind, target.namespace, thing, options)
                return _answer_written(call, written)
            case "DELETE" if "deletecollection" in kind.verbs:
                how = parse_delete_options(call.query, await self._plain(call))
                matches = parse_selectors(
                    kind, call.query.get("labelSelector", ""), call.query.get("fieldSelector", "")
                )
                gone = self._deletions.delete_collection(kind, target.namespace, matches, how, self._options(call))
                items = [
                    {key: one for key, one in thing.items() if key not in ("apiVersion", "kind")} for thing in gone
                ]
                metadata = {"resourceVersion": str(self._store.version)}
                return answer(
                    {"kind": kind.list_name, "apiVersion": kind.api_version, "metadata": metadata, "items": items}
                )
        raise method_not_allowed()

    async def _put(self, call: Call) -> web.StreamResponse:
        thing, options = await self._object(call)
        target = call.target
        if target.subresource == "finalize":
            return _answer_written(call, self._objects.finalize(call.kind, target.name, thing, options))
        return _answer_written(call, self._objects.replace(call.kind, target.namespace, target.name, thing, options))

    async def _patch(self, call: Call) -> web.StreamResponse:
        media_type = self._patch_type(call)
        options = self._options(call)
        document = bodies.read_patch(await call.request.read(), as_yaml=media_type == patches.APPLY)
        written = self._objects.patch(call.kind, call.target.namespace, call.target.name, media_type, document, options)
        return _answer_written(call, written)

    @staticmethod
    def _patch_type(call: Call) -> str:
        accepted = bodies.accepted_patches(call.kind)
        media_type = call.request.content_type
        if media_type not in (patches.APPLY, patches.JSON_PATCH, patches.MERGE, patches.STRATEGIC):
            raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
        if media_type not in accepted:
            raise unsupported_media_type(accepted)
        return media_type

    async def _delete(self, call: Call) -> web.StreamResponse:
        options = parse_delete_options(call.query, await self._plain(call))
        write = replace(self._options(call), dry_run=options.dry_run)
        thing = self._deletions.delete(call.kind, call.target.namespace, call.target.name, options, write)
        return answer_object(call.kind, thing, call.form)

    async def _watch(self, call: Call) -> web.StreamResponse:
        form, include = call.form, call.query.get("includeObject", "")
        show = None
        if form.shape == "PartialObjectMetadata":
            show = lambda thing: shown(call.kind, thing, form)  # noqa: E731
        elif form.shape == "Table":
            show = documents.TableEvents(call.kind, include)
        watch = Watch(self._store, call.kind, call.target.namespace, call.query, show=show)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(call.request)
        async with aclosing(watch.lines()) as lines:
            async for line in lines:
                await response.write(line)
        await response.write_eof()
        return response

    # -- subresources

    async def _review(self, call: Call) -> web.StreamResponse:
        if call.request.method != "POST":
            raise method_not_allowed()
        body = bodies.read_object(await call.request.read(), call.request.content_type, call.kind).object
        made = self._access.review(call.kind.name, body, call.user, namespace=call.target.namespace)
        asked = {key: value for key, value in body.items() if key != "status"}
        record_update({}, asked, call.kind.schema, self._objects.writer(call.kind, self._options(call)))
        fields = (asked.get("metadata") or {}).get("managedFields")
        if fields and call.kind.name != "SelfSubjectRulesReview":
            made["metadata"] = {**made["metadata"], "managedFields": fields}
        return answer(made, status=201)

    async def _scale(self, call: Call) -> web.StreamResponse:
        kind, target, options = call.kind, call.target, self._options(call)
        live = self._objects.get(kind, target.namespace, target.name)
        if call.request.method == "GET":
            return answer(scale_of(kind, live))
        if call.request.method == "PUT":
            wanted = await self._plain(call) or {}
        elif call.request.method == "PATCH":
            media_type = self._patch_type(call)
            document = bodies.read_patch(await call.request.read(), as_yaml=media_type == patches.APPLY)
            current = scale_of(kind, live)
            if media_type == patches.APPLY:
                media_type = patches.MERGE
            wanted = patches.patched(kind, current, media_type, document)
        else:
            raise method_not_allowed()
        written = self._objects.rescale(kind, with_scale(kind, live, wanted), options)
        return answer(scale_of(kind, written.object))

    async def _bind(self, call: Call) -> web.StreamResponse:
        if call.request.method != "POST":
            raise method_not_allowed()
        body = await self._plain(call) or {}
        kind = self._registry.find("", "v1", "pods")
        name = call.target.name or (body.get("metadata") or {}).get("name", "")
        if kind is None:
            raise plain_not_found()
        return answer(
            pods.bind(self._objects, kind, call.target.namespace, name, body, self._options(call)), status=201
        )

    async def _evict(self, call: Call) -> web.StreamResponse:
        if call.request.method != "POST":
            raise method_not_allowed()
        target, options = call.target, self._options(call)
        made = pods.evict(self._objects, self._deletions, call.kind, target.namespace, target.name, options)
        return answer(made, status=201)

    async def _token(self, call: Call) -> web.StreamResponse:
        if call.request.method != "POST":
            raise method_not_allowed()
        account = self._objects.stored(call.kind, call.target.namespace, call.target.name)
        return answer(self._tokens.request(account, await self._plain(call) or {}), status=201)

    async def _log(self, call: Call) -> web.StreamResponse:
        if call.request.method != "GET":
            raise method_not_allowed()
        return await self._proxy.logs(call.request, call.target.namespace, call.target.name)

    async def _connect(self, call: Call) -> web.StreamResponse:
        self._proxy.require_node(call.target.namespace, call.target.name)
        message = f"{call.target.subresource} is not emulated in the sandbox"
        raise ApiError(501, "NotImplemented", message)

    async def _proxy_node(self, call: Call) -> web.StreamResponse:
        if call.request.method != "GET":
            raise method_not_allowed()
        return await self._proxy.node(call.request, call.target.name, _path_behind(call.request))

    async def _proxy_pod(self, call: Call) -> web.StreamResponse:
        path = _path_behind(call.request)
        return await self._proxy.pod(call.request, call.target.namespace, call.target.name, path)

    async def _proxy_service(self, call: Call) -> web.StreamResponse:
        path = _path_behind(call.request)
        return await self._proxy.service(call.request, call.target.namespace, call.target.name, path)

    # -- reading requests

    async def _plain(self, call: Call) -> Any:
        return bodies.read_plain(
            await call.request.read(), call.request.content_type if call.request.body_exists else ""
        )

    async def _object(self, call: Call) -> tuple[Object, WriteOptions]:
        options = self._options(call)
        media_type = call.request.content_type if "Content-Type" in call.request.headers else bodies.JSON
        body = bodies.read_object(await call.request.read(), media_type, call.kind)
        bodies.check_kind(call.kind, body.object, self._registry)
        return body.object, replace(options, duplicates=body.duplicates)

    @staticmethod
    def _options(call: Call) -> WriteOptions:
        query, request = call.query, call.request
        applies = request.method == "PATCH" and request.content_type == patches.APPLY
        _check_options(query, _OPTIONS.get(request.method, ""), applies=applies)
        agent = request.headers.get("User-Agent", "").partition("/")[0] or "unknown"
        return WriteOptions(
            call.user,
            manager=query.get("fieldManager", "" if applies else agent),
            dry_run=bool(query.get("dryRun")),
            field_validation=query.get("fieldValidation", ""),
            force=query.get("force") in _TRUE,
            subresource=call.target.subresource,
        )


def _check_options(query: Mapping[str, str], options: str, *, applies: bool) -> None:
    causes = []
    dry_run = query.get("dryRun") or "All"
    if dry_run != "All":
        text = f'Unsupported value: ["{dry_run}"]: supported values: "All"'
        causes.append(cause("FieldValueNotSupported", "dryRun", text))
    validation = query.get("fieldValidation", "")
    if validation not in _VALIDATIONS:
        supported = ", ".join(f'"{one}"' for one in _VALIDATIONS)
        text = f'Unsupported value: "{validation}": supported values: {supported}'
        causes.append(cause("FieldValueNotSupported", "fieldValidation", text))
    if "force" in query and options == "PatchOptions" and not applies:
        causes.append(cause("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"))
    if causes:
        raise invalid(options, "meta.k8s.io", "", causes)


def _path_behind(request: web.Request) -> str:
    """What follows the proxy in a URL, encoded as the client sent it."""
    target = parse_path(request.rel_url.raw_path)
    return (target.rest if target else "") or "/"


def _answer_written(call: Call, written: Written) -> web.Response:
    status = 201 if written.created else 200
    return answer_object(call.kind, written.object, call.form, status=status, warnings=written.warnings)


def _all_headers(request: web.Request) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        if name.lower().startswith("impersonate-"):
            found.setdefault(name.lower(), []).append(value)
    return found
