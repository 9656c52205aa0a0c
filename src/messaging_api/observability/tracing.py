"""OpenTelemetry traces: one span per request, with one span for each operation of the store. Needs `[tracing]`.

The span of a request is named by the label of its route and has method, route, status and request id (as in the log);
the span of an operation has the number of operations in its round trip. Of what a client sent, only the trace and the
parent in its `traceparent` are exported (W3C Trace Context, section 3.2): no path, no query, no `tracestate`, no
baggage, no error texts. OpenTelemetry's own variables, such as OTEL_TRACES_SAMPLER, set sampling, headers and more.

This module is imported only if traces are enabled: otherwise they cost nothing.
"""

from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from messaging_api import __version__
from messaging_api.core.pending import TaskResult
from messaging_api.observability.metrics import METHODS
from messaging_api.stores.batching import Batcher, PendingOperation
from messaging_api.web.app import App
from messaging_api.web.responses import Response
from messaging_api.web.types import Request

_EXPORT_TIMEOUT = 2.0
"""Seconds for the collector to accept a batch of spans, and the last one when the service stops."""

Batch = list[PendingOperation[Any, Any]]

_propagator = TraceContextTextMapPropagator()


class TraceExporter:
    """An exporter of spans over OTLP/HTTP to `url`, such as http://collector:4318/v1/traces, in its own thread."""

    def __init__(self, url: str) -> None:
        resource = Resource.create({"service.name": "messaging_api", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=_EXPORT_TIMEOUT)))
        self.tracer = self._provider.get_tracer("messaging_api", __version__)

    def close(self) -> None:
        """Export the remaining spans, for a few seconds at most. Blocks."""
        self._provider.force_flush(int(_EXPORT_TIMEOUT * 1000))
        self._provider.shutdown()


class TracedApp:
    """An application that serves each request in a span."""

    def __init__(self, app: App, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, request: Request) -> Response:
        """Serve one request, in a task: OpenTelemetry keeps the current span in the context of the task."""
        return await TaskResult(self._serve(request))

    async def _serve(self, request: Request) -> Response:
        method = request.method if request.method in METHODS else "other"
        route = self._app.router.find(request.path)[0].label
        attributes = {"http.request.method": method, "http.route": route, "messaging.request_id": request.request_id}
        parent = _parent(request)
        with self._tracer.start_as_current_span(
            f"{method} {route}",
            parent,
            SpanKind.SERVER,
            attributes,
            record_exception=False,  # its text may quote a client
            set_status_on_exception=False,  # likewise
        ) as span:
            try:
                response = await self._app(request)
            except Exception:
                span.set_status(Status(StatusCode.ERROR))
                raise
            span.set_attribute("http.response.status_code", response.status)
            if response.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            return response


class TracedOperation(PendingOperation[Any, Any]):
    """An operation in a span, which ends with its result."""

    __slots__ = ("span",)

    def __init__(self, operation: object, span: Span) -> None:
        super().__init__(operation)
        self.span = span

    def resolve(self, outcome: object) -> None:
        """Set the result and end the span."""
        if self.wanted:
            if isinstance(outcome, BaseException):
                self.span.set_status(Status(StatusCode.ERROR))
            self.span.end()
        super().resolve(outcome)


class TracedBatcher(Batcher[Any, Any]):
    """A Batcher with a span for each operation, from its submission to its result."""

    def __init__(self, tracer: Tracer, run: Callable[[Batch], None], observe: Callable[[int], None]) -> None:
        super().__init__(run, observe, self._begin_span)
        self._tracer = tracer
        self._spans: list[Span] = []

    def _begin_span(self, operation: object) -> PendingOperation[Any, Any]:
        if not get_current_span().get_span_context().is_valid:  # a sweep, say, belongs to no request
            return PendingOperation(operation)
        span = self._tracer.start_span("store", kind=SpanKind.CLIENT)
        self._spans.append(span)
        return TracedOperation(operation, span)

    def _flush(self) -> None:
        spans, self._spans = self._spans, []
        for span in spans:
            span.set_attribute("db.operation.batch.size", len(self._batch))
        super()._flush()


def _parent(request: Request) -> Context:
    """Return the parent span that the client's `traceparent` names, if it is valid; without its `tracestate`."""
    header = request.headers.get(b"traceparent")
    return _propagator.extract({"traceparent": header.decode("latin-1")} if header else {}, Context())
