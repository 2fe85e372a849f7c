"""From a version of a source to checked objects: what kinds the cluster knows, selectors, rules."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.controllers.client import Client, NotFoundError, Object, UnknownKindError
from mlp_helpers.sandbox.controllers.config_sync import charts
from mlp_helpers.sandbox.controllers.config_sync.checks import Checked, check, declared_kinds
from mlp_helpers.sandbox.controllers.config_sync.decide import implicit_namespaces
from mlp_helpers.sandbox.controllers.config_sync.names import SyncId
from mlp_helpers.sandbox.controllers.config_sync.parse import Declared, read_manifests
from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError
from mlp_helpers.sandbox.controllers.config_sync.rendering import Rendered
from mlp_helpers.sandbox.controllers.config_sync.selectors import select
from mlp_helpers.sandbox.controllers.config_sync.source import Checkout, GitSource


async def fetch(spec: Mapping[str, Any], sync: SyncId, git: GitSource, folder: Path) -> Checkout:
    """The wanted version of a sync's source, on disk.

    Raises:
        ProblemsError: KNV2004.
    """
    match spec.get("sourceType") or "git":
        case "git":
            return await git.fetch(spec.get("git") or {})
        case "helm":
            return charts.check_out(spec.get("helm") or {}, sync, folder / "chart")
        case other:
            raise ProblemsError([Problem(2004, f"unable to sync: not emulated in the sandbox: sourceType {other}")])


async def read(rendered: Rendered, spec: Mapping[str, Any], sync: SyncId, client: Client, *, cluster: str) -> Checked:
    """Read, select and check what a source declares.

    Args:
        rendered: Plain manifests.
        spec: The sync's spec.
        sync: Whose source it is.
        client: Knows the kinds of the cluster.
        cluster: The name of this cluster in the fleet.

    Raises:
        ProblemsError: Everything that stops the whole source.
    """
    _check_format(rendered, spec, sync)
    declared, problems = await asyncio.to_thread(read_manifests, rendered.root, rendered.directory)
    selected, wrong = select(declared, cluster)
    kinds = {**declared_kinds(selected), **await _served_kinds(selected, client)}
    checked = check(selected, sync, kinds)
    blocking = [*problems, *wrong, *checked.blocking]
    if blocking:
        raise ProblemsError([*blocking, *checked.passing])
    if not sync.is_root or (spec.get("override") or {}).get("namespaceStrategy") == "explicit":
        return checked
    implicit = implicit_namespaces(checked.objects, await _namespaces(checked.objects, client), sync)
    return Checked((*implicit, *checked.objects), checked.unknown, (), checked.passing)


def _check_format(rendered: Rendered, spec: Mapping[str, Any], sync: SyncId) -> None:
    """A root sync without a format means the hierarchical one, as it does in Config Sync."""
    if not sync.is_root or spec.get("sourceFormat") == "unstructured":
        return
    if not (rendered.directory / "system" / "repo.yaml").is_file():
        text = (
            'The system/ directory must declare a Repo resource, because the source format is "hierarchy", the default '
            "of a RootSync. For plain manifests set spec.sourceFormat: unstructured."
        )
        raise ProblemsError([Problem(1017, text)])
    text = "not emulated in the sandbox: the source format hierarchy. Set spec.sourceFormat: unstructured."
    raise ProblemsError([Problem(9998, text)])


async def _served_kinds(declared: Iterable[Declared], client: Client) -> dict[tuple[str, str], bool | None]:
    kinds: dict[tuple[str, str], bool | None] = {}
    for api_version, kind in {(one.api_version, one.id.kind) for one in declared}:
        try:
            kinds[api_version, kind] = (await client.resource(api_version, kind)).namespaced
        except UnknownKindError:
            continue
    return kinds


async def _namespaces(objects: Sequence[Declared], client: Client) -> dict[str, Object]:
    resource = await client.resource("v1", "Namespace")
    found: dict[str, Object] = {}
    for name in sorted({one.id.namespace for one in objects if one.id.namespace}):
        try:
            found[name] = {"apiVersion": "v1", "kind": "Namespace", **await client.get(resource, name)}
        except NotFoundError:
            continue
    return found
