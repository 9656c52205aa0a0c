"""The only room that knows both stores and web: open, assemble, serve, close in reverse."""

import asyncio
import gc
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from socket import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvloop

from messaging_api.core.message import MessageLimits
from messaging_api.core.ratelimit import RateLimiter, RateLimits
from messaging_api.core.service import Service
from messaging_api.core.store import Store
from messaging_api.errors import SettingsError, StoreError
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import Field, JsonLogger, capture_logging
from messaging_api.observability.metrics import ProcessMetrics, SharedMetrics
from messaging_api.observability.rotating_file import DailyFile
from messaging_api.runtime.supervisor import Child, DrainPhase, Supervisor
from messaging_api.server import HttpServer, RedirectApp, ReloadingCertificate, Site, bind, raise_descriptors
from messaging_api.server.load import WorkerLoad
from messaging_api.server.timeouts import Phase
from messaging_api.settings.server import Settings
from messaging_api.stores import StoreOptions, open_store
from messaging_api.stores.batching import NO_HOOKS, Batcher, StoreHooks
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.web.admission import Admission
from messaging_api.web.app import App
from messaging_api.web.client_address import ClientAddresses
from messaging_api.web.cors import Cors
from messaging_api.web.handlers import Handlers
from messaging_api.web.ops import OpsApp
from messaging_api.web.pages.pages import Pages
from messaging_api.web.prometheus import PrometheusExporter
from messaging_api.web.tokens import Tokens
from messaging_api.web.types import Asgi

_HEARTBEAT = 1.0
HELD_BODIES = 64 * 2**20
"""Bytes that a worker holds of bodies that are not complete; more where messages may be long."""
SPARE_DESCRIPTORS = 64
"""Open files that a process needs besides its connections: store, log, pipes."""


def now_ms() -> int:
    """The time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def create_app(settings: Settings, store: Store, audit: AuditLog, logger: JsonLogger, row: ProcessMetrics) -> App:
    """The application over an open store."""
    bounds = MessageLimits(settings.max_message_bytes, settings.max_ttl, settings.default_ttl)
    handlers = Handlers(Service(store, bounds, now_ms), Pages(bounds), settings.public_url)

    def uncounted(error: StoreError) -> None:
        row.count("messaging_uncounted")
        audit.failed("uncounted", "unavailable", "", detail=str(error))

    limits = RateLimits(settings.limit_create, settings.limit_read, settings.limit_miss)
    guard = Admission(
        RateLimiter(limits, store, uncounted),
        Tokens(settings.create_tokens),
        ClientAddresses(settings.trusted_proxies),
        Cors(settings.cors_origins) if settings.cors_origins else None,
    )
    return App(handlers, guard, audit, logger, row)


def seconds(settings: Settings) -> dict[Phase, float]:
    """How long a connection may be in each phase."""
    return {
        Phase.HEAD: settings.head_timeout,
        Phase.BODY: settings.body_timeout,
        Phase.SEND: settings.send_timeout,
        Phase.IDLE: settings.keep_alive,
        Phase.CLOSING: settings.send_timeout,
    }


class Application:
    """A service that is about to run: its sockets are bound, nothing is started. Raises SettingsError, StoreError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        asyncio.run(_try_store(settings))
        self._start_tracing = _tracing(settings.traces_to)
        self._descriptors = raise_descriptors()
        self._identity = ReloadingCertificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        self._public = bind(settings.host, settings.port)
        self._plain = bind(settings.host, settings.redirect_port) if settings.redirect_port else None
        self._ops = bind(settings.ops_host, settings.ops_port)
        self._board = SharedMetrics(settings.workers)
        self._counters = SharedCounters()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"{'https' if self._settings.tls_cert else 'http'}://{_location(self._public)}"

    @property
    def ops_url(self) -> str:
        """Where /live, /ready and /metrics are."""
        return f"http://{_location(self._ops)}"

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        _collect_rarely()
        logger = self._logger(self._board.parent)
        logger.event("started", url=self.url, ops=self.ops_url, workers=self._settings.workers)
        wanted = self._settings.max_connections + SPARE_DESCRIPTORS
        if self._descriptors < wanted:
            logger.event("few_descriptors", "warning", allowed=self._descriptors, wanted=wanted)
        workers = [Child(f"worker-{n}", partial(self._work, row)) for n, row in enumerate(self._board.rows)]
        children = [*workers, Child("ops", self._watch)]
        drain = DrainPhase(self._settings.drain_seconds, partial(self._begin_draining, logger))
        Supervisor(children, partial(self._tell_of_death, logger), drain, self._close).run()
        logger.event("stopped")

    def _tell_of_death(self, logger: JsonLogger, event: str, **fields: Field) -> None:
        self._board.parent.count("messaging_process_restarts")
        logger.event(event, "warning", **fields)

    def _begin_draining(self, logger: JsonLogger) -> None:
        self._board.parent.put("draining", 1)
        logger.event("stopping", drain_seconds=self._settings.drain_seconds)

    def _logger(self, row: ProcessMetrics) -> JsonLogger:
        folder = self._settings.log_dir
        file = DailyFile(folder, self._settings.log_keep_days) if folder != "-" else None
        return JsonLogger(file, on_failure=partial(row.count, "messaging_log_failures"))

    def _server(self, sites: Sequence[Site], audit: AuditLog) -> HttpServer:
        settings = self._settings
        held = max(HELD_BODIES, 32 * settings.max_message_bytes)
        gate = WorkerLoad(audit, settings.max_connections, settings.max_in_flight, held)
        return HttpServer(sites, gate, seconds(settings))

    def _sites(self, app: object, logger: JsonLogger, audit: AuditLog) -> Iterator[Site]:
        """What a worker serves."""
        if self._identity is not None:
            self._identity.tell = logger.event
        yield Site(self._public, app, self._identity)
        if self._plain is not None:
            port: int = self._public.getsockname()[1]
            yield Site(self._plain, RedirectApp(self._settings.public_url, port, audit))

    def _close(self) -> None:
        self._close_public()
        self._ops.close()

    def _close_public(self) -> None:
        self._public.close()
        if self._plain is not None:
            self._plain.close()

    def _work(self, row: ProcessMetrics, alive: int) -> None:
        self._ops.close()
        logger = self._logger(row)
        capture_logging(logger)
        uvloop.run(self._serve(row, logger, alive))
        logger.flush()

    async def _serve(self, row: ProcessMetrics, logger: JsonLogger, alive: int) -> None:
        watching = self._start_tracing()
        store = self._open_store(row, watching.batcher)
        audit = AuditLog(logger, row)
        app = watching.wrap(create_app(self._settings, store, audit, logger, row))
        server = self._server([*self._sites(app, logger, audit)], audit)
        beating = asyncio.create_task(_beat(row, server))
        await server.run_on(alive)
        beating.cancel()
        await store.aclose()
        await asyncio.to_thread(watching.close)

    def _watch(self, alive: int) -> None:
        self._close_public()
        logger = self._logger(self._board.ops)
        capture_logging(logger)
        uvloop.run(self._serve_ops(logger, alive))

    async def _serve_ops(self, logger: JsonLogger, alive: int) -> None:
        store = self._open_store(self._board.ops)
        exposition = PrometheusExporter(self._board, store, urlsplit(self._settings.store).scheme, time.monotonic)
        site = Site(self._ops, OpsApp(self._board, store, exposition))
        await self._server([site], AuditLog(logger, self._board.ops)).run_on(alive)
        await store.aclose()

    def _open_store(self, row: ProcessMetrics, batcher: Callable[..., Batcher[Any, Any]] = Batcher) -> Store:
        instruments = StoreHooks(partial(batcher, observe=row.batch), row.expired_unread)
        return _open(self._settings, instruments, self._counters)


