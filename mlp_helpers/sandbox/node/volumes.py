"""Volumes as folders of the pod, and texts that name mount paths made to name those folders.

A process of this machine has no file system of its own, so mount paths cannot be honoured. Where a command, an argument
or a variable names one, it is rewritten; the pod's annotation says which folder stands for which path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.controllers.client import ApiError, Object
from mlp_helpers.sandbox.node.environment import ContainerConfigError, contents_of, field_value, resource_value
from mlp_helpers.sandbox.node.lookup import Lookup

MOUNTS_ANNOTATION = "sandbox.mlp/mounts"
"""On a pod: JSON, from mount path to the folder of this machine that stands for it."""

Files = dict[str, bytes]


class MountError(Exception):
    """A volume cannot be set up yet; becomes the event FailedMount."""


class Volumes:
    """Makes the volumes of one pod.

    Args:
        folder: The pod's folder.
        claims: Where PersistentVolumeClaims live, which outlast pods.
        lookup: For Secrets, ConfigMaps and tokens.
    """

    def __init__(self, folder: Path, claims: Path, lookup: Lookup) -> None:
        self._folder, self._claims, self._lookup = folder, claims, lookup

    async def prepare(self, pod: Mapping[str, Any]) -> dict[str, Path]:
        """Make or refresh every volume.

        Returns:
            The folder of each volume by its name.

        Raises:
            MountError: Something that a volume needs is missing.
        """
        folders = {}
        for volume in pod["spec"].get("volumes") or ():
            name = volume["name"]
            folders[name] = folder = self._place(volume, pod["metadata"]["namespace"])
            folder.mkdir(parents=True, exist_ok=True)
            try:
                files = await self._files(volume, pod)
            except (ContainerConfigError, ApiError) as error:
                raise MountError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
            if files is not None:
                write_files(folder, files)
        return folders

    def _place(self, volume: Mapping[str, Any], namespace: str) -> Path:
        if claim := volume.get("persistentVolumeClaim"):
            return self._claims / namespace / str(claim["claimName"])
        return self._folder / "volumes" / str(volume["name"])

    async def _files(self, volume: Mapping[str, Any], pod: Mapping[str, Any]) -> Files | None:
        """The files of a volume that mirrors something; None for one that is the pod's own to fill."""
        for field, kind, key in (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")):
            if field in volume:
                return await self._mirror(kind, volume[field][key], volume[field], pod)
        if "downwardAPI" in volume:
            return _downward(volume["downwardAPI"], pod)
        if "projected" in volume:
            files: Files = {}
            for source in volume["projected"].get("sources") or ():
                files |= await self._projected(source, pod)
            return files
        return None

    async def _projected(self, source: Mapping[str, Any], pod: Mapping[str, Any]) -> Files:
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            token = await self._lookup.token(
                pod["metadata"]["namespace"],
                pod["spec"].get("serviceAccountName", "default"),
                pod=pod,
                audience=wanted.get("audience", ""),
                seconds=wanted.get("expirationSeconds", 3600),
            )
            return {wanted["path"]: token.encode()}
        if "downwardAPI" in source:
            return _downward(source["downwardAPI"], pod)
        for field, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
            if field in source:
                return await self._mirror(kind, source[field]["name"], source[field], pod)
        return {}

    async def _mirror(self, kind: str, name: str, source: Mapping[str, Any], pod: Mapping[str, Any]) -> Files:
        found = await self._lookup.find(kind, pod["metadata"]["namespace"], name)
        if found is None:
            if source.get("optional"):
                return {}
            raise ContainerConfigError(f'{kind.lower()} "{name}" not found')
        contents = contents_of({**found, "kind": kind})
        if not source.get("items"):
            return contents
        missing = [item["key"] for item in source["items"] if item["key"] not in contents]
        if missing and not source.get("optional"):
            raise ContainerConfigError(f"references non-existent {kind.lower()} key: {missing[0]}")
        return {item["path"]: contents[item["key"]] for item in source["items"] if item["key"] in contents}


def _downward(source: Mapping[str, Any], pod: Mapping[str, Any]) -> Files:
    files = {}
    for item in source.get("items") or ():
        if "fieldRef" in item:
            text = field_value(pod, item["fieldRef"]["fieldPath"])
        else:
            text = resource_value(pod, pod["spec"]["containers"][0], item["resourceFieldRef"], {})
        files[item["path"]] = text.encode()
    return files


def write_files(folder: Path, files: Files) -> None:
    """Make a folder hold exactly these files, for the owner only; each changes whole or not at all."""
    for name, content in files.items():
        path = folder / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.touch(mode=0o600)
        part.write_bytes(content)
        os.replace(part, path)
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in files:
            path.unlink()


def mounts_of(container: Mapping[str, Any], folders: Mapping[str, Path]) -> dict[str, Path]:
    """The folder that stands for each mount path of a container."""
    mounts = {}
    for mount in container.get("volumeMounts") or ():
        if mount["name"] in folders:
            place = folders[mount["name"]] / mount.get("subPath", "")
            mounts[mount["mountPath"].rstrip("/") or "/"] = place
    return mounts


def with_real_paths(text: str, mounts: Mapping[str, Path]) -> str:
    """A text with mount paths at its start, or after a sign that begins a value, made real."""
    for path in sorted(mounts, key=len, reverse=True):
        if path != "/":
            pattern = rf"(?:(?<=^)|(?<=[=:,;\s'\"])){re.escape(path)}(?=$|[/:,;\s'\"])"
            text = re.sub(pattern, str(mounts[path]).replace("\\", r"\\"), text)
    return text


def all_mounts(pod: Object, folders: Mapping[str, Path]) -> dict[str, str]:
    """Every mount path of a pod and its folder, for the annotation."""
    found: dict[str, str] = {}
    for container in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]:
        found |= {path: str(place) for path, place in mounts_of(container, folders).items()}
    return dict(sorted(found.items()))
