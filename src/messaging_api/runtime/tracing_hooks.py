"""The parts of a worker that differ when requests are traced."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from messaging_api.errors import SettingsError
from messaging_api.server.http1 import Application
from messaging_api.stores.batching import Batcher
from messaging_api.web.app import App


class TracingHooks(NamedTuple):
    """Hooks: `wrap` wraps the application, `batcher` makes the batchers of the store, `close` exports the rest."""

    wrap: Callable[[App], Application] = lambda app: app
    batcher: Callable[..., Batcher[Any, Any]] = Batcher
    close: Callable[[], None] = lambda: None


def tracing(url: str) -> Callable[[], TracingHooks]:
    """Return a function that starts tracing to `url`; each worker calls it, because exporting needs a thread.

    Without a URL nothing is traced. Raises SettingsError when OpenTelemetry is not installed.
    """
    if not url:
        return TracingHooks
    try:
        from messaging_api.observability.tracing import TracedApp, TracedBatcher, TraceExporter  # noqa: PLC0415 an extra
    except ImportError:
        raise SettingsError("traces_to needs OpenTelemetry: pip install 'messaging-api[tracing]'.") from None

    def start() -> TracingHooks:
        exporter = TraceExporter(url)
        wrap, batcher = partial(TracedApp, tracer=exporter.tracer), partial(TracedBatcher, exporter.tracer)
        return TracingHooks(wrap, batcher, exporter.close)

    return start
