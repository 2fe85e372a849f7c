"""Read a kubeconfig: where the API server is, whom to trust, who one is."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Connection:
    """How to reach one API server as one user; `authority` is the certificate to trust, as PEM text."""

    server: str
    tls: ssl.SSLContext | None
    authority: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None

    def bearer(self) -> str:
        """The token of this moment: a token file is read each time, because its owner renews it."""
        return self.token_file.read_text().strip() if self.token_file else self.token


def read_connection(kubeconfig: Path | Mapping[str, object]) -> Connection:
    """The connection of the current context.

    Args:
        kubeconfig: A file (YAML or JSON), or its content.

    Raises:
        KeyError: A part that the current context needs is missing.
    """
    content: Any = yaml.safe_load(kubeconfig.read_text()) if isinstance(kubeconfig, Path) else kubeconfig
    context = _named(content["contexts"], content["current-context"])["context"]
    cluster = _named(content["clusters"], context["cluster"])["cluster"]
    user = _named(content["users"], context["user"])["user"]
    token_file = user.get("tokenFile")
    authority = _authority(cluster)
    return Connection(
        cluster["server"].rstrip("/"),
        _tls(cluster, user, authority),
        authority=authority,
        token=user.get("token", ""),
        token_file=Path(token_file) if token_file else None,
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = next((entry for entry in entries if entry["name"] == name), None)
    if found is None:
        raise KeyError(f"the kubeconfig has no entry {name!r}")
    return found


def _authority(cluster: Mapping[str, Any]) -> str:
    if data := cluster.get("certificate-authority-data"):
        return base64.b64decode(data).decode()
    file = cluster.get("certificate-authority")
    return Path(file).read_text() if file else ""


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], authority: str) -> ssl.SSLContext | None:
    if not cluster["server"].startswith("https:"):
        return None
    context = ssl.create_default_context(cadata=authority or None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if user.get("client-certificate") and user.get("client-key"):
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    return context
