"""The HTTP server of one process: it accepts on its listeners, within the limits of its load, until it is stopped."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import partial
from typing import NamedTuple

from messaging_api.core.background import OnFailure, raise_failure, start_endless_task
from messaging_api.server.http1 import Application, HttpConnection
from messaging_api.server.load import WorkerLoad
from messaging_api.server.sockets import BACKLOG
from messaging_api.server.timeouts import Phase, Timeouts, every
from messaging_api.server.tls import ReloadingCertificate, TlsServer

GRACE = 25
"""Seconds for requests in flight to finish when the service stops."""
_CHECK = 1.0
"""Seconds between two checks of the timeouts, and between two reports of rejections."""


class Listener(NamedTuple):
    """A listening socket, the application that is served on it, and the certificate for https."""

    socket: socket.socket
    application: Application
    certificate: ReloadingCertificate | None = None


class ServerHandlers(NamedTuple):
    """`on_event` gets the name and the fields of an event for the log; see `core/background.py` for `on_failure`."""

    on_event: Callable[..., None]
    on_failure: OnFailure = raise_failure


class HttpServer:
    """A server of `listeners` that runs until SIGTERM, or until `alive`, the end of a pipe, is closed.

    The supervisor alone holds the other end of the pipe: if it dies, however it dies, its children stop. `timeouts` are
    in seconds.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        load: WorkerLoad,
        timeouts: Mapping[Phase, float],
        handlers: ServerHandlers,
    ) -> None:
        self._listeners = listeners
        self._load = load
        self._timeouts = timeouts
        self._handlers = handlers
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._set_date()

    async def run(self, alive: int) -> None:
        """Serve until stopped. Then finish the requests in flight, for `GRACE` seconds at most."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_reader(alive, self._orphaned, alive)
        self._load.on_connection_lost = self._connection_lost
        timeouts = Timeouts(self._timeouts, loop.time)
        check = partial(self._check, timeouts)
        check()  # before anybody connects: the certificate is the parent's, which may have expired since
        checking = start_endless_task("timeouts", every(_CHECK, check), self._handlers.on_failure)
        servers = [await self._open(listener) for listener in self._listeners]
        await self._stopping.wait()
        for listener, server in zip(self._listeners, servers, strict=True):
            await (server.accept_all() if isinstance(server, TlsServer) else self._accept_all(listener))
            server.close()
        await self._finish()
        checking.cancel()
        self._load.audit.report()

    async def _open(self, listener: Listener) -> "asyncio.AbstractServer | TlsServer":
        connect = partial(HttpConnection, listener.application, self._load)
        if listener.certificate is None:
            return await asyncio.get_running_loop().create_server(connect, sock=listener.socket, backlog=BACKLOG)
        return TlsServer(listener.socket, listener.certificate, connect, self._load, self._timeouts[Phase.HEAD])

    async def _accept_all(self, listener: Listener) -> None:
        """Serve also the clients that have connected and wait to be accepted, as far as there are descriptors."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listener.socket.accept()
                await loop.connect_accepted_socket(partial(HttpConnection, listener.application, self._load), accepted)

    async def _finish(self) -> None:
        for connection in tuple(self._load.connections):
            connection.shut_down()
        self._connection_lost()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self._ended.wait()
        for connection in tuple(self._load.connections):
            connection.abort()

    def _connection_lost(self) -> None:
        if self._stopping.is_set() and not self._load.connections:
            self._ended.set()

    def _check(self, timeouts: Timeouts) -> None:
        self._set_date()
        timeouts.check(self._load.connections)
        self._load.audit.report()
        for listener in self._listeners:
            if listener.certificate is not None:
                listener.certificate.refresh(self._handlers.on_event)

    def _set_date(self) -> None:
        self._load.date = f"date: {formatdate(usegmt=True)}\r\n".encode()

    def _orphaned(self, alive: int) -> None:
        asyncio.get_running_loop().remove_reader(alive)
        self._stopping.set()
