"""Bearer tokens: static ones of users, and signed ones of service accounts."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from mlp_helpers.sandbox.kubernetes.access import User
from mlp_helpers.sandbox.kubernetes.certificates import write_private
from mlp_helpers.sandbox.kubernetes.errors import cause, invalid
from mlp_helpers.sandbox.kubernetes.metadata import Clock, timestamp
from mlp_helpers.sandbox.kubernetes.rbac import AUTHENTICATED, service_account_groups
from mlp_helpers.sandbox.kubernetes.store import Store

__all__ = ["ISSUER", "Tokens"]

Object = dict[str, Any]

ISSUER = "https://kubernetes.default.svc"
DEFAULT_SECONDS = 3600
MINIMUM_SECONDS = 600
_STATIC = "token:"
_PREFIX = "system:serviceaccount:"


class Tokens:
    """Issues tokens and knows whose they are.

    Args:
        folder: Holds the signing key.
        store: Keeps the static tokens, and the service accounts that the signed ones speak for.
        clock: The present.
        others: The user behind a token that this server did not issue, or None.
    """

    def __init__(self, folder: Path, store: Store, *, clock: Clock, others: Callable[[str], User | None]) -> None:
        self._store, self._clock, self._others = store, clock, others
        self._key = _signing_key(folder / "service-account.key")
        self._adopted: dict[str, User] = {}
        self._users = {token: key for key, token in store.settings(_STATIC).items()}

    def issue(self, user: str, groups: Sequence[str]) -> str:
        """A token for a user with groups; the same for the same ones."""
        key = _STATIC + json.dumps([user, sorted(groups)])
        token = self._store.setting(key, lambda: secrets.token_urlsafe(24)) or ""
        self._users[token] = key
        return token

    def adopt(self, token: str, user: User) -> None:
        """Accept a token that somebody else made up, as long as this server runs."""
        self._adopted[token] = user

    def authenticate(self, token: str) -> User | None:
        """The user behind a token, or None if nobody is."""
        if token in self._adopted:
            return self._adopted[token]
        if key := self._users.get(token):
            name, groups = json.loads(key.removeprefix(_STATIC))
            return User(name, (*groups, AUTHENTICATED))
        found = self._service_account(token) if token.count(".") == 2 else None
        return found or self._others(token)

    def request(self, account: Object, body: Object) -> Object:
        """Answer a TokenRequest for a service account.

        Raises:
            ApiError: 422 for a time that is too short.
        """
        spec = dict(body.get("spec") or {})
        seconds = int(spec.get("expirationSeconds") or DEFAULT_SECONDS)
        if seconds < MINIMUM_SECONDS:
            why = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            causes = [cause("FieldValueInvalid", "spec.expirationSeconds", why)]
            raise invalid("TokenRequest", "authentication.k8s.io", "", causes)
        metadata, now = account["metadata"], self._clock()
        end = now + timedelta(seconds=seconds)
        audiences = list(spec.get("audiences") or [ISSUER])
        claims = {
            "aud": audiences,
            "exp": int(end.timestamp()),
            "iat": int(now.timestamp()),
            "iss": ISSUER,
            "jti": secrets.token_hex(16),
            "kubernetes.io": _about(account, spec.get("boundObjectRef")),
            "nbf": int(now.timestamp()),
            "sub": f"{_PREFIX}{metadata['namespace']}:{metadata['name']}",
        }
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "creationTimestamp": timestamp(now),
            },
            "spec": {
                **spec,
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {"token": self._sign(claims), "expirationTimestamp": timestamp(end)},
        }

    def _sign(self, claims: Object) -> str:
        text = f"{_encode(json.dumps({'alg': 'ES256', 'typ': 'JWT'}).encode())}.{_encode(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _service_account(self, token: str) -> User | None:
        """The service account of a signed token, if the token is valid and the account still exists."""
        claims = self._verified(token)
        if claims is None or claims.get("iss") != ISSUER or ISSUER not in claims.get("aud", ()):
            return None
        if (
            not claims.get("nbf", 0) <= self._clock().timestamp() + 5
            or claims.get("exp", 0) <= self._clock().timestamp()
        ):
            return None
        bound = claims["kubernetes.io"]
        namespace, name = bound["namespace"], bound["serviceaccount"]["name"]
        account = self._store.get("serviceaccounts", namespace, name)
        if account is None or account["metadata"]["uid"] != bound["serviceaccount"]["uid"]:
            return None
        if "pod" in bound and not self._pod_lives(namespace, bound["pod"]):
            return None
        extra: dict[str, list[str]] = {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]}
        if "pod" in bound:
            extra["authentication.kubernetes.io/pod-name"] = [bound["pod"]["name"]]
            extra["authentication.kubernetes.io/pod-uid"] = [bound["pod"]["uid"]]
        groups = (*service_account_groups(namespace), AUTHENTICATED)
        return User(f"{_PREFIX}{namespace}:{name}", tuple(dict.fromkeys(groups)), account["metadata"]["uid"], extra)

    def _pod_lives(self, namespace: str, bound: Object) -> bool:
        pod = self._store.get("pods", namespace, bound["name"])
        return pod is not None and pod["metadata"]["uid"] == bound["uid"]

    def _verified(self, token: str) -> Object | None:
        head, _, signature = token.rpartition(".")
        try:
            raw = _decode(signature)
            der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            self._key.public_key().verify(der, head.encode(), ec.ECDSA(hashes.SHA256()))
            claims: Object = json.loads(_decode(head.partition(".")[2]))
        except (InvalidSignature, ValueError):
            return None  # not ours
        return claims


def _about(account: Object, reference: Object | None) -> Object:
    metadata = account["metadata"]
    about: Object = {
        "namespace": metadata["namespace"],
        "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
    }
    if reference and reference.get("kind") == "Pod":
        about["pod"] = {"name": reference.get("name", ""), "uid": reference.get("uid", "")}
    return about


def _signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key
    made = ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, pem)
    return made


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
