"""The parent process: it validates the settings, opens the sockets and forks the children."""

import asyncio
import gc
from collections.abc import Iterator
from functools import partial
from socket import socket

from messaging_api.observability.logging import Field, JsonLogger
from messaging_api.observability.metrics import ProcessMetrics, SharedMetrics
from messaging_api.runtime.application import now_ms, open_settings_store
from messaging_api.runtime.failure import log_failure
from messaging_api.runtime.supervisor import Child, DrainPhase, Supervisor, SupervisorHandlers
from messaging_api.runtime.terminal import ControllingTerminal
from messaging_api.runtime.tracing_hooks import tracing
from messaging_api.runtime.worker import Inherited, Sockets, run_ops, run_worker
from messaging_api.server.sockets import bind, raise_descriptors
from messaging_api.server.tls import ReloadingCertificate
from messaging_api.settings.server import Settings
from messaging_api.stores.sqlite.confirmed_clock import ConfirmedClock, boot_time_ms
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.web.routes import LABELS

SPARE_DESCRIPTORS = 64
"""Open files that a process needs besides its connections: store, log, pipes."""


class ParentProcess:
    """A service that is about to run: its sockets are bound, nothing is started. Raises SettingsError, StoreError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        asyncio.run(_try_store(settings))
        start_tracing = tracing(settings.traces_to)
        self._descriptors = raise_descriptors()
        certificate = ReloadingCertificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        self._sockets = Sockets(
            bind(settings.host, settings.port),
            bind(settings.host, settings.redirect_port) if settings.redirect_port else None,
            bind(settings.ops_host, settings.ops_port),
        )
        self._metrics = SharedMetrics(settings.workers, LABELS)
        clock = ConfirmedClock(now_ms, boot_time_ms)
        self._inherited = Inherited(
            settings, self._sockets, certificate, self._metrics, SharedCounters(), clock, start_tracing
        )

    @property
    def url(self) -> str:
        """Return the address of the service."""
        return f"{'https' if self._settings.tls_cert else 'http'}://{_location(self._sockets.public)}"

    @property
    def ops_url(self) -> str:
        """Return the address of /live, /ready and /metrics."""
        return f"http://{_location(self._sockets.ops)}"

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        _collect_rarely()
        logger = self._inherited.logger(self._metrics.supervisor)
        logger.event("started", url=self.url, ops=self.ops_url, workers=self._settings.workers)
        wanted = self._settings.max_connections + SPARE_DESCRIPTORS
        if self._descriptors < wanted:
            logger.event("few_descriptors", "warning", allowed=self._descriptors, wanted=wanted)
        drain = DrainPhase(self._settings.drain_seconds, partial(self._begin_draining, logger))
        Supervisor([*self._children()], drain, self._handlers(logger)).run()
        logger.event("stopped")

    def _children(self) -> Iterator[Child]:
        for n, metrics in enumerate(self._metrics.workers):
            yield Child(f"worker-{n}", partial(run_worker, self._inherited, metrics), partial(_heartbeat, metrics))
        yield Child("ops", partial(run_ops, self._inherited), partial(_heartbeat, self._metrics.ops))

    def _handlers(self, logger: JsonLogger) -> SupervisorHandlers:
        return SupervisorHandlers(
            on_restart=partial(self._metrics.supervisor.count, "messaging_process_restarts"),
            on_event=partial(_warn, logger),
            on_failure=partial(log_failure, logger),
            on_reopen=logger.reopen,
            terminal_lost=ControllingTerminal().lost,
            on_stop=self._close_sockets,
        )

    def _begin_draining(self, logger: JsonLogger) -> None:
        self._metrics.supervisor.put("draining", 1)
        logger.event("stopping", drain_seconds=self._settings.drain_seconds)

    def _close_sockets(self) -> None:
        self._sockets.close_public()
        self._sockets.ops.close()


def _heartbeat(metrics: ProcessMetrics) -> int:
    return metrics.get("heartbeat")


def _warn(logger: JsonLogger, event: str, **fields: Field) -> None:
    logger.event(event, "warning", **fields)


async def _try_store(settings: Settings) -> None:
    """Check the address or file of the store before the start; an unreachable server may become available later."""
    await open_settings_store(settings).aclose()


def _collect_rarely() -> None:
    """Set the garbage collector to run rarely.

    A request leaves no cycles behind, but its objects trigger the collector every few requests: 5 % of a read. What is
    there before the fork is never looked at again, which also keeps its pages shared between the processes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _location(listener: socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
