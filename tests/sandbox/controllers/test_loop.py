"""The client, the informers and the loop against a real API server."""

from __future__ import annotations

import asyncio

import pytest

from mlp_helpers.sandbox.controllers.client import (
    AlreadyExistsError,
    Client,
    ConflictError,
    NotFoundError,
    Object,
    UnknownKindError,
)
from mlp_helpers.sandbox.controllers.informer import Informer
from mlp_helpers.sandbox.controllers.loop import Key, Manager, own_key
from mlp_helpers.sandbox.kubernetes.server import ApiServer

from .conftest import running, until


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


class Recorder:
    name = "recorder"

    def __init__(self, config_maps: Informer) -> None:
        self.config_maps = config_maps
        self.seen: list[tuple[str, str | None]] = []
        self.failures = 0
        self.at_once: dict[Key, int] = {}

    async def reconcile(self, key: Key) -> float | None:
        self.at_once[key] = self.at_once.get(key, 0) + 1
        assert self.at_once[key] == 1
        await asyncio.sleep(0)
        self.at_once[key] = 0
        if self.failures:
            self.failures -= 1
            raise ValueError("not yet")
        found = self.config_maps.get(key[1], key[0])
        self.seen.append((key[1], found["data"].get("v") if found else None))
        return None


def recorder(client: Client) -> tuple[Manager, Recorder]:
    manager = Manager(client)
    config_maps = manager.informer("v1", "ConfigMap")
    controller = Recorder(config_maps)
    manager.register(controller, {config_maps: own_key})
    return manager, controller


async def test_errors_of_the_server_keep_its_words(client: Client) -> None:
    resource = await client.resource("v1", "ConfigMap")
    with pytest.raises(NotFoundError, match='configmaps "absent" not found'):
        await client.get(resource, "absent", "default")
    made = await client.create(config_map("a", v="1"))
    with pytest.raises(AlreadyExistsError):
        await client.create(config_map("a"))
    await client.replace({**made, "data": {"v": "2"}})
    with pytest.raises(ConflictError) as caught:
        await client.replace({**made, "data": {"v": "3"}})
    assert not isinstance(caught.value, AlreadyExistsError)


async def test_unknown_kinds_are_named(client: Client) -> None:
    with pytest.raises(UnknownKindError, match='no matches for kind "Widget"'):
        await client.resource("example.com/v1", "Widget")
    assert {"configmaps", "namespaces"} <= {resource.plural for resource in await client.all_resources()}


async def test_changes_reach_the_controller(client: Client) -> None:
    manager, controller = recorder(client)
    await client.create(config_map("a", v="1"))
    resource = await client.resource("v1", "ConfigMap")
    async with running(manager):
        await until(lambda: _has(controller, ("a", "1")))
        await client.patch(resource, "a", "default", {"data": {"v": "2"}})
        await until(lambda: _has(controller, ("a", "2")))
        await client.delete(resource, "a", "default")
        await until(lambda: _has(controller, ("a", None)))


async def test_a_failed_reconcile_is_tried_again(client: Client) -> None:
    manager, controller = recorder(client)
    controller.failures = 2
    async with running(manager):
        await client.create(config_map("a", v="1"))
        await until(lambda: _has(controller, ("a", "1")))


async def test_informers_go_on_after_a_restart_of_the_server(client: Client, server: ApiServer) -> None:
    manager, controller = recorder(client)
    async with running(manager):
        await client.create(config_map("a", v="1"))
        await until(lambda: _has(controller, ("a", "1")))
        await server.stop()
        again = ApiServer(server.folder, port=int(server.url.rpartition(":")[2]))
        await again.start()
        await client.create(config_map("b", v="1"))
        await until(lambda: _has(controller, ("b", "1")))
    await again.stop()


async def test_a_write_of_our_own_is_seen_at_once_but_never_revives_the_dead(client: Client) -> None:
    informer = Informer(client, "v1", "ConfigMap")
    task = asyncio.create_task(informer.run())
    await informer.synced.wait()
    made = await client.create(config_map("a", v="1"))
    informer.note(made)
    assert informer.get("a", "default") is not None
    await client.delete(await client.resource("v1", "ConfigMap"), "a", "default")
    await until(lambda: _truth(informer.get("a", "default") is None))
    informer.note(made)
    assert informer.get("a", "default") is None
    task.cancel()


async def _has(controller: Recorder, seen: tuple[str, str | None]) -> bool:
    return seen in controller.seen


async def _truth(value: bool) -> bool:
    return value