class TracingHooks(NamedTuple):
    """What is put together differently when requests are traced."""

    wrap: Callable[[App], Asgi] = lambda app: app
    batcher: Callable[..., Batcher[Any, Any]] = Batcher
    close: Callable[[], None] = lambda: None


def _tracing(url: str) -> Callable[[], TracingHooks]:
    """How a worker begins to trace, which it does for itself: exporting takes a thread. Raises SettingsError."""
    if not url:
        return TracingHooks
    try:
        from messaging_api.observability.tracing import TracedApp, TracedBatcher, TraceExporter  # noqa: PLC0415 an optional extra
    except ImportError:
        raise SettingsError("traces_to needs OpenTelemetry: pip install 'messaging-api[tracing]'.") from None

    def start() -> TracingHooks:
        traces = TraceExporter(url)
        return TracingHooks(
            partial(TracedApp, tracer=traces.tracer), partial(TracedBatcher, traces.tracer), traces.close
        )

    return start


def _collect_rarely() -> None:
    """A request leaves no cycles behind, but its objects set the collector off every few requests: 5 % of a read.

    What is there before the fork is left alone for good, which also keeps its pages shared between the processes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _try_store(settings: Settings) -> None:
    """Find out before anything starts that a store's address or file is wrong; a server that is away may come later."""
    await _open(settings).aclose()


def _open(settings: Settings, instruments: StoreHooks = NO_HOOKS, counters: SharedCounters | None = None) -> Store:
    patience = StoreOptions(settings.store_timeout, settings.replicas_to_wait)
    return open_store(settings.store, now_ms, patience, instruments, counters)


async def _beat(row: ProcessMetrics, server: HttpServer) -> None:
    """Once a second: that this process lives, and how it fares."""
    due = time.monotonic()
    while True:
        row.put("lag_us", max(0, int((time.monotonic() - due) * 1e6)))  # a loop may wake a little early
        row.put("heartbeat", int(time.monotonic()))
        row.put("connections", len(server.server_state.connections))
        row.put("in_flight", len(server.server_state.tasks))
        row.put("cpu_ms", time.process_time_ns() // 1_000_000)
        row.put("resident_bytes", _resident())
        due = time.monotonic() + _HEARTBEAT
        await asyncio.sleep(_HEARTBEAT)


def _resident() -> int:
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 a hundredth of a millisecond, on the loop
        return int(statm.read().split()[1]) * resource.getpagesize()


def _location(listener: socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
