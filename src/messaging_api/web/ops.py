"""The ops port: /live, /ready and /metrics, never on the public one."""

from messaging_api.core.pending import TaskResult
from messaging_api.core.store import Store
from messaging_api.errors import StoreError
from messaging_api.observability.metrics import SharedMetrics
from messaging_api.web.prometheus import PrometheusExporter
from messaging_api.web.responses import HeaderBlock, Response, lines
from messaging_api.web.types import Request

_TEXT = HeaderBlock((b"content-type", b"text/plain; charset=utf-8"))
_METRICS = HeaderBlock((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"))


class OpsApp:
    """The application of the ops port: liveness, readiness and metrics of the service over `store`."""

    def __init__(self, metrics: SharedMetrics, store: Store, exporter: PrometheusExporter) -> None:
        self._metrics = metrics
        self._store = store
        self._exporter = exporter

    async def __call__(self, request: Request) -> Response:
        """Serve one request in a task, because it waits for threads."""
        return await TaskResult(self._serve(request.method, request.path))

    async def _serve(self, method: str, path: str) -> Response:
        if path not in ("/live", "/ready", "/metrics"):
            return _text(404, "There are /live, /ready and /metrics.")
        if method not in ("GET", "HEAD"):
            response = _text(405, "GET and HEAD only.")
            response.lines = lines([(b"allow", b"GET, HEAD")])
            return response
        if path == "/metrics":
            return Response(200, _METRICS, await self._exporter.text())
        stuck = self._exporter.stuck()
        if stuck:
            return _text(503, f"{stuck} of {len(self._metrics.workers)} workers give no sign of life.")
        return await self._ready() if path == "/ready" else _text(200, "alive")

    async def _ready(self) -> Response:
        if self._metrics.supervisor.get("draining"):
            return _text(503, "This service is about to stop; send no more requests.")
        try:
            await self._store.ping()
        except StoreError as error:
            return _text(503, str(error))
        return _text(200, "ready")


def _text(status: int, text: str) -> Response:
    return Response(status, _TEXT, f"{text}\n".encode())
