"""The sandbox's own API: an admin makes people, so that least privilege can be tried as someone else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlp_helpers.sandbox.google.calls import Call, Json, Route, Service
from mlp_helpers.sandbox.google.errors import GoogleError, invalid_argument
from mlp_helpers.sandbox.identities import Identities


class SandboxService(Service):
    """`POST /sandbox/identities {"email", "groups"}` gives the token of an identity."""

    name = "sandbox"

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    def routes(self) -> Sequence[Route]:
        return (Route("POST", "/identities", self._issue),)

    async def admit(self, call: Call, route: Route, values: Mapping[str, str]) -> None:
        if not call.identity.is_admin:
            raise GoogleError("PERMISSION_DENIED", "Only an owner of the sandbox makes identities.")

    async def _issue(self, call: Call) -> Json:
        body = await call.json()
        email, groups = body.get("email"), body.get("groups") or []
        if not isinstance(email, str) or not email or not all(isinstance(group, str) for group in groups):
            raise invalid_argument("An identity has an email and a list of groups.")
        if email == call.identity.email:
            raise invalid_argument("This is your own identity.")
        return {"email": email, "token": self._identities.issue(email, groups)}
