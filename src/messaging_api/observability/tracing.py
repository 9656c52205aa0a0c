"""OpenTelemetry traces: one span a request, and in it one for each operation of the store. Needs `[tracing]`.

A span is named by its route's label and carries method, route, status and request id (as in the log), a span of the
store how many operations shared its round trip. Nothing a client sent goes out but the trace and parent that its
`traceparent` named (W3C Trace Context, section 3.2): no path, no query, no `tracestate`, no baggage, no error texts.
Sampling, headers and more are set by OpenTelemetry's own variables, as OTEL_TRACES_SAMPLER.

Imported only where traces are asked for: without them none of this costs anything.
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

_PATIENCE = 2.0
"""Seconds that the collector gets: for a lot of spans, and for the last when the service stops."""

Batch = list[PendingOperation[Any, Any]]

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

    async def __call__(self, request: Request) -> Response:
        """Serve one request, in a task: OpenTelemetry keeps the current span in the context of the task."""
        return await TaskResult(self._serve(request))

    async def _serve(self, request: Request) -> Response:
        method = request.method if request.method in METHODS else "other"
        route = self._app.router.find(request.path)[0].label
        facts = {"http.request.method": method, "http.route": route, "messaging.request_id": request.request_id}
        parent = _parent(request)
        with self._tracer.start_as_current_span(f"{method} {route}", parent, SpanKind.SERVER, facts) as span:
            response = await self._app(request)
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
    """A Batcher, each operation in a span: from its submission to its result."""

    def __init__(self, tracer: Tracer, run: Callable[[Batch], None], observe: Callable[[int], None]) -> None:
        super().__init__(run, observe)
        self._tracer = tracer
        self._spans: list[Span] = []

    def _pending(self, operation: object) -> PendingOperation[Any, Any]:
        if not get_current_span().get_span_context().is_valid:  # no request asked for it, such as a sweep
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
    """Return the span that the client's `traceparent` names, if it is one; without its `tracestate`."""
    header = request.headers.get(b"traceparent")
    return _propagator.extract({"traceparent": header.decode("latin-1")} if header else {}, Context())
