"""HTTP/1.1 on one connection: uvicorn's protocol, our answer to what is not HTTP, and a short way for whole answers.

ASGI hands an answer over in two messages with a list of headers, which the server checks and joins anew each time. Ours
are whole and their header lines were made beforehand, so the application gives them at once, through an extension of
the scope (ASGI 3, "Extensions"): `await scope["extensions"][WHOLE](status, lines, body)`. It spares
the checks, a dozen header tuples and one write to the socket; `docs/performance.md` has the figures.
"""

import os
from functools import lru_cache, partial

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from messaging_api.errors import Invalid
from messaging_api.web.app import fixed_lines
from messaging_api.web.http import WHOLE, Header, joined
from messaging_api.web.problems import problem

LINGER = 1.0
"""Seconds that an idle connection stays open when the service stops: its next request may be on the way already."""


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection."""

    _stopping = False

    def shutdown(self) -> None:
        """Finish what was begun; whatever is still asked is answered, and is the last."""
        self._stopping = True
        if self._idle():
            self.loop.call_later(LINGER, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._stopping:
            cycle.keep_alive = False
        cycle.scope["extensions"] = {WHOLE: partial(_respond, cycle)}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request, whatever uvicorn declares
        return cycle is None or cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._idle():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed gets a problem like any other, and the connection ends."""
        response = problem(Invalid("This is not HTTP/1.1 as in RFC 9112."))
        fixed = fixed_lines(response.headers, self.scheme or "http")
        lines = b"%bcontent-length: %d\r\nconnection: close\r\nx-request-id: %b\r\n\r\n" % (
            fixed,
            len(response.body),
            os.urandom(8).hex().encode(),
        )
        self.transport.write(STATUS_LINE[400] + lines + response.body)
        self.transport.close()


async def _respond(cycle: RequestResponseCycle, status: int, lines: bytes, body: bytes) -> None:
    """Send the whole answer in one write. `lines` end with CR LF each and hold the length of what GET would give."""
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    if b"connection: close" in lines:
        cycle.keep_alive = False
    elif not cycle.keep_alive:
        lines += b"connection: close\r\n"
    default = _default_lines(tuple(cycle.default_headers))
    cycle.transport.write(b"".join((STATUS_LINE[status], default, lines, b"\r\n", body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


@lru_cache(1)
def _default_lines(headers: tuple[Header, ...]) -> bytes:
    """The date, which uvicorn changes once a second."""
    return joined(headers)
