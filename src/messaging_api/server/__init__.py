"""Sockets and the HTTP server of one process: uvicorn, within ceilings and deadlines of our own."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import uvicorn

from messaging_api.server.https_redirect import RedirectApp
from messaging_api.server.load import WorkerLoad
from messaging_api.server.protocol import Protocol
from messaging_api.server.sockets import bind, raise_descriptors
from messaging_api.server.timeouts import Phase, Timeouts, every
from messaging_api.server.tls import ReloadingCertificate, TlsListener

__all__ = ["GRACE", "HttpServer", "RedirectApp", "ReloadingCertificate", "Site", "bind", "raise_descriptors"]

GRACE = 25
"""Seconds that requests in flight get to finish when the service stops."""
_LOOK = 1.0
"""Seconds between two looks at the deadlines, and between two reports of what was turned away."""


class Site(NamedTuple):
    """An application, and the socket it is served on."""

    listener: socket.socket
    app: Any
    identity: ReloadingCertificate | None = None
    """For https."""


class HttpServer(uvicorn.Server):
    """Serves `sites` until told to stop by SIGTERM, or because `alive`, a pipe's end, is closed.

    The other end of the pipe is held by the supervisor alone: if it dies, however it dies, its children stop.
    """

    def __init__(self, sites: Sequence[Site], gate: WorkerLoad, seconds: Mapping[Phase, float]) -> None:
        super().__init__(
            uvicorn.Config(
                sites[0].app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._sites = sites
        self._gate = gate
        self._seconds = seconds

    async def run_on(self, alive: int) -> None:
        """Serve. Requests in flight when it is told to stop are finished."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_reader(alive, self._orphaned, alive)
        deadlines = Timeouts(self._seconds, loop.time)
        async with asyncio.TaskGroup() as group:  # a worker that keeps no deadlines any more must not go on
            looking = group.create_task(every(_LOOK, partial(self._look, deadlines)))
            await self._serve([site.listener for site in self._sites])
            looking.cancel()
        self._gate.audit.report()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self._servers = [await self._open(site) for site in self._sites]
        self.servers = cast("list[asyncio.base_events.Server]", self._servers)
        self.started = True

    async def _open(self, site: Site) -> asyncio.AbstractServer | TlsListener:
        protocol = partial(self._protocol, site)
        if site.identity is None:
            return await asyncio.get_running_loop().create_server(protocol, sock=site.listener)
        return TlsListener(site.listener, site.identity, protocol, self._gate, self._seconds[Phase.HEAD])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve also those who connected already and wait to be accepted, then stop as uvicorn does."""
        for site, server in zip(self._sites, self._servers, strict=True):
            await (server.accept_all() if isinstance(server, TlsListener) else self._accept_all(site))
        await super().shutdown(sockets)

    async def _accept_all(self, site: Site) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = site.listener.accept()
                await loop.connect_accepted_socket(partial(self._protocol, site), accepted)

    def _protocol(self, site: Site) -> Protocol:
        return Protocol(self.config, self.server_state, site.app, self._gate)

    def _look(self, deadlines: Timeouts) -> None:
        deadlines.look(cast("set[Protocol]", self.server_state.connections))
        self._gate.slow = deadlines.waiting
        self._gate.audit.report()
        for site in self._sites:
            if site.identity is not None:
                site.identity.refresh()

    def _stop(self) -> None:
        self.should_exit = True

    def _orphaned(self, alive: int) -> None:
        asyncio.get_running_loop().remove_reader(alive)
        self._stop()
