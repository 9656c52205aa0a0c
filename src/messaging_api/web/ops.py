"""The ops port: /live, /ready and /metrics, never on the public one."""

from collections.abc import Awaitable, Callable

from messaging_api.errors import StoreError
from messaging_api.metrics import Board
from messaging_api.web.http import Receive, Scope, Send

STALE = 10.0
"""Seconds without a sign of life after which a process counts as stuck."""

_TEXT = b"text/plain; charset=utf-8"
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"


class OpsApp:
    """`ping` touches the store; `clock` is the monotonic one that heartbeats are written by, in seconds."""

    def __init__(self, board: Board, ping: Callable[[], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._board = board
        self._ping = ping
        self._clock = clock

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
            return 200, _METRICS, self._board.text()
        stuck = [row for row in self._board.rows if self._clock() - row.get("heartbeat") > STALE]
        if stuck:
            return 503, _TEXT, f"{len(stuck)} of {len(self._board.rows)} workers give no sign of life.\n".encode()
        return await self._ready() if path == "/ready" else (200, _TEXT, b"alive\n")

    async def _ready(self) -> tuple[int, bytes, bytes]:
        if self._board.parent.get("draining"):
            return 503, _TEXT, b"This service is about to stop; send no more requests.\n"
        try:
            await self._ping()
        except StoreError as error:
            return 503, _TEXT, f"{error}\n".encode()
        return 200, _TEXT, b"ready\n"
