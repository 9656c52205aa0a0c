"""HTTP/1.1 on one connection: uvicorn's, with our answers, our ceilings and our deadlines."""

import asyncio
from collections import deque
from typing import Any, cast

import httptools
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_remote_addr, is_ssl
from uvicorn.server import ServerState

from messaging_api.errors import IncompleteBody, InvalidRequest, MessagingError, Overloaded
from messaging_api.server.answers import last_words, new_id, overloaded
from messaging_api.server.connection_task import ConnectionTask
from messaging_api.server.cycle import Cycle
from messaging_api.server.load import WorkerLoad
from messaging_api.server.timeouts import Phase, State
from messaging_api.web.problems import HeadTooLarge

LINGER = 1.0
"""Seconds that an idle connection stays open when the service stops: its next request may be on the way already."""
MAX_HEAD = 65_536
"""Bytes that a request's head may have."""
MAX_PIPELINED = 100
"""Requests that may wait on one connection for those before them."""
SMALL = 8192
"""Bytes of a body that are taken however much others hold."""
_BITE = 16_384
"""Bytes that are parsed at once; the ceilings above are looked at in between."""

_REASONS = {Phase.HEAD: "slow_head", Phase.BODY: "slow_body", Phase.SEND: "slow_reader"}
_INCOMPLETE: Any = {}
"""The scope while a head has not been read to its end."""
_UNREAD: Any = deque(maxlen=0)
"""Where trailers go. Merged into the headers (RFC 9110, section 6.5.1) they could say what a proxy had taken out."""


class Protocol(HttpToolsProtocol):
    """One connection within what `gate` takes."""

    _stopping = False
    _head = 0
    _held = 0
    _running: Cycle | None = None
    cycle: Cycle

    def __init__(self, config: Config, state: ServerState, app: ASGI3Application, gate: WorkerLoad) -> None:
        super().__init__(config, state, {})
        self.app = app
        self._gate = gate
        self._task = ConnectionTask(self.loop, self.tasks)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        if len(self.connections) < self._gate.max_connections:
            super().connection_made(transport)
        else:
            transport.set_protocol(RejectedConnection(transport, self._gate))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being served; uvicorn tells the newest, which may still wait behind it."""
        self._abandon()
        self._release()
        self._task.end()
        super().connection_lost(exc)
        self.cycle = self._running = None  # type: ignore[assignment]  # which hold it: it must not wait for the collector

    def data_received(self, data: bytes) -> None:
        """Parse; a request whose head is complete is begun from within."""
        try:
            for bite in (data,) if len(data) <= _BITE else _bites(data):
                self.parser.feed_data(bite)
                cycle: RequestResponseCycle | None = self.cycle  # None until the first request, whatever uvicorn says
                if cycle is None or cycle.scope is not self.scope:
                    self._head += len(bite)
                    if self._head > MAX_HEAD:
                        self._refuse(HeadTooLarge(MAX_HEAD), "head_too_large")
                        return
                elif len(self.pipeline) > MAX_PIPELINED:
                    self._refuse(Overloaded(), "pipelined")
                    return
        except httptools.HttpParserUpgrade:
            pass  # it goes on as HTTP/1.1, as RFC 9110, section 7.8 allows
        except httptools.HttpParserError:
            self._refuse(InvalidRequest("This is not HTTP/1.1 as in RFC 9112."), "malformed")

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self.scope = _INCOMPLETE

    def on_headers_complete(self) -> None:
        """Begin to serve, or queue behind what is being served. In the place of uvicorn's, which makes more of it."""
        before: RequestResponseCycle | None = self.cycle  # None until the first request, whatever uvicorn says
        cycle = self.cycle = Cycle(self)
        self.scope = cycle.scope
        self.headers = _UNREAD
        self._head = 0
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Hand on; many bodies that stop short of their end must not fill the memory."""
        cycle = self.cycle
        if cycle.response_complete or cycle.disconnected:
            return
        self._held += len(body)
        self._gate.held += len(body)
        if self._gate.held > self._gate.max_held and self._held > SMALL:
            self._refuse(Overloaded(), "bodies")
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.wake()

    def on_message_complete(self) -> None:
        self._release()
        self.cycle.more_body = False
        self.cycle.wake()

    def _release(self) -> None:
        if self._held:
            self._gate.held -= self._held
            self._held = 0

    def on_response_complete(self) -> None:
        """Go on with what the client sent meanwhile."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._stopping:
            cycle.keep_alive = False
        if len(self.tasks) - self._gate.slow >= self._gate.max_in_flight:
            self._note("overloaded")
            app = cast("ASGI3Application", overloaded)
        self._running = cast("Cycle", cycle)
        self._task.serve(cycle, app)

    def shutdown(self) -> None:
        """Finish what was begun; whatever is still asked is answered, and is the last."""
        self._stopping = True
        if self._idle():
            self.loop.call_later(LINGER, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._idle():
            self.transport.close()

    def state(self) -> State:
        """See `deadlines.TimedConnection`."""
        cycle: RequestResponseCycle | None = self.cycle
        if self.transport.is_closing():
            return Phase.CLOSING, None
        if self.transport.get_write_buffer_size():
            return Phase.SEND, cycle
        if cycle is None or cycle.scope is not self.scope:
            return Phase.HEAD, cycle
        if cycle.more_body:
            return Phase.BODY, cycle
        return Phase.IDLE if cycle.response_complete else Phase.WORK, cycle

    def expire(self, phase: Phase) -> None:
        """See `deadlines.TimedConnection`. A request whose head was seen gets an answer, if none has begun."""
        if phase is Phase.BODY and not self.pipeline and not self.cycle.response_started:
            self._refuse(IncompleteBody(), "slow_body")
            return
        if phase in _REASONS and self.scope is not None:
            self._note(_REASONS[phase])
        if phase in (Phase.SEND, Phase.CLOSING):
            self.transport.abort()
        else:
            self.transport.close()

    def _refuse(self, error: MessagingError, reason: str) -> None:
        request_id = new_id()
        self._note(reason, request_id)
        self.transport.write(last_words(error, request_id, secure=self.scheme == "https"))
        self.transport.close()
        self._abandon()
        self._release()

    def _abandon(self) -> None:
        """Whatever is being served, nobody waits for its answer."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.wake()

    def _note(self, reason: str, request_id: str | None = None) -> None:
        self._gate.audit.rejected(reason, self.client[0] if self.client else "", request_id=request_id)


class RejectedConnection(asyncio.Protocol):
    """A connection over the ceiling: whatever it asks first is answered with 503, and it ends.

    Only after having read it: a close with something unread is a reset, which may take the answer with it.
    """

    def __init__(self, transport: asyncio.Transport, gate: WorkerLoad) -> None:
        self._transport = transport
        self._gate = gate
        client = get_remote_addr(transport)
        self._request_id = new_id()
        gate.audit.rejected("connections", client[0] if client else "", request_id=self._request_id)
        if len(gate.leaving) < gate.max_connections:
            gate.leaving.add(self)
            self._timer = asyncio.get_running_loop().call_later(LINGER, transport.abort)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Whatever it is."""
        self._transport.write(last_words(Overloaded(), self._request_id, secure=is_ssl(self._transport)))
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self in self._gate.leaving:
            self._gate.leaving.remove(self)
            self._timer.cancel()


def _bites(data: bytes) -> list[bytes]:
    return [data[start : start + _BITE] for start in range(0, len(data), _BITE)]
