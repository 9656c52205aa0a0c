"""Sockets and the HTTP server of one process: uvicorn, with our answer to what is not HTTP."""

import asyncio
import os
import signal
import socket

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from messaging_api.errors import Invalid, SettingsError
from messaging_api.web.app import SECURITY
from messaging_api.web.problems import problem

GRACE = 25
"""Seconds that requests in flight get to finish when the service stops."""


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection."""

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed gets a problem like any other, and the connection ends."""
        response = problem(Invalid("This is not HTTP/1.1 as in RFC 9112."))
        headers = (
            *response.headers,
            *SECURITY,
            (b"content-length", b"%d" % len(response.body)),
            (b"connection", b"close"),
            (b"x-request-id", os.urandom(8).hex().encode()),
        )
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[400], lines, response.body))
        self.transport.close()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises SettingsError."""
    try:
        return socket.create_server((host, port), family=_family(host, port), backlog=2048, reuse_port=False)
    except OSError as error:
        raise SettingsError(f"Cannot listen on {host} port {port}: {error.strerror}.") from None


def _family(host: str, port: int) -> socket.AddressFamily:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]


class HttpServer(uvicorn.Server):
    """Serves `app` on a socket until told to stop by SIGTERM, or because `alive`, a pipe's end, is closed.

    The other end of the pipe is held by the supervisor alone: if it dies, however it dies, its children stop.
    """

    def __init__(self, app: "object") -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]  # uvicorn's own ASGI types are narrower than the standard
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=GRACE,
            )
        )

    async def run_on(self, listener: socket.socket, alive: int) -> None:
        """Serve. Requests in flight when it is told to stop are finished."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_reader(alive, self._orphaned, alive)
        await self._serve([listener])

    def _stop(self) -> None:
        self.should_exit = True

    def _orphaned(self, alive: int) -> None:
        asyncio.get_running_loop().remove_reader(alive)
        self._stop()
