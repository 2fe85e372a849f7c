"""Batches: many calls in one multipart/mixed body, each answered on its own."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus

from mlp_helpers.sandbox.google.calls import Call, Reply, body_of
from mlp_helpers.sandbox.google.storage import errors

_BOUNDARY = "batch_mlp_sandbox"
_MOST_CALLS = 100

Dispatch = Callable[[Call], Awaitable[Reply]]


async def answer_batch(call: Call, dispatch: Dispatch) -> Reply:
    """Answer each inner call through `dispatch` and wrap the replies."""
    content = b"Content-Type: " + call.headers.get("content-type", "").encode() + b"\r\n\r\n" + await call.content()
    batch = BytesParser().parsebytes(content)
    if not batch.is_multipart():
        raise errors.invalid(
            "Failed to parse batch request, error: the content type is not multipart/mixed.", "parseError"
        )
    parts = [part for part in batch.walk() if part is not batch]
    if len(parts) > _MOST_CALLS:
        raise errors.invalid(f"The batch request has {len(parts)} calls; at most {_MOST_CALLS} are allowed.")
    replies = [_part(part.get("Content-ID", ""), await dispatch(_inner_call(call, part))) for part in parts]
    body = b"".join(replies) + f"--{_BOUNDARY}--\r\n".encode()
    return Reply(200, body, {"Content-Type": f"multipart/mixed; boundary={_BOUNDARY}"})


def _inner_call(outer: Call, part: Message) -> Call:
    payload = part.get_payload(decode=True)
    head, _, body = (payload if isinstance(payload, bytes) else b"").lstrip().replace(b"\r\n", b"\n").partition(b"\n\n")
    request, *lines = head.decode().split("\n")
    match = re.match(r"(\w+) (\S+)", request)
    if not match:
        raise errors.invalid(f"Failed to parse batch request, error: no request line in {request!r}.", "parseError")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    target = re.sub(r"^https?://[^/]+", "", match[2])
    inherited = {"authorization": outer.headers.get("authorization", "")}
    return Call.to(match[1], target, headers=inherited | headers, chunks=body_of(body), base_url=outer.base_url)


def _part(content_id: str, reply: Reply) -> bytes:
    assert isinstance(reply.content, bytes)
    head = [f"--{_BOUNDARY}", "Content-Type: application/http"]
    if content_id:
        head.append(f"Content-ID: <response-{content_id.strip('<>')}>")
    inner = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}", f"Content-Length: {len(reply.content)}"]
    inner += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*head, "", *inner, "", ""]).encode() + reply.content + b"\r\n"
