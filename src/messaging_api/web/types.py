"""One HTTP request, as it is passed to handlers."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from messaging_api.core.ratelimit import RateLimitCheck

Header = tuple[bytes, bytes]
"""A header field: its name in lower case, and its value."""


class ClientAddress(NamedTuple):
    """The client: its address for the log, "" for a local socket, and its key for rate limits."""

    address: str
    key: bytes


class RequestBody(Protocol):
    """The body of a request, which may still be arriving."""

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises BodyTooLong as soon as it is known to have more than `limit` bytes; IncompleteBody if it ends early.
        """
        ...


class Request:
    """One request.

    `headers` has names in lower case; repeated list headers are joined with commas (RFC 9110, section 5.3). `host` is
    the validated authority that the client asked for, b"" for HTTP/1.0 without one; `secure` says whether by https.
    `peer` is the address of the other end of the connection, "" without one. Once it is known whom the peer speaks for,
    `client` is set, and `host` and `secure` are those of the client's own request. `check` is the rate limit check of
    the request, if it has one.
    """

    __slots__ = (
        "body",
        "check",
        "client",
        "headers",
        "host",
        "method",
        "path",
        "peer",
        "query",
        "request_id",
        "secure",
    )

    def __init__(  # noqa: PLR0913, PLR0917 each is a fact of its own
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Mapping[bytes, bytes],
        body: RequestBody,
        host: bytes,
        peer: str,
        secure: bool,  # noqa: FBT001 keywords would cost as much as all the rest
        request_id: str,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.host = host
        self.peer = peer
        self.secure = secure
        self.request_id = request_id
        self.client = _UNKNOWN
        self.check: RateLimitCheck | None = None


_UNKNOWN = ClientAddress("", b"-")
