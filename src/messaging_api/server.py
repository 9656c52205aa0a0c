"""Sockets and the HTTP server of one process: uvicorn, with our protocol."""

import asyncio
import contextlib
import signal
import socket

import uvicorn

from messaging_api.errors import SettingsError
from messaging_api.http_protocol import Protocol

GRACE = 25
"""Seconds that requests in flight get to finish when the service stops."""


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
                proxy_headers=False,
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve also those who connected already and wait to be accepted, then stop as uvicorn does."""
        for listener in sockets or []:
            await self._accept_all(listener)
        await super().shutdown(sockets)

    async def _accept_all(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = listener.accept()
                await loop.connect_accepted_socket(self._protocol, accepted)

    def _protocol(self) -> Protocol:
        return Protocol(self.config, self.server_state, {})

    def _stop(self) -> None:
        self.should_exit = True

    def _orphaned(self, alive: int) -> None:
        asyncio.get_running_loop().remove_reader(alive)
        self._stop()
