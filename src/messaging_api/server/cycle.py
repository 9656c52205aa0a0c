"""One request and its answer: uvicorn's, made with less, and with a short way for answers that are whole.

ASGI hands an answer over in two messages with a list of headers, which the server checks and joins anew each time. Ours
are whole and their header lines were made beforehand, so the application gives them at once, through an extension of
the scope (ASGI 3, "Extensions"): `await scope["extensions"][WHOLE](status, lines, body)`. It spares the checks, a dozen
header tuples and one write to the socket; `docs/performance.md` has the figures.
"""

import asyncio
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from messaging_api.web.types import WHOLE, Header, joined

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


class Cycle(RequestResponseCycle):
    """What uvicorn sets to the same for each request lies in the class here; the scope holds what ASGI 3 demands."""

    access_log = False
    disconnected = False
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0
    more_body = True
    _event: asyncio.Event | None = None

    transport = property(attrgetter("_protocol.transport"))
    flow = property(attrgetter("_protocol.flow"))
    logger = property(attrgetter("_protocol.logger"))
    default_headers = property(attrgetter("_protocol.server_state.default_headers"))
    on_response = property(attrgetter("_protocol.on_response_complete"))

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        version = protocol.parser.get_http_version()
        self._protocol = protocol
        self.scope = _scope(protocol, version, self.respond)
        self.keep_alive = version != "1.0" and protocol.parser.should_keep_alive()
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.body = bytearray()

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]  # uvicorn's is made for each request
        """For what comes of the body, or its end; most requests have none, and nobody waits."""
        if self._event is None:
            self._event = asyncio.Event()
            if self.body or not self.more_body or self.disconnected or self.response_complete:
                self._event.set()
        return self._event

    def wake(self) -> None:
        """Tell whoever waits, if anyone does."""
        if self._event is not None:
            self._event.set()

    async def run_asgi(self, app: ASGI3Application) -> None:
        """As uvicorn's, for applications that answer whole."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException:
            self.logger.exception("The application failed.")
        if not self.response_complete and not self.disconnected:
            await self.send_500_response()

    async def respond(self, status: int, lines: bytes, body: bytes) -> None:
        """Send the whole answer in one write. `lines` end with CR LF each and hold the length GET would give.

        There is one, so the scope lets go of this method: else each request is garbage that holds itself.
        """
        self.scope["extensions"].clear()
        protocol = self._protocol
        if protocol.flow.write_paused and not self.disconnected:
            await protocol.flow.drain()
        if self.disconnected:
            return
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        if b"connection: close" in lines:
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        default = _default_lines(tuple(protocol.server_state.default_headers))
        protocol.transport.write(b"".join((STATUS_LINE[status], default, lines, b"\r\n", body)))
        self.wake()
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


def _scope(protocol: HttpToolsProtocol, version: str, respond: Any) -> Any:  # noqa: ANN401 ASGI's types are looser
    path, query = _target(protocol.url)
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "server": protocol.server,
        "client": protocol.client,
        "scheme": protocol.scheme,
        "method": protocol.parser.get_method().decode("ascii"),
        "path": unquote(path) if "%" in path else path,
        "query_string": query,
        "headers": protocol.headers,
        "extensions": {WHOLE: respond},
    }


def _target(url: bytes) -> tuple[str, bytes]:
    """Path and query of a request target (RFC 9112, section 3.2); a path that is just that needs no parser."""
    if url[:1] == b"/" and b"#" not in url:
        path, _, query = url.partition(b"?")
    else:
        parsed = httptools.parse_url(url)
        path, query = parsed.path, parsed.query or b""
    return path.decode("ascii"), query


@lru_cache(1)
def _default_lines(headers: tuple[Header, ...]) -> bytes:
    """The date, which uvicorn changes once a second."""
    return joined(headers)
