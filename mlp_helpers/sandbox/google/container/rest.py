"""GKE over REST: the library's own paths, answered by the handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlp_helpers.sandbox.google.calls import Call, Handler, Json, Route, Service
from mlp_helpers.sandbox.google.container.errors import SERVICE
from mlp_helpers.sandbox.google.container.handlers import ContainerHandlers
from mlp_helpers.sandbox.google.container.rpcs import HttpRule, Rpc


class ContainerService(Service):
    """Google Kubernetes Engine."""

    name = SERVICE

    def __init__(self, handlers: ContainerHandlers) -> None:
        self._handlers = handlers

    def routes(self) -> Sequence[Route]:
        routes = [
            Route(rule.method, rule.template, self._handler(rpc, rule))
            for rpc in self._handlers.rpcs.values()
            for rule in rpc.rules
        ]
        return sorted(routes, key=lambda route: ":" not in route.template.rpartition("}")[2])

    async def admit(self, call: Call, route: Route, values: Mapping[str, str]) -> None:
        """`ContainerHandlers.call` admits, for both protocols."""

    def _handler(self, rpc: Rpc, rule: HttpRule) -> Handler:
        async def handler(call: Call, **values: str) -> Json:
            request: dict[str, Any] = await call.json() if rule.body else {}
            request |= {name: call.query.text(name) for name in call.query.names() if not name.startswith(("$", "alt"))}
            return await self._handlers.call(rpc, request | values, call.identity)

        return handler
