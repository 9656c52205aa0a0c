"""Errors of HTTP itself, which no other part of the service knows. `problems.py` tells how each is answered."""

from messaging_api.errors import MessagingError


class UnknownAddress(MessagingError):
    """The path names nothing."""


class MethodNotAllowed(MessagingError):
    """The path does not have this method; `allow` names those that it has."""

    def __init__(self, allow: str) -> None:
        super().__init__(f"This address has {allow}.")
        self.allow = allow


class PlainHttp(MessagingError):
    """A request came over plain HTTP to the port that redirects to https, and must not be served there."""


class HttpsRequired(MessagingError):
    """Plain HTTP came to a port that speaks TLS."""


class HeadTooLarge(MessagingError):
    """The head of the request is longer than `limit` bytes, or has more than `lines` header lines."""

    def __init__(self, limit: int, lines: int) -> None:
        super().__init__(f"Request line and headers may have at most {limit} bytes and {lines} lines.")


class BodyTooLong(MessagingError):
    """The body is longer than its handler takes. The handler answers with an error of its own."""


class UnsupportedContentEncoding(MessagingError):
    """The body is compressed (RFC 9110, section 8.4)."""


class UnsupportedTransferCoding(MessagingError):
    """The body has a transfer coding other than chunked (RFC 9112, section 6.1)."""
