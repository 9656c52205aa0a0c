"""The ops port: /live, /ready and /metrics, never on the public one."""

from messaging_api.core.store import Store
from messaging_api.errors import StoreError
from messaging_api.observability.metrics import SharedMetrics
from messaging_api.web.prometheus import PrometheusExporter
from messaging_api.web.types import Receive, Scope, Send

_TEXT = b"text/plain; charset=utf-8"
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"


class OpsApp:
    """Tells of the service over `store` whose numbers are on `board`."""

    def __init__(self, board: SharedMetrics, store: Store, exposition: PrometheusExporter) -> None:
        self._board = board
        self._store = store
        self._exposition = exposition

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        status, kind, body = await self._answer(scope["method"], scope["path"])
        headers = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *(((b"allow", b"GET, HEAD"),) if status == 405 else ()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str) -> tuple[int, bytes, bytes]:
        if path not in ("/live", "/ready", "/metrics"):
            return 404, _TEXT, b"There are /live, /ready and /metrics.\n"
        if method not in ("GET", "HEAD"):
            return 405, _TEXT, b"GET and HEAD only.\n"
        if path == "/metrics":
            return 200, _METRICS, await self._exposition.text()
        stuck = self._exposition.stuck()
        if stuck:
            return 503, _TEXT, f"{stuck} of {len(self._board.rows)} workers give no sign of life.\n".encode()
        return await self._ready() if path == "/ready" else (200, _TEXT, b"alive\n")

    async def _ready(self) -> tuple[int, bytes, bytes]:
        if self._board.parent.get("draining"):
            return 503, _TEXT, b"This service is about to stop; send no more requests.\n"
        try:
            await self._store.ping()
        except StoreError as error:
            return 503, _TEXT, f"{error}\n".encode()
        return 200, _TEXT, b"ready\n"
