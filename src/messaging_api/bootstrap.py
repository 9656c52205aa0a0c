"""The only room that knows both stores and web: open, assemble, serve, close in reverse."""

import asyncio
import time
from functools import partial
from socket import socket

import uvloop

from messaging_api.logfile import LogFile
from messaging_api.logs import Journal, capture_logging
from messaging_api.message import Bounds
from messaging_api.metrics import Board, Row
from messaging_api.server import HttpServer, bind
from messaging_api.service import Service
from messaging_api.settings import Settings
from messaging_api.store import Store
from messaging_api.stores import open_store
from messaging_api.supervisor import Child, Drain, Supervisor
from messaging_api.web.app import App
from messaging_api.web.handlers import Handlers
from messaging_api.web.ops import OpsApp
from messaging_api.web.pages import Pages

_HEARTBEAT = 1.0


def now_ms() -> int:
    """The time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def assemble(settings: Settings, store: Store, journal: Journal, row: Row) -> App:
    """The application over an open store."""
    bounds = Bounds(settings.max_message_bytes, settings.max_ttl, settings.default_ttl)
    return App(Handlers(Service(store, bounds, now_ms), Pages(), settings.public_url), journal, row)


class Instance:
    """A service that is about to run: its sockets are bound, nothing is started. Raises SettingsError, StoreError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        asyncio.run(_try_store(settings))
        self._public = bind(settings.host, settings.port)
        self._ops = bind(settings.ops_host, settings.ops_port)
        self._board = Board(settings.workers)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://{_location(self._public)}"

    @property
    def ops_url(self) -> str:
        """Where /live, /ready and /metrics are."""
        return f"http://{_location(self._ops)}"

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        journal = self._journal(self._board.parent)
        journal.event("started", url=self.url, ops=self.ops_url, workers=self._settings.workers)
        workers = [Child(f"worker-{n}", partial(self._work, row)) for n, row in enumerate(self._board.rows)]
        children = [*workers, Child("ops", self._watch)]
        drain = Drain(self._settings.drain_seconds, partial(self._begin_draining, journal))
        Supervisor(children, partial(journal.event, level="warning"), drain, self._close).run()
        journal.event("stopped")

    def _begin_draining(self, journal: Journal) -> None:
        self._board.parent.put("draining", 1)
        journal.event("stopping", drain_seconds=self._settings.drain_seconds)

    def _journal(self, row: Row) -> Journal:
        file = LogFile(self._settings.log_dir, self._settings.log_keep_days)
        return Journal(file, on_failure=partial(row.count, "messaging_log_failures"))

    def _close(self) -> None:
        self._public.close()
        self._ops.close()

    def _work(self, row: Row, alive: int) -> None:
        self._ops.close()
        journal = self._journal(row)
        capture_logging(journal)
        uvloop.run(self._serve(row, journal, alive))
        journal.flush()

    async def _serve(self, row: Row, journal: Journal, alive: int) -> None:
        store = open_store(self._settings.store, now_ms, self._settings.store_timeout)
        beating = asyncio.create_task(_beat(row))
        await HttpServer(assemble(self._settings, store, journal, row)).run_on(self._public, alive)
        beating.cancel()
        await store.aclose()

    def _watch(self, alive: int) -> None:
        self._public.close()
        capture_logging(self._journal(self._board.ops))
        uvloop.run(self._serve_ops(alive))

    async def _serve_ops(self, alive: int) -> None:
        store = open_store(self._settings.store, now_ms, self._settings.store_timeout)
        await HttpServer(OpsApp(self._board, store.ping, time.monotonic)).run_on(self._ops, alive)
        await store.aclose()


async def _try_store(settings: Settings) -> None:
    """Find out before anything starts that a store's address or file is wrong; a server that is away may come later."""
    await open_store(settings.store, now_ms, settings.store_timeout).aclose()


async def _beat(row: Row) -> None:
    while True:
        row.put("heartbeat", int(time.monotonic()))
        await asyncio.sleep(_HEARTBEAT)


def _location(listener: socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
