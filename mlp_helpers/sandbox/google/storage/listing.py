"""Listing objects: prefix, delimiter, pages, versions, globs."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from mlp_helpers.sandbox.google.calls import Query
from mlp_helpers.sandbox.google.storage import errors
from mlp_helpers.sandbox.google.storage.resources import Json

_PAGE = 1000


@dataclass(frozen=True)
class Listing:
    """What a list call asks for."""

    prefix: str = ""
    delimiter: str = ""
    start: str = ""
    end: str = ""
    glob: str = ""
    versions: bool = False
    trailing_delimiter: bool = False
    size: int = _PAGE
    token: str = ""

    @classmethod
    def of(cls, query: Query) -> Listing:
        """Read the parameters of a list call."""
        if query.flag("softDeleted"):
            raise errors.invalid("not emulated in the sandbox: soft-deleted objects")
        size = query.number("maxResults")
        if size is not None and size < 0:
            raise errors.invalid(f"Invalid value for maxResults: {size}")
        return cls(
            prefix=query.text("prefix"),
            delimiter=query.text("delimiter"),
            start=query.text("startOffset"),
            end=query.text("endOffset"),
            glob=query.text("matchGlob"),
            versions=query.flag("versions"),
            trailing_delimiter=query.flag("includeTrailingDelimiter"),
            size=min(size or _PAGE, _PAGE),
            token=query.text("pageToken"),
        )


@dataclass
class Page:
    """One page of a listing."""

    items: list[Json] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    next_token: str = ""


def list_objects(connection: sqlite3.Connection, bucket: str, listing: Listing) -> Page:
    """One page: names in the order of their bytes, versions of a name from old to new."""
    page = Page()
    glob = glob_pattern(listing.glob) if listing.glob else None
    name, generation = _position(listing.token)
    skip = name if name.endswith(listing.delimiter) and listing.delimiter and generation < 0 else ""
    for resource in _rows(connection, bucket, listing, name, generation):
        if skip and resource["name"].startswith(skip):
            continue
        if glob and not glob.fullmatch(resource["name"]):
            continue
        group = _group(resource["name"], listing)
        if group and page.prefixes and page.prefixes[-1] == group:
            _add_item(page, resource, listing, group)
            continue
        if len(page.items) + len(page.prefixes) >= listing.size:
            page.next_token = _token(name, generation)
            return page
        if group:
            page.prefixes.append(group)
            name, generation = group, -1
            _add_item(page, resource, listing, group)
        else:
            page.items.append(resource)
            name, generation = resource["name"], int(resource["generation"])
    return page


def _add_item(page: Page, resource: Json, listing: Listing, group: str) -> None:
    """A folder's placeholder object is an item as well, if asked for."""
    if listing.trailing_delimiter and resource["name"] == group:
        page.items.append(resource)


def _rows(connection: sqlite3.Connection, bucket: str, listing: Listing, name: str, generation: int) -> Iterator[Json]:
    first = max(listing.prefix, listing.start)
    rows = connection.execute(
        "SELECT name, body FROM objects WHERE bucket = ? AND name >= ? AND (name > ? OR (name = ? AND generation > ?)) "
        "AND (live = 1 OR ?) ORDER BY name, generation",
        (bucket, first, name, name, generation, listing.versions),
    )
    for found, body in rows:
        if not found.startswith(listing.prefix) or (listing.end and found >= listing.end):
            return
        yield json.loads(body)


def _group(name: str, listing: Listing) -> str:
    """The common prefix that stands for a name, or nothing."""
    head, delimiter, _ = name[len(listing.prefix) :].partition(listing.delimiter) if listing.delimiter else ("", "", "")
    return listing.prefix + head + delimiter if delimiter else ""


def _token(name: str, generation: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([name, generation]).encode()).decode()


def _position(token: str) -> tuple[str, int]:
    if not token:
        return "", -1
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise errors.invalid(f"Invalid page token: {token}") from None
    return str(name), int(generation)


def glob_pattern(glob: str) -> re.Pattern[str]:
    """A matchGlob as a regular expression: `*` stays within a folder, `**` does not."""
    parts = re.split(r"(\*\*/?|\*|\?|\[[^\]]+\]|\{[^}]*\})", glob)
    return re.compile("".join(_glob_part(part) for part in parts))


def _glob_part(part: str) -> str:
    fixed = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    if part in fixed:
        return fixed[part]
    if part[:1] == "[":
        return "[" + part[1:-1].replace("!", "^", 1).replace("\\", "\\\\") + "]" if part[1] == "!" else part
    if part[:1] == "{":
        return "(?:" + "|".join(glob_pattern(option).pattern for option in part[1:-1].split(",")) + ")"
    return re.escape(part)
