"""A short way for answers that are whole.

ASGI hands an answer over in two messages with a list of headers, which the server checks and joins anew each time. Ours
are whole and their header lines were made beforehand, so the application gives them at once, through an extension of
the scope (ASGI 3, "Extensions"): `await scope["extensions"][WHOLE](status, lines, body)`. It spares
the checks, a dozen header tuples and one write to the socket; `docs/performance.md` has the figures.
"""

from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from messaging_api.web.http import Header, joined


async def respond(cycle: RequestResponseCycle, status: int, lines: bytes, body: bytes) -> None:
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
