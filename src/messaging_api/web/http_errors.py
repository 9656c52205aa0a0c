"""Errors of HTTP itself, which no other part of the service knows. `problems.py` maps each to a response."""

from messaging_api.errors import InvalidRequest, MessagingError


class UnclearRequest(InvalidRequest):
    """The request may mean something else than it says; `command` is one that works, with {url} for the service."""

    def __init__(self, text: str, command: str) -> None:
        super().__init__(text)
        self.command = command


class UnknownAddress(MessagingError):
    """No resource has this path."""


class MethodNotAllowed(MessagingError):
    """The path does not support this method; `allow` lists those that it does, and `command` is one that works."""

    def __init__(self, allow: str, command: str = "") -> None:
        super().__init__(f"This address has {allow}.")
        self.allow = allow
        self.command = command


class PlainHttp(MessagingError):
    """A request came over plain HTTP to the port that redirects to https, and must not be served there."""


class HttpsRequired(MessagingError):
    """A plain HTTP request came to a TLS port."""


class HeadTooLarge(MessagingError):
    """The head of the request is longer than `limit` bytes, or has more than `lines` header lines."""

    def __init__(self, limit: int, lines: int) -> None:
        super().__init__(f"Request line and headers may have at most {limit} bytes and {lines} lines.")


class BodyTooLong(MessagingError):
    """The body is longer than its handler accepts. The handler raises another error for the response."""


class UnsupportedContentEncoding(MessagingError):
    """The body is compressed (RFC 9110, section 8.4)."""


class UnsupportedTransferCoding(MessagingError):
    """The body has a transfer coding other than chunked (RFC 9112, section 6.1)."""
