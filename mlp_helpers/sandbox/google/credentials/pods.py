"""A pod's way to its identity: a secret path prefix, given to the pod by its environment.

On GKE a pod's metadata server knows which pod asks. Here all pods share 127.0.0.1, so each principal has a prefix of
its own, `/pods/SECRET`: under it are a metadata server that hands out the principal's token, and every service. The
services are there because Python's storage client, told of an emulator, sends no token; the prefix stands for it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from pathlib import Path

from mlp_helpers.sandbox.google.calls import Call
from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.errors import unauthenticated
from mlp_helpers.sandbox.identities import Identities

_SECRETS, _PRINCIPALS = "pod-secrets", "pod-principals"
_PATH = re.compile(r"(?P<prefix>/pods/(?P<secret>[^/]+))(?P<rest>/.*|)")


class PodIdentities:
    """The secret prefix of each principal; the same over restarts, since pods outlive the sandbox's process."""

    def __init__(self, documents: Documents, identities: Identities, *, empty_folder: Path) -> None:
        self._documents, self._identities, self._empty_folder = documents, identities, empty_folder
        self._tokens: dict[str, str] = {}

    def environment(self, principal: str, *, host: str) -> dict[str, str]:
        """Variables that make a pod's Google clients act as a principal.

        Args:
            principal: `principal://iam.googleapis.com/projects/…/subject/ns/NS/sa/KSA`.
            host: Host and port of the Google server.
        """
        root = f"{host}/pods/{self._secret(principal)}"
        self._empty_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return {
            "GCE_METADATA_HOST": root,
            "GCE_METADATA_IP": root,
            "NO_GCE_CHECK": "false",
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "STORAGE_EMULATOR_HOST": f"http://{root}",
            # google-auth looks at the person's own credentials before the metadata server; a pod must not find them.
            "CLOUDSDK_CONFIG": str(self._empty_folder),
        }

    def _secret(self, principal: str) -> str:
        known = self._documents.get(_PRINCIPALS, principal)
        if known:
            return str(known["secret"])
        secret = secrets.token_urlsafe(24)
        with self._documents.transaction():
            self._documents.put(_PRINCIPALS, principal, {"secret": secret})
            self._documents.put(_SECRETS, secret, {"principal": principal})
        return secret

    def resolve(self, call: Call) -> Call:
        """A call under a pod's prefix as a call of its principal; other calls as they are."""
        match = _PATH.fullmatch(call.path)
        if not match:
            return call
        headers = {"authorization": f"Bearer {self._token(match['secret'])}", **call.headers}
        path = match["rest"] or "/"
        if path == "/":
            path = "/computeMetadata/"  # google-auth's way to ask "is there a metadata server"
        return replace(call, path=path, headers=headers, base_url=call.base_url + match["prefix"])

    def _token(self, secret: str) -> str:
        if secret not in self._tokens:
            known = self._documents.get(_SECRETS, secret)
            if not known:
                raise unauthenticated()
            self._tokens[secret] = self._identities.issue(known["principal"])
        return self._tokens[secret]
