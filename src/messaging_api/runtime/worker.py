"""The child processes: workers, which serve requests, and the ops process."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from socket import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvloop

from messaging_api.core.background import OnFailure, start_endless_task
from messaging_api.errors import StoreError
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.libraries import capture_libraries
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import ProcessMetrics, SharedMetrics
from messaging_api.observability.rotating_file import DailyFile
from messaging_api.runtime.application import create_app, open_settings_store, timeouts, worker_load
from messaging_api.runtime.failure import end_process, watch_threads
from messaging_api.runtime.heartbeat import beat
from messaging_api.runtime.tracing_hooks import TracingHooks
from messaging_api.server.http1 import Application
from messaging_api.server.https_redirect import RedirectApp
from messaging_api.server.listener import HttpServer, Listener, ServerHandlers
from messaging_api.server.tls import ReloadingCertificate
from messaging_api.settings.server import Settings
from messaging_api.stores.batching import StoreHooks
from messaging_api.stores.sqlite.confirmed_clock import ConfirmedClock
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.web.ops import OpsApp
from messaging_api.web.prometheus import PrometheusExporter


class Sockets(NamedTuple):
    """The listening sockets: the public one, the plain one that redirects to https, and the one of the ops port."""

    public: socket
    redirect: socket | None
    ops: socket

    def close_public(self) -> None:
        """Close all but the ops port."""
        self.public.close()
        if self.redirect is not None:
            self.redirect.close()


class Inherited(NamedTuple):
    """The objects that the parent makes before it forks, and that its children share or copy."""

    settings: Settings
    sockets: Sockets
    certificate: ReloadingCertificate | None
    metrics: SharedMetrics
    counters: SharedCounters
    clock: ConfirmedClock
    start_tracing: Callable[[], TracingHooks]

    def logger(self, metrics: ProcessMetrics) -> JsonLogger:
        """Return a logger for one process."""
        folder = self.settings.log_dir
        file = DailyFile(folder, self.settings.log_keep_days) if folder != "-" else None
        on_failure = partial(metrics.count, "messaging_log_failures")
        return JsonLogger(file, on_failure=on_failure, on_dropped=metrics.console_dropped)


def run_worker(inherited: Inherited, metrics: ProcessMetrics, alive: int) -> None:
    """Serve requests until stopped; `alive` is the end of a pipe that closes with the parent."""
    inherited.sockets.ops.close()
    logger = inherited.logger(metrics)
    _run(_serve(inherited, metrics, logger, alive), logger)


def run_ops(inherited: Inherited, alive: int) -> None:
    """Serve the ops port until stopped."""
    inherited.sockets.close_public()
    logger = inherited.logger(inherited.metrics.ops)
    _run(_serve_ops(inherited, logger, alive), logger)


def _run(serving: Coroutine[Any, Any, None], logger: JsonLogger) -> None:
    try:
        uvloop.run(serving)
    finally:
        logger.flush()


async def _serve(inherited: Inherited, metrics: ProcessMetrics, logger: JsonLogger, alive: int) -> None:
    settings, audit, on_failure = inherited.settings, AuditLog(logger, metrics), partial(end_process, logger)
    _observe(logger, audit, on_failure)
    tracing, sweeping = inherited.start_tracing(), partial(_log_sweeping, logger)
    hooks = StoreHooks(partial(tracing.batcher, observe=metrics.batch), metrics.expired_unread, on_failure, sweeping)
    store = open_settings_store(settings, hooks, inherited.counters, inherited.clock)
    app = tracing.wrap(create_app(settings, store, audit, logger, metrics))
    load = worker_load(settings, audit)
    heartbeat = start_endless_task("heartbeat", beat(metrics, load), on_failure)
    handlers = ServerHandlers(logger.event, on_failure)
    await HttpServer([*_listeners(inherited, app, audit)], load, timeouts(settings), handlers).run(alive)
    heartbeat.cancel()
    await store.aclose()
    await asyncio.to_thread(tracing.close)


def _log_sweeping(logger: JsonLogger, error: StoreError | None) -> None:
    if error is None:
        logger.event("sweeping_again")
    else:
        logger.event("sweeping_failed", "error", detail=str(error))


def _listeners(inherited: Inherited, app: Application, audit: AuditLog) -> Iterator[Listener]:
    sockets = inherited.sockets
    yield Listener(sockets.public, app, inherited.certificate)
    if sockets.redirect is not None:
        port: int = sockets.public.getsockname()[1]
        yield Listener(sockets.redirect, RedirectApp(inherited.settings.public_url, port, audit))


async def _serve_ops(inherited: Inherited, logger: JsonLogger, alive: int) -> None:
    settings, metrics, on_failure = inherited.settings, inherited.metrics, partial(end_process, logger)
    audit = AuditLog(logger, metrics.ops)
    _observe(logger, audit, on_failure)
    sweeping = partial(_log_sweeping, logger)
    hooks = StoreHooks(expired_unread=metrics.ops.expired_unread, on_failure=on_failure, sweeping=sweeping)
    store = open_settings_store(settings, hooks, inherited.counters, inherited.clock)
    exporter = PrometheusExporter(metrics, store, urlsplit(settings.store).scheme, time.monotonic)
    load = worker_load(settings, audit)
    listener = Listener(inherited.sockets.ops, OpsApp(metrics, store, exporter))
    heartbeat = start_endless_task("heartbeat", beat(metrics.ops, None), on_failure)
    await HttpServer([listener], load, timeouts(settings), ServerHandlers(logger.event, on_failure)).run(alive)
    heartbeat.cancel()
    await store.aclose()


def _observe(logger: JsonLogger, audit: AuditLog, on_failure: OnFailure) -> None:
    """Set up what concerns the whole process: records of libraries, threads that fail, and SIGHUP."""
    capture_libraries(audit)
    watch_threads(on_failure)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, logger.reopen)
