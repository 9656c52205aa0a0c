"""Answer requests in this process, without sockets: the program whose instructions valgrind counts.

    python -m benchmarks.in_process uvicorn|httptools|<store> read|create <rounds> <paths>

Each round gives one request to each of 32 connections, whose transports only notice the end of a response.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from benchmarks.baseline import Answer, Headers, HttptoolsConnection, uvicorn_config, whole_responses
from benchmarks.instructions import AT_ONCE
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import SharedMetrics
from messaging_api.observability.rotating_file import DailyFile
from messaging_api.runtime.application import create_app, now_ms
from messaging_api.server.http1 import HttpConnection
from messaging_api.server.load import WorkerLoad
from messaging_api.settings.server import load
from messaging_api.stores import StoreOptions, open_store
from messaging_api.web.routes import LABELS

_TEXT = json.dumps({"message": "0123456789abcdef" * 64}).encode()
_HEAD = b"Host: 127.0.0.1:43210\r\nAccept: application/json\r\n"
_POST = b"POST / HTTP/1.1\r\n%bContent-Type: application/json\r\n" % _HEAD
_POST += b"Content-Length: %d\r\n\r\n%b" % (len(_TEXT), _TEXT)
_BODY = b"x" * 1129 + b"}"
_HEADERS: Headers = [
    *((b"x-%d" % n, b"as long as ours are in the mean, ") for n in range(9)),
    (b"content-length", b"1130"),
]
_ANSWERS: dict[str, Answer] = dict.fromkeys(("GET", "POST"), (_HEADERS, _BODY))
"""Header lines and a body about as long as the service's, for the baselines."""


class Server(NamedTuple):
    """What makes a connection, and what is awaited at the end."""

    create_connection: Callable[[], asyncio.Protocol]
    aclose: Callable[[], Awaitable[None]]


class FakeTransport(asyncio.Transport):
    """A transport whose peer takes everything at once; calls `on_response` at the end of each response."""

    def __init__(self, on_response: Callable[[], None]) -> None:
        super().__init__()
        self._on_response = on_response

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the same address for both ends."""
        return ("127.0.0.1", 5000) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        """Return False."""
        return False

    def get_write_buffer_size(self) -> int:
        """Return 0."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignore the limits: the buffer is empty."""

    def pause_reading(self) -> None:
        """Ignore it: one request at a time is given to a connection."""

    def resume_reading(self) -> None:
        """Ignore it likewise."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Notice the end of a response: every body ends with a brace."""
        if bytes(data[-1:]) == b"}":
            self._on_response()

    def writelines(self, list_of_data: Any) -> None:
        """Join the parts."""
        self.write(b"".join(list_of_data))


async def _no_store() -> None:
    """Close nothing."""


def _uvicorn_baseline() -> Server:
    config = uvicorn_config(_ANSWERS)
    config.load()
    return Server(lambda: HttpToolsProtocol(config, ServerState(), {}), _no_store)


def _httptools_baseline() -> Server:
    responses = whole_responses(_ANSWERS)
    return Server(lambda: HttptoolsConnection(responses), _no_store)


def _service(url: str, logs: Path) -> Server:
    """Build the service with everything on; limits are counted, but never reached."""
    limits = dict.fromkeys(("limit_create", "limit_read", "limit_miss"), "1000000")
    settings, _ = load({"store": url, **limits}, {})
    row = SharedMetrics(1, LABELS).workers[0]
    logger = JsonLogger(DailyFile(str(logs), 1))
    audit, store = AuditLog(logger, row), open_store(url, now_ms, StoreOptions(60))
    app = create_app(settings, store, audit, logger, row)
    return Server(_connections(app, audit), store.aclose)


def _connections(app: Any, audit: AuditLog) -> Callable[[], asyncio.Protocol]:
    """Return what makes a connection of the service's HTTP server: the one place that knows that server."""
    load = WorkerLoad(audit, 1000, 1000, 2**26, date=b"date: Wed, 25 Nov 2026 12:00:00 GMT\r\n")
    return lambda: HttpConnection(app, load)


def _server(kind: str, logs: Path) -> Server:
    if kind == "uvicorn":
        return _uvicorn_baseline()
    return _httptools_baseline() if kind == "httptools" else _service(kind, logs)


async def run(kind: str, requests: Iterator[bytes], rounds: int, logs: Path) -> None:
    """Answer `rounds` times 32 requests."""
    server = _server(kind, logs)
    left, done = 0, asyncio.Event()

    def on_response() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    connections = [server.create_connection() for _ in range(AT_ONCE)]
    for one in connections:
        one.connection_made(FakeTransport(on_response))
    for _ in range(rounds):
        left = AT_ONCE
        done.clear()
        for one in connections:
            one.data_received(next(requests))
        await done.wait()
        await asyncio.sleep(0)
    await server.aclose()


def _requests(request: str, paths: Path) -> Iterator[bytes]:
    if request == "create":
        return itertools.repeat(_POST)
    return itertools.cycle(b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), _HEAD) for path in paths.read_text().split())


def main(kind: str, request: str, rounds: str, paths: str) -> None:
    """Run what the command line says."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(kind, _requests(request, Path(paths)), int(rounds), Path(paths).with_name("logs")))


if __name__ == "__main__":
    main(*sys.argv[1:])
