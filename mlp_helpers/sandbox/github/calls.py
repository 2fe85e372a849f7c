"""A call to the REST API and its reply, free of the web server: what routes read and return."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

from mlp_helpers.sandbox.github.errors import (
    GitHubError,
    archived,
    must_be_admin,
    not_found,
    requires_authentication,
    token_lacks_permission,
)
from mlp_helpers.sandbox.github.objects import BareRepository, Signature, now
from mlp_helpers.sandbox.github.store import Account, Json, Permission, Repository, Store

API = "/api/v3"
PAGE, LARGEST_PAGE = 30, 100


@dataclass(frozen=True)
class Reply:
    """What goes back: JSON, or bytes as they are."""

    value: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


NO_CONTENT = Reply(status=204)


@dataclass
class Call:
    """One call.

    Args:
        store: What GitHub remembers.
        method: HTTP method.
        path: Path below the API's root, percent-encoded as the client wrote it.
        query: Text after the question mark.
        headers: Headers, names in lower case.
        content: The body.
        site: Scheme and host that the client used; links in replies begin with it, which PyGithub insists on.
        account: Who calls; None without a token.
        rate: `limit`, `used`, `remaining` and `reset` of the caller's hour.
    """

    store: Store
    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    site: str = ""
    account: Account | None = None
    rate: Mapping[str, int] = field(default_factory=dict)

    @property
    def api(self) -> str:
        """Root of the API's links."""
        return self.site + API

    @property
    def login(self) -> str:
        """Who calls; a token is needed."""
        return self.caller.login

    @property
    def caller(self) -> Account:
        """The account that calls; a token is needed."""
        if self.account is None:
            raise requires_authentication()
        return self.account

    def parameter(self, name: str, default: str = "") -> str:
        """First value of a query parameter."""
        return parse_qs(self.query).get(name, [default])[0]

    def number(self, name: str, default: int) -> int:
        """A query parameter that is a positive whole number; anything else is the default, as on GitHub."""
        text = self.parameter(name)
        return int(text) if text.isdecimal() and int(text) > 0 else default

    def body(self) -> Json:
        """The body as a JSON object; an absent body is an empty one."""
        if not self.content.strip():
            return {}
        try:
            value = json.loads(self.content)
        except ValueError:
            raise GitHubError(400, "Problems parsing JSON") from None
        if not isinstance(value, dict):
            raise GitHubError(400, "Body should be a JSON object")
        return value

    def repository(
        self, owner: str, name: str, needed: Permission = Permission.READ, *, even_archived: bool = False
    ) -> Repository:
        """A repository that the caller may use so.

        Raises:
            GitHubError: 404 where the caller must not know of it, 403 where it is seen but not allowed.
        """
        repository = self.store.repository(owner, name)
        granted = self.store.permission(self.account, repository)
        if granted is Permission.NONE:
            raise not_found()
        if granted < needed:
            role = self.store.role(self.login, repository)
            raise must_be_admin() if role < needed else token_lacks_permission()
        if needed > Permission.READ and repository.settings["archived"] and not even_archived:
            raise archived()
        return repository

    def git(self, repository: Repository) -> BareRepository:
        """The Git side of a repository."""
        return BareRepository(self.store.path(repository))

    def signature(self, given: Mapping[str, Any] | None = None) -> Signature:
        """Author of a commit: as given, else the caller."""
        given = given or {}
        address = f"{self.login}@users.noreply.github.com"
        return Signature(given.get("name") or self.login, given.get("email") or address, _seconds(given.get("date")))

    def page(self, items: Sequence[Any] | Iterable[Any], show: Callable[[Any], Any], *, key: str = "") -> Reply:
        """One page of a list, with the links to its neighbours.

        Args:
            items: All of them; a lazy one is read no further than needed.
            show: Turns one into JSON.
            key: Where the answer is an object: the field that holds the list, beside `total_count`.
        """
        size = min(self.number("per_page", PAGE), LARGEST_PAGE)
        number = self.number("page", 1)
        start = (number - 1) * size
        total = len(items) if isinstance(items, Sequence) else None
        found = list(islice(items, start, start + size + 1))
        shown = [show(each) for each in found[:size]]
        links = self._links(number, more=len(found) > size, last=-(-total // size) if total is not None else None)
        headers = {"Link": links} if links else {}
        if key:
            return Reply({"total_count": total, key: shown}, headers=headers)
        return Reply(shown, headers=headers)

    def _links(self, number: int, *, more: bool, last: int | None) -> str:
        pages: dict[str, int] = {}
        if number > 1:
            pages |= {"prev": number - 1, "first": 1}
        if more:
            pages |= {"next": number + 1} | ({"last": last} if last else {})
        given = {name: values[0] for name, values in parse_qs(self.query).items()}
        return ", ".join(
            f'<{self.api}{self.path}?{urlencode({**given, "page": page})}>; rel="{relation}"'
            for relation, page in pages.items()
        )


Handler = Callable[..., Any]


@dataclass(frozen=True)
class Route:
    """A method and path of the API, and what answers it.

    Args:
        method: HTTP method.
        template: Path template: `{name}` is one segment, `{name=**}` may hold slashes (branches, paths).
        handler: Called with the call and the template's values by name; returns a `Reply` or JSON.
        scopes: Scopes of which a classic token needs one, as the answer's header lists them.
    """

    method: str
    template: str
    handler: Handler
    scopes: tuple[str, ...] = ("repo",)
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = re.split(r"\{(\w+)(=\*\*)?\}", self.template)
        pattern = re.escape(parts[0])
        for name, wide, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            pattern += f"(?P<{name}>{'.+?' if wide else '[^/]+?'}){re.escape(literal)}"
        object.__setattr__(self, "pattern", re.compile(pattern + r"/?\Z"))

    def values(self, method: str, path: str) -> dict[str, str] | None:
        """The template's values if the route answers this call."""
        match = self.pattern.match(path) if method == self.method else None
        return {name: unquote(value) for name, value in match.groupdict().items()} if match else None


def decode_content(text: str) -> bytes:
    """Content of a file as the API carries it."""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        raise GitHubError(422, "content is not valid Base64") from None


def _seconds(date: object) -> int:
    if not isinstance(date, str):
        return now()
    try:
        return int(datetime.fromisoformat(date).timestamp())
    except ValueError:
        raise GitHubError(422, f"Invalid date: {date}") from None
