"""Requests, header lines and counters of requests without a connection or a store."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from messaging_api.core.ratelimit import WINDOW_MS, CountRequest, PendingCount, WindowCounts
from messaging_api.errors import IncompleteBody, StoreError
from messaging_api.web.http_errors import BodyTooLong
from messaging_api.web.types import Request


class WholeBody:
    """A body that is complete; None for one that breaks off."""

    def __init__(self, content: bytes | None) -> None:
        self._content = content

    async def read(self, limit: int) -> bytes:
        """See `web.types.RequestBody`."""
        if self._content is None:
            raise IncompleteBody
        if len(self._content) > limit:
            raise BodyTooLong
        return self._content


class FakeCounters:
    """Counters of this process; `left` is ms until every window ends, `error` replaces the counts."""

    def __init__(self) -> None:
        self.left = WINDOW_MS
        self.error: StoreError | None = None
        self.requests: list[CountRequest] = []
        self._counts: Counter[tuple[bytes, str | None]] = Counter()

    def count(self, pending: PendingCount) -> None:
        """Count at once, and give the counts in the next turn."""
        self.requests.append(pending.request)
        client, add, look = pending.request
        self._counts[client, add] += 1
        counts = WindowCounts(self._counts[client, add], self.left, self._counts[client, look], self.left)
        asyncio.get_running_loop().call_soon(pending.resolve, self.error or (counts, 0))


def request_to(
    path: str, method: str = "GET", headers: Mapping[bytes, bytes] | None = None, body: bytes | None = b""
) -> Request:
    """Return a request from 192.0.2.1, as the server hands it to the application."""
    return Request(
        method,
        path,
        b"",
        headers or {},
        WholeBody(body),
        host=b"msg.example",
        peer="192.0.2.1",
        secure=True,
        request_id="0123456789abcdef",
    )


def header_fields(lines: bytes) -> dict[bytes, bytes]:
    """Return the fields of header lines, each of which must be there once only."""
    fields = [line.split(b": ", 1) for line in lines.removesuffix(b"\r\n").split(b"\r\n") if lines]
    assert len({name for name, _ in fields}) == len(fields), lines
    return dict(fields)
