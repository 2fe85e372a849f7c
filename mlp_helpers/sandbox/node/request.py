"""What a runtime is asked to run: one container of one pod, with everything it refers to worked out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.node.lookup import Lookup
from mlp_helpers.sandbox.node.volumes import with_real_paths


@dataclass(frozen=True)
class Request:
    """One container to run.

    Args:
        pod: The pod.
        container: The container's spec.
        environment: Its whole environment.
        folder: The pod's folder.
        work: Where the process starts: the folder that stands for its working directory.
        ports: The real port of each container port of the pod.
        mounts: The folder that stands for each mount path.
        kubeconfig: The pod's way to the API server, as its service account.
        lookup: To resolve the names of Services.
    """

    pod: Mapping[str, Any]
    container: Mapping[str, Any]
    environment: Mapping[str, str]
    folder: Path
    work: Path
    ports: Mapping[int, int]
    mounts: Mapping[str, Path]
    kubeconfig: Mapping[str, object]
    lookup: Lookup

    @property
    def argv(self) -> list[str]:
        """Command and arguments, as the spec has them."""
        return [*(self.container.get("command") or ()), *(self.container.get("args") or ())]

    async def real_port(self, host: str, port: int, *, condition: str = "ready") -> int | None:
        """Where an address really is: the pod itself, or a Service whose endpoint meets a condition."""
        if host in ("127.0.0.1", "localhost", "0.0.0.0"):
            return self.ports.get(port, port)
        namespace = self.pod["metadata"]["namespace"]
        return await self.lookup.real_port(host, port, namespace, condition=condition)

    async def made_real(self, text: str) -> str:
        """A text with mount paths, ports, listening addresses and Services' addresses as they are on this machine."""
        text = with_real_paths(text, self.mounts)
        text = with_real_ports(text, self.ports).replace("0.0.0.0", "127.0.0.1")
        return await self.lookup.with_real_addresses(text, self.pod["metadata"]["namespace"])

    async def all_made_real(self, texts: Sequence[str]) -> list[str]:
        """The same for many."""
        return [await self.made_real(text) for text in texts]


def with_real_ports(text: str, ports: Mapping[int, int]) -> str:
    """A text with container ports replaced by real ones: where a number stands alone, or after a local address."""
    for port, real in ports.items():
        local = rf"(?<=localhost:){port}(?!\d)|(?<=127\.0\.0\.1:){port}(?!\d)|(?<=0\.0\.0\.0:){port}(?!\d)"
        alone = rf"(?<![\w.:-]){port}(?![\w.:-])"
        text = re.sub(f"{local}|{alone}", str(real), text)
    return text
