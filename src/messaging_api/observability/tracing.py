"""OpenTelemetry traces: one span a request, and in it one for each operation of the store. Needs `[tracing]`.

A span is named by its route's label and carries method, route, status and request id (as in the log), a span of the
store how many operations shared its round trip. Nothing a client sent goes out but the trace and parent that its
`traceparent` named (W3C Trace Context, section 3.2): no path, no query, no `tracestate`, no baggage, no error texts.
Sampling, headers and more are set by OpenTelemetry's own variables, as OTEL_TRACES_SAMPLER.

Imported only where traces are asked for: without them none of this costs anything.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from messaging_api import __version__
from messaging_api.observability.logging import request_id
from messaging_api.observability.metrics import METHODS
from messaging_api.stores.batching import Batcher, PendingOperation
from messaging_api.web.app import App
from messaging_api.web.types import WHOLE, Receive, Scope, Send

_PATIENCE = 2.0
"""Seconds that the collector gets: for a lot of spans, and for the last when the service stops."""

Batch = list[PendingOperation[Any, Any]]
Whole = Callable[[int, bytes, bytes], Awaitable[None]]

_propagator = TraceContextTextMapPropagator()


class TraceExporter:
    """Where spans go: over OTLP/HTTP to `url` (as http://collector:4318/v1/traces), from a thread of its own."""

    def __init__(self, url: str) -> None:
        resource = Resource.create({"service.name": "messaging_api", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=_PATIENCE)))
        self.tracer = self._provider.get_tracer("messaging_api", __version__)

    def close(self) -> None:
        """Send what is left, within some seconds. Blocks."""
        self._provider.force_flush(int(_PATIENCE * 1000))
        self._provider.shutdown()


class TracedApp:
    """The application, each request in a span."""

    def __init__(self, app: App, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3, with the extension `http.WHOLE`)."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = self._app.find(scope["path"])[0].label
        facts = {"http.request.method": method, "http.route": route}
        with self._tracer.start_as_current_span(f"{method} {route}", _parent(scope), SpanKind.SERVER, facts) as span:
            answer = partial(_answer, span, scope["extensions"][WHOLE])
            await self._app({**scope, "extensions": {**scope["extensions"], WHOLE: answer}}, receive, send)


async def _answer(span: Span, whole: Whole, status: int, lines: bytes, body: bytes) -> None:
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("messaging.request_id", request_id.get() or "")
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
    await whole(status, lines, body)


class TracedBatcher(Batcher[Any, Any]):
    """A Batcher, each operation in a span: from its submission to its answer."""

    def __init__(self, tracer: Tracer, run: Callable[[Batch], None], observe: Callable[[int], None]) -> None:
        super().__init__(run, observe)
        self._tracer = tracer
        self._spans: list[Span] = []

    def submit(self, operation: object, *, ahead: bool = False) -> "Future[Any]":
        """See `Batcher`."""
        answer = super().submit(operation, ahead=ahead)
        if get_current_span().get_span_context().is_valid:  # what no request asked for, as a sweep, is no trace
            span = self._tracer.start_span("store", kind=SpanKind.CLIENT)
            self._spans.append(span)
            answer.add_done_callback(partial(_end, span))
        return answer

    def _flush(self) -> None:
        spans, self._spans = self._spans, []
        for span in spans:
            span.set_attribute("db.operation.batch.size", len(self._batch))
        super()._flush()


def _parent(scope: Scope) -> Context:
    """The span that the client's `traceparent` names, if it is one; without its `tracestate`."""
    said = dict(scope["headers"]).get(b"traceparent")
    return _propagator.extract({"traceparent": said.decode("latin-1")} if said else {}, Context())


def _end(span: Span, answer: "Future[Any]") -> None:
    if answer.cancelled() or answer.exception() is not None:
        span.set_status(Status(StatusCode.ERROR))
    span.end()
