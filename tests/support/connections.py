"""Connections of the HTTP server without sockets: a transport that keeps what is written."""

import asyncio
from typing import Any

from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import ProcessMetrics, SharedMetrics
from messaging_api.server.http1 import Application, HttpConnection
from messaging_api.server.load import WorkerLoad
from messaging_api.web.responses import HeaderBlock, Response
from messaging_api.web.routes import LABELS
from messaging_api.web.types import Request

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BLOCK = HeaderBlock()


async def ok(_request: Request) -> Response:
    """Answer 200 at once."""
    return Response(200, BLOCK, b"ok")


def worker_load(
    max_connections: int = 10, max_in_flight: int = 10, max_held: int = 1 << 20
) -> tuple[WorkerLoad, ProcessMetrics]:
    """Return limits of a worker, and the metrics that its rejections are counted in."""
    metrics = SharedMetrics(1, LABELS).workers[0]
    return WorkerLoad(
        AuditLog(JsonLogger(None, console=-1), metrics), max_connections, max_in_flight, max_held
    ), metrics


class FakeTransport(asyncio.Transport):
    """A transport that keeps what is written, and notes how it was ended."""

    def __init__(self, *, secure: bool = False) -> None:
        super().__init__()
        self.written = b""
        self.buffered = 0
        self.reading = True
        self.closing = self.aborted = self.eof = False
        self.protocol: asyncio.BaseProtocol | None = None
        self._secure = secure

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.1", 5000), "sslcontext": self._secure or None}.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: Any) -> None:
        assert not self.closing
        assert not self.eof
        self.written += data

    def can_write_eof(self) -> bool:
        return not self._secure

    def write_eof(self) -> None:
        self.eof = True

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True


def connected(
    application: Application = ok, load: WorkerLoad | None = None, *, secure: bool = False
) -> tuple[HttpConnection, FakeTransport]:
    """Return a connection to `application`, which answers 200 if none is given, and its transport."""
    connection, transport = HttpConnection(application, load or worker_load()[0]), FakeTransport(secure=secure)
    connection.connection_made(transport)
    return connection, transport


def statuses(written: bytes) -> list[int]:
    """Return the status of each response in `written`, 100 (Continue) included."""
    found = []
    while written:
        head, _, written = written.partition(b"\r\n\r\n")
        found.append(int(head.split()[1]))
        if found[-1] >= 200:
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
            written = written[int(length.split()[1]) :]
    return found
