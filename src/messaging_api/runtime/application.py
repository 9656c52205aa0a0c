"""The application over a store, put together from settings: the same for the service, its tests and its benchmarks."""

import time
from collections.abc import Callable

from messaging_api.core.message import MessageLimits
from messaging_api.core.ratelimit import RateLimiter, RateLimits
from messaging_api.core.service import Service
from messaging_api.core.store import Store
from messaging_api.errors import StoreError
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import ProcessMetrics
from messaging_api.server.load import WorkerLoad
from messaging_api.server.timeouts import Phase
from messaging_api.settings.server import Settings
from messaging_api.stores import StoreOptions, open_store
from messaging_api.stores.batching import NO_HOOKS, StoreHooks
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.web.admission import Admission
from messaging_api.web.app import App
from messaging_api.web.cors import Cors
from messaging_api.web.handlers import Handlers
from messaging_api.web.pages.branding import Branding
from messaging_api.web.pages.pages import Pages
from messaging_api.web.tokens import Tokens
from messaging_api.web.trusted_proxies import TrustedProxies

HELD_BODIES = 64 * 2**20
"""Bytes that a worker holds of bodies that are not complete; more where messages may be long."""
LINGER = 5.0
"""Seconds in which a client may still send after its last response. A connection that is cut before it has sent all is
reset, and the reset may take the response with it (RFC 9112, section 9.6)."""


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def open_settings_store(
    settings: Settings,
    hooks: StoreHooks = NO_HOOKS,
    counters: SharedCounters | None = None,
    clock: Callable[[], int] = now_ms,
) -> Store:
    """Open the store that `settings` name. Raises SettingsError, NotExecuted.

    A process that has got `counters` is a child: its store exists, and a missing file is an error. Its `clock` is that
    of its parent, so that one that is restarted while the time is wrong does not take it for right.
    """
    options = StoreOptions(settings.store_timeout, settings.replicas_to_wait, create=counters is None)
    return open_store(settings.store, clock, options, hooks, counters)


def create_app(settings: Settings, store: Store, audit: AuditLog, logger: JsonLogger, metrics: ProcessMetrics) -> App:
    """Return the application over an open store."""
    lifetimes = settings.max_ttl, settings.default_ttl
    limits = MessageLimits(settings.max_message_bytes, *lifetimes, settings.resume_seconds)
    rates = RateLimits(settings.limit_create, settings.limit_read, settings.limit_miss)
    limiter = RateLimiter(rates, store, _on_uncounted(audit, metrics))
    admission = Admission(limiter, Tokens(settings.create_tokens))
    branding = Branding(
        settings.page_name,
        settings.page_logo,
        settings.page_accent,
        settings.page_notice,
        settings.imprint_url,
        settings.privacy_url,
    )
    pages = Pages(limits, branding, needs_token=bool(settings.create_tokens))
    handlers = Handlers(Service(store, limits, now_ms), pages, admission, settings.public_url)
    proxies = TrustedProxies(settings.trusted_proxies, settings.forwarded_header)
    cors = Cors(settings.cors_origins) if settings.cors_origins else None
    return App(
        handlers=handlers,
        admission=admission,
        proxies=proxies,
        cors=cors,
        audit=audit,
        logger=logger,
        metrics=metrics,
    )


def _on_uncounted(audit: AuditLog, metrics: ProcessMetrics) -> Callable[[StoreError], None]:
    def on_failure(error: StoreError) -> None:
        metrics.count("messaging_uncounted")
        audit.failed("uncounted", "unavailable", "", detail=str(error))

    return on_failure


def worker_load(settings: Settings, audit: AuditLog) -> WorkerLoad:
    """Return the limits of one worker."""
    held = max(HELD_BODIES, 32 * settings.max_message_bytes)
    return WorkerLoad(audit, settings.max_connections, settings.max_in_flight, held)


def timeouts(settings: Settings) -> dict[Phase, float]:
    """Return how many seconds a connection may be in each phase."""
    return {
        Phase.HEAD: settings.head_timeout,
        Phase.BODY: settings.body_timeout,
        Phase.SEND: settings.send_timeout,
        Phase.IDLE: settings.keep_alive,
        Phase.LINGER: LINGER,
        Phase.CLOSING: settings.send_timeout,
    }
