"""Responses, and all their header lines: no other module makes them."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Literal

import msgspec
from msgspec import Struct

from messaging_api.web.types import Header

SECURITY: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"permissions-policy", b"interest-cohort=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-robots-tag", b"noindex"),
)
"""On every response (OWASP REST Security Cheat Sheet), unless the response has its own field of that name.

X-Robots-Tag keeps messages out of the indexes of search engines that ignore /robots.txt.
"""

HSTS: Header = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
"""On every response over TLS (RFC 6797, section 7.2: never over plain HTTP)."""

Event = Literal["created", "read", "resumed", "burned"]
"""What became of a message, in the metrics."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def lines(headers: Iterable[Header]) -> bytes:
    """Return header lines (RFC 9112, section 5). Values contain no CR or LF: text from clients is validated before."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def json_body(value: Struct) -> bytes:
    """Return `value` as JSON and a newline, so that the prompt of a shell begins a line of its own."""
    return _encode_lines([value])


_encode_lines = msgspec.json.Encoder().encode_lines


class HeaderBlock:
    """The header lines that all responses of one kind share, made once: over plain HTTP and over TLS."""

    __slots__ = ("plain", "secure")

    def __init__(self, *headers: Header) -> None:
        own = {name for name, _ in headers}
        self.plain = lines([*headers, *(header for header in SECURITY if header[0] not in own)])
        self.secure = self.plain + lines([HSTS])


class Response:
    """One response.

    `block` holds what the responses of its kind have in common, `lines` the header lines of this one alone. `tag` names
    the message concerned in the log, `event` what became of it in the metrics; `reason` is the code of an error in
    both. `close` ends the connection. Each request gets a response of its own, so any caller may add to it.
    """

    __slots__ = ("block", "body", "close", "event", "lines", "reason", "status", "tag")

    def __init__(  # noqa: PLR0913 each is a fact of its own
        self,
        status: int,
        block: HeaderBlock,
        body: bytes,
        *,
        lines: bytes = b"",
        tag: str | None = None,
        event: Event | None = None,
        reason: str | None = None,
        close: bool = False,
    ) -> None:
        self.status = status
        self.block = block
        self.body = body
        self.lines = lines
        self.tag = tag
        self.event = event
        self.reason = reason
        self.close = close


def encode(  # noqa: PLR0913, PLR0917 each is a fact of its own, and keywords would cost as much as the rest
    response: Response,
    request_id: str,
    date: bytes,
    secure: bool,  # noqa: FBT001
    close: bool,  # noqa: FBT001
    head: bool,  # noqa: FBT001
) -> bytes:
    """Return the bytes of a response. `date` is a header line; `head` omits the body (RFC 9110, section 9.3.2)."""
    block, body = response.block, response.body
    return b"%b%b%b%b%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b" % (
        _STATUS_LINES[response.status],
        date,
        block.secure if secure else block.plain,
        response.lines,
        b"connection: close\r\n" if close else b"",
        len(body),
        request_id.encode(),
        b"" if head else body,
    )
