"""The sandbox's robot: a service account with a key file, whose signatures are exchanged for tokens or taken as such.

Clients of Google's libraries that hold a service account's key either ask `token_uri` for a token or send a JWT that
they signed themselves; both arrive here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, jwt

from mlp_helpers.sandbox.google.calls import Call, Json, Query, Route, Service
from mlp_helpers.sandbox.google.errors import GoogleError
from mlp_helpers.sandbox.identities import Identities, Identity

TOKEN_SECONDS = 3600
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_CLOCK_SKEW_SECONDS = 60


class ServiceAccountKey:
    """The key, kept in the file that clients read (`GOOGLE_APPLICATION_CREDENTIALS`)."""

    def __init__(self, file: Path, *, project: str) -> None:
        self._file, self._project = file, project
        self.email = f"mlp-sandbox@{project}.iam.gserviceaccount.com"
        self._private_key = self._load() or _new_private_key()
        self._public_key = _public_key(self._private_key)

    def _load(self) -> str:
        if not self._file.exists():
            return ""
        try:
            return str(json.loads(self._file.read_text())["private_key"])
        except (ValueError, KeyError):
            return ""  # half-written when the sandbox was killed: nobody can have used it

    def write(self, token_uri: str) -> Path:
        """Write the key file; the address of the token endpoint may change from start to start."""
        content = {
            "type": "service_account",
            "project_id": self._project,
            "private_key_id": "mlp-sandbox",
            "private_key": self._private_key,
            "client_email": self.email,
            "client_id": "100000000000000000001",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._file.with_suffix(".tmp")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file, indent=2)
        draft.replace(self._file)
        return self._file

    def verify(self, signed: str) -> dict[str, Any] | None:
        """The claims of a JWT that this key signed and that is still good, else None."""
        try:
            claims: dict[str, Any] = _decode(signed, self._public_key)
        except (ValueError, exceptions.GoogleAuthError):
            return None
        return claims if claims.get("iss") == self.email else None


def _decode(signed: str, public_key: str) -> dict[str, Any]:
    decode: Any = jwt.decode
    return dict(decode(signed, certs=public_key, clock_skew_in_seconds=_CLOCK_SKEW_SECONDS))


def _new_private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _public_key(private_key: str) -> str:
    key = serialization.load_pem_private_key(private_key.encode(), password=None)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def is_jwt(token: str) -> bool:
    """Whether a token is signed content rather than a name for it."""
    return token.count(".") == 2


class Robot:
    """The service account as a caller: an admin of the sandbox's projects."""

    def __init__(self, key: ServiceAccountKey, identities: Identities) -> None:
        self._key, self._identities = key, identities

    def token(self) -> str:
        """Its access token."""
        return self._identities.issue(self._key.email, is_admin=True)

    def identity_of_jwt(self, signed: str) -> Identity | None:
        """The caller that a self-signed JWT proves."""
        return Identity(self._key.email, is_admin=True) if self._key.verify(signed) else None

    def access_token(self, call: Call) -> str:
        """The token of a caller; where the caller came with a JWT of this key, the access token that it stands for."""
        token = call.headers.get("authorization", "").partition(" ")[2].strip()
        return self.token() if is_jwt(token) else token

    def exchange(self, assertion: str) -> str:
        """An access token for a signed assertion."""
        if not self._key.verify(assertion):
            raise GoogleError("INVALID_ARGUMENT", "Invalid JWT Signature.", reason="invalid_grant")
        return self.token()


class TokenService(Service):
    """The OAuth token endpoint, `/token`."""

    name = "oauth2.googleapis.com"

    def __init__(self, robot: Robot) -> None:
        self._robot = robot

    def routes(self) -> tuple[Route, ...]:
        return (Route("POST", "", self._token),)

    async def admit(self, call: Call, route: Route, values: object) -> None:
        """Anyone may ask: the assertion is the proof."""

    async def _token(self, call: Call) -> Json:
        form = Query((await call.content()).decode())
        if form.text("grant_type") != _GRANT:
            raise GoogleError("INVALID_ARGUMENT", f"Unsupported grant type: {form.text('grant_type')}")
        token = self._robot.exchange(form.text("assertion"))
        return {"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}
