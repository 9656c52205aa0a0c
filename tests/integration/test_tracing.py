"""Traces as a collector receives them, over OTLP/HTTP from the real service."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from messaging_api import __version__
from messaging_api.observability.tracing import TracedApp
from messaging_api.web.responses import Response
from messaging_api.web.types import Request
from tests.integration.test_secrets import KEY, TEXT, forms, run
from tests.support.redis_server import redis_running
from tests.support.requests import request_to
from tests.support.service import Running, ask_at_once, serving

PARENT, TRACE = "00f067aa0ba902b7", "4bf92f3577b34da6a3ce929d0e0e4736"  # of the example in W3C Trace Context
JSON = {"accept": "application/json"}


class Collector:
    """A collector that keeps the bytes that it receives."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []
        self.told = b""

    def spans(self) -> list[Span]:
        """Return all spans so far."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [s for one in requests for r in one.resource_spans for scope in r.scope_spans for s in scope.spans]

    def resource(self) -> dict[str, Any]:
        """Return the resource of the first export."""
        first = ExportTraceServiceRequest.FromString(self.bodies[0])
        return {fact.key: fact.value.string_value for fact in first.resource_spans[0].resource.attributes}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """Run an OTLP/HTTP receiver on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.told += self.requestline.encode() + bytes(self.headers)
            collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
        threading.Thread(target=server.serve_forever).start()
        try:
            yield collector
        finally:
            server.shutdown()


def traced(folder: Path, store: str, collector: Collector, *options: str) -> contextlib.AbstractContextManager[Running]:
    """Run the service, which exports its spans twice a second and without compression."""
    return serving(
        folder, store, "--traces-to", collector.url, "--workers", "1", *options, OTEL_BSP_SCHEDULE_DELAY="500"
    )


def facts(span: Span) -> dict[str, Any]:
    """Return the attributes of a span."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_request_and_store_operations_are_one_trace(tmp_path: Path) -> None:
    """The client's trace continues: a server span named by its route, with a child span for each store operation."""
    with collecting() as collector, traced(tmp_path, f"sqlite://{tmp_path}/m.db", collector) as service:
        link = httpx.post(service.url, json={"message": "x", "reads": 1}).headers["location"]
        known = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=canary"}
        answer = httpx.get(link, headers={**JSON, **known})
        service.stop()
        spans = [span for span in collector.spans() if span.trace_id.hex() == TRACE]
    (server,) = (span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    assert server.name == "GET /msg"
    assert server.parent_span_id.hex() == PARENT
    assert server.trace_state == ""
    assert facts(server) == {
        "http.request.method": "GET",
        "http.route": "/msg",
        "http.response.status_code": 200,
        "messaging.request_id": answer.headers["x-request-id"],
    }
    stores = [span for span in spans if span is not server]
    assert [(span.name, span.kind, span.parent_span_id) for span in stores] == [
        ("store", Span.SPAN_KIND_CLIENT, server.span_id)
    ] * 2  # a look and a take
    assert [facts(span) for span in stores] == [{"db.operation.batch.size": 1}] * 2
    assert all(
        server.start_time_unix_nano <= span.start_time_unix_nano < span.end_time_unix_nano <= server.end_time_unix_nano
        for span in stores
    )
    assert collector.resource()["service.name"] == "messaging_api"
    assert collector.resource()["service.version"] == __version__


def test_store_spans_have_the_size_of_their_batch(tmp_path: Path) -> None:
    """For requests that wait when the process wakes up, spans of the store have the size of their batch."""
    with (
        redis_running(tmp_path) as redis,
        collecting() as collector,
        traced(tmp_path, redis.url, collector) as service,
    ):
        ask_at_once(service, [b"GET /msg/x HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n"] * 20)
        service.stop()
        sizes = [facts(span)["db.operation.batch.size"] for span in collector.spans() if span.name == "store"]
    assert len(sizes) == 20
    assert max(sizes) > 1


def test_traces_contain_no_secrets(tmp_path: Path) -> None:
    """The collector receives no id, link, text or key of any request, not even of an outage."""
    with redis_running(tmp_path) as redis, collecting() as collector, traced(tmp_path, redis.url, collector) as service:
        ids = run(service)
        redis.kill()
        known = {"tracestate": f"v={ids[0]}", "baggage": f"id={ids[0]}", "traceparent": f"00-{ids[0]}-{ids[0]}-01"}
        assert httpx.get(f"{service.url}/msg/{ids[0]}?x={ids[0]}", headers={**JSON, **known}).status_code == 503
        service.stop()
        everything = b"".join(collector.bodies) + collector.told
        spans = collector.spans()
    assert [secret for secret in (*ids, TEXT, KEY) for form in forms(secret) if form in everything] == []
    assert b"GET /msg" in everything  # the search would find one
    assert {span.name for span in spans} >= {"POST /", "GET /msg", "GET /receipt", "DELETE /receipt"}
    failed = [span for span in spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert {span.name for span in failed} == {"GET /msg", "store"}
    assert [event for span in spans for event in span.events] == []


def test_unreachable_collector_delays_nothing(tmp_path: Path) -> None:
    """Requests are served and the service stops, also when the collector accepts no spans."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--traces-to", "http://127.0.0.1:1/v1/traces") as service:
        for _ in range(20):
            assert httpx.post(service.url, json={"message": "x"}).status_code == 200
        assert service.stop() == 0


def test_without_traces_opentelemetry_is_not_imported() -> None:
    """OpenTelemetry is not even imported, and the application is the plain one."""
    check = """
import sys
from messaging_api import cli
from messaging_api.runtime import application, worker
from messaging_api.runtime.tracing_hooks import tracing
from messaging_api.stores.batching import Batcher
hooks = tracing("")()
assert hooks.wrap("the app") == "the app"
assert hooks.batcher is Batcher
assert hooks.close() is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", check], check=True)


def test_missing_tracing_extra_prevents_the_start(tmp_path: Path) -> None:
    """Without the extra, the start fails with the command that installs it."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise ImportError")
    url = "http://127.0.0.1:1/v1/traces"
    with (
        pytest.raises(AssertionError, match=r"pip install 'messaging-api\[tracing\]'"),
        serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--traces-to", url, COLUMNS="200", PYTHONPATH=str(tmp_path)),
    ):
        pass


class FailingApp:
    """An application that fails, which the real one does on no request that is known."""

    router = SimpleNamespace(find=lambda _path: (SimpleNamespace(label="/msg"), "x"))

    async def __call__(self, _request: Request) -> Response:
        raise ZeroDivisionError(TEXT)


def test_no_text_of_an_exception_is_exported() -> None:
    """The span of a request that fails unexpectedly is an error, without the exception's text, class or place."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = TracedApp(FailingApp(), provider.get_tracer("test"))  # type: ignore[arg-type]

    async def serve() -> None:
        with pytest.raises(ZeroDivisionError):
            await app(request_to("/msg/x"))

    asyncio.run(serve())
    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())
    assert TEXT not in span.to_json()
