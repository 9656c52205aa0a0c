"""Rejected connections: each gets one response, whatever it requests, and is closed."""

import asyncio
from typing import cast

from messaging_api.errors import MessagingError, Overloaded
from messaging_api.server.early_responses import error_bytes
from messaging_api.server.load import WorkerLoad
from messaging_api.web.http_errors import HttpsRequired

LINGER = 1.0
"""Seconds for a rejected client to send its request."""


class RejectedConnection(asyncio.Protocol):
    """A connection whose only response is `error`.

    It is sent after the first input: closing a connection with unread input resets it, and the response may be lost.
    """

    def __init__(self, load: WorkerLoad, error: MessagingError, reason: str) -> None:
        self._load = load
        self._error = error
        self._reason = reason

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request for a limited time; close at once if too many others wait."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._request_id = next(self._load.request_ids)
        self._load.audit.rejected(self._reason, peer[0] if isinstance(peer, tuple) else "", request_id=self._request_id)
        if len(self._load.rejected) < self._load.max_connections:
            self._load.rejected.add(self)
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._transport.abort)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Send the response, whatever the request is."""
        secure = self._transport.get_extra_info("sslcontext") is not None
        self._transport.write(error_bytes(self._error, self._request_id, self._load.date, secure=secure))
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self in self._load.rejected:
            self._load.rejected.remove(self)
            self._timer.cancel()


def over_limit(load: WorkerLoad) -> RejectedConnection:
    """Return a connection that is rejected because there are too many."""
    return RejectedConnection(load, Overloaded(), "connections")


def plain_on_tls_port(load: WorkerLoad) -> RejectedConnection:
    """Return a connection that tells a client to use https instead of plain HTTP."""
    return RejectedConnection(load, HttpsRequired(), "https_required")
