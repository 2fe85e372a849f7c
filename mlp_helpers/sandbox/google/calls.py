"""A call to a service and its reply, free of the web server: what routes read and return."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from mlp_helpers.sandbox.google.errors import GoogleError, invalid_argument, platform_body
from mlp_helpers.sandbox.identities import Identity

Json = dict[str, Any]


class Query:
    """The parameters of a URL, read by what they mean."""

    def __init__(self, text: str) -> None:
        self._values = parse_qs(text, keep_blank_values=True)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> Iterable[str]:
        """Names of the parameters given."""
        return self._values.keys()

    def text(self, name: str, default: str = "") -> str:
        """First value of a parameter."""
        return self._values.get(name, [default])[0]

    def texts(self, name: str) -> list[str]:
        """All values of a repeated parameter."""
        return self._values.get(name, [])

    def flag(self, name: str) -> bool:
        """A boolean; Python's client writes `True`, Go's `true`."""
        return self.text(name).lower() == "true"

    def number(self, name: str) -> int | None:
        """A whole number, or None where the parameter is absent."""
        if name not in self._values:
            return None
        try:
            return int(self.text(name))
        except ValueError:
            raise invalid_argument(f"Invalid value for {name}: {self.text(name)}") from None


async def no_body() -> AsyncIterator[bytes]:
    """The body of a call without one."""
    return
    yield b""


async def body_of(content: bytes) -> AsyncIterator[bytes]:
    """A body that is in memory already."""
    if content:
        yield content


@dataclass
class Call:
    """One call.

    Args:
        method: HTTP method.
        path: Path as the client wrote it (still percent-encoded), without the service's prefix.
        query: Parameters.
        headers: Headers, names in lower case.
        chunks: The body, read once.
        base_url: Scheme, host and any pod prefix that the client used; links in replies begin with it.
        identity: Who calls; set when the call is admitted.
        full_path: The path with the service's prefix, for messages.
    """

    method: str
    path: str
    query: Query
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: AsyncIterator[bytes] = field(default_factory=no_body)
    base_url: str = ""
    identity: Identity = field(default_factory=lambda: Identity(""))
    full_path: str = ""

    @classmethod
    def to(
        cls, method: str, target: str, *, headers: Mapping[str, str], chunks: AsyncIterator[bytes], base_url: str
    ) -> Call:
        """A call from a request line."""
        parts = urlsplit(target)
        path = parts.path or "/"
        return cls(method, path, Query(parts.query), headers, chunks, base_url, full_path=path)

    async def content(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks])

    async def json(self) -> Json:
        """The body as a JSON object; an absent body is an empty one."""
        text = await self.content()
        if not text.strip():
            return {}
        try:
            value = json.loads(text)
        except ValueError:
            raise invalid_argument("Invalid JSON payload received.") from None
        if not isinstance(value, dict):
            raise invalid_argument("Invalid JSON payload received. Root element must be a message.")
        return value


@dataclass(frozen=True)
class FilePart:
    """Bytes of a file, sent without holding them in memory."""

    path: Path
    start: int
    length: int


@dataclass(frozen=True)
class Reply:
    """What goes back."""

    status: int = 200
    content: bytes | FilePart = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON reply."""
    content = json.dumps(value, separators=(",", ":")).encode()
    return Reply(status, content, {"Content-Type": "application/json; charset=UTF-8", **(headers or {})})


Handler = Callable[..., Awaitable[Reply | Json]]

_SEGMENTS = {"*": "[^/]+?", "**": ".+?"}


@dataclass(frozen=True)
class Route:
    """A method and path template of a service's API, and what answers it.

    Args:
        method: HTTP method.
        template: Google's path template: `{name}` is one segment, `{name=**}` several, `{name=projects/*}` a shape.
        handler: Called with the call and the template's values by name.
        permission: IAM permission that the call needs; empty where the handler judges for itself.
    """

    method: str
    template: str
    handler: Handler
    permission: str = ""
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = re.split(r"\{([\w.]+)(?:=([^}]*))?\}", self.template)
        pattern = re.escape(parts[0])
        for name, shape, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            inner = "/".join(_SEGMENTS.get(part, re.escape(part)) for part in (shape or "*").split("/"))
            pattern += f"(?P<{name.replace('.', '__')}>{inner}){re.escape(literal)}"
        object.__setattr__(self, "pattern", re.compile(pattern + r"\Z"))

    def values(self, method: str, path: str) -> dict[str, str] | None:
        """The template's values if the route answers this call."""
        match = self.pattern.match(path) if method == self.method else None
        return {name: unquote(value) for name, value in match.groupdict().items()} if match else None


class Service:
    """A Google service: its routes, and the one place where a call is admitted.

    A subclass lists its routes, most specific first, and says in `admit` who may call what.
    """

    name = ""
    """Host name of the real service, such as `container.googleapis.com`."""

    def routes(self) -> Sequence[Route]:
        """The API, most specific template first."""
        raise NotImplementedError

    async def admit(self, call: Call, route: Route, values: Mapping[str, str]) -> None:
        """Let the call in, or raise what the real service would answer."""
        raise NotImplementedError

    def error_reply(self, call: Call, error: GoogleError) -> Reply:
        """A refusal in the service's own shape."""
        return json_reply(platform_body(error), error.code)
