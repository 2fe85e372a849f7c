"""The versions of GKE that the sandbox offers. Its API server speaks one minor version; so do the channels."""

from __future__ import annotations

from collections.abc import Mapping

from mlp_helpers.sandbox.google.container.errors import invalid

VERSIONS = ("1.37.1-gke.1207000", "1.37.0-gke.1105000", "1.36.4-gke.1302000", "1.36.2-gke.1203000")
"""All of them, new ones first."""

CHANNELS: Mapping[str, str] = {
    "RAPID": VERSIONS[0],
    "REGULAR": VERSIONS[1],
    "STABLE": VERSIONS[1],
    "EXTENDED": VERSIONS[1],
}
DEFAULT_CHANNEL = "REGULAR"


def resolve(wanted: str, *, channel: str = DEFAULT_CHANNEL, field: str = "Master version") -> str:
    """The exact version behind `latest`, `-`, `1.37` or an exact version."""
    if wanted in ("", "-"):
        return CHANNELS.get(channel, CHANNELS[DEFAULT_CHANNEL])
    if wanted == "latest":
        return VERSIONS[0]
    for version in VERSIONS:
        if version == wanted or version.startswith((f"{wanted}.", f"{wanted}-")):
            return version
    raise invalid(f'{field} "{wanted}" is unsupported.')


def order(version: str) -> int:
    """The place of a version: greater is newer."""
    return -VERSIONS.index(version)


def check_upgrade(current: str, wanted: str, *, field: str) -> None:
    """Refuse to go back a minor version, as GKE does for control planes."""
    if _minor(wanted) < _minor(current):
        raise invalid(f"{field} cannot be downgraded from {current} to {wanted}.")


def check_node_version(node: str, master: str) -> None:
    """Nodes are never newer than the control plane."""
    if order(node) > order(master):
        raise invalid(f'Node version "{node}" must not have a greater version than the control plane "{master}".')


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def server_config() -> dict[str, object]:
    """What `GetServerConfig` answers."""
    channels = [
        {
            "channel": channel,
            "defaultVersion": version,
            "validVersions": list(VERSIONS),
            "upgradeTargetVersion": version,
        }
        for channel, version in CHANNELS.items()
    ]
    return {
        "defaultClusterVersion": CHANNELS[DEFAULT_CHANNEL],
        "validNodeVersions": list(VERSIONS),
        "validMasterVersions": list(VERSIONS),
        "defaultImageType": "COS_CONTAINERD",
        "validImageTypes": ["COS_CONTAINERD", "UBUNTU_CONTAINERD"],
        "channels": channels,
    }
