"""What a handler takes and gives: one request, one response, and the way from and to ASGI."""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Literal, NamedTuple

from messaging_api.core.ratelimit import UNLIMITED, Permit

Header = tuple[bytes, bytes]
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


HOST = re.compile(rb"([0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
"""A host and perhaps a port, as in Host and in URLs (RFC 9110, section 7.2)."""
WHOLE = "messaging_api.whole"
"""The extension of the ASGI scope by which an answer is handed over whole: `await whole(status, lines, body)`."""


class ClientAddress(NamedTuple):
    """Who asks: the address for the log, "" without one, and the key that limits go by."""

    address: str
    key: bytes


class Response(NamedTuple):
    """An answer. `headers` holds what is its own (names in lower case); `app.py` adds what every answer carries.

    `headers` is one of few tuples that many answers share, so that their lines are made once; what differs from answer
    to answer is in `extra`. `tag` names the message concerned in the log, `event` what became of it in the metrics;
    `reason`, of an answer that tells an error, is its code in both.
    """

    status: int
    headers: tuple[Header, ...]
    body: bytes
    tag: str | None = None
    event: Literal["created", "read", "burned"] | None = None
    extra: tuple[Header, ...] = ()
    reason: str | None = None


def joined(headers: Iterable[Header]) -> bytes:
    """Header lines (RFC 9112, section 5). Ours hold no CR or LF: what clients send gets into none unchecked."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class Request:
    """One request. `headers` has lower-case names; of a name that came twice the last value counts.

    `permit` is what a handler asks for when it looks something up.
    """

    __slots__ = ("client", "headers", "method", "path", "permit", "query", "receive", "request_id", "scope")

    def __init__(self, scope: Scope, receive: Receive, request_id: str, client: ClientAddress) -> None:
        self.scope = scope
        self.receive = receive
        self.request_id = request_id
        self.client = client
        self.permit: Permit = UNLIMITED
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])


Handler = Callable[[Request, str], Awaitable[Response]]
"""Answers a request; the second argument is what the address names: /msg/<name>."""
