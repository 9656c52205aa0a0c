"""HTTP/1.1 on one connection (RFC 9112): serves the requests one after the other, and drives their coroutines.

`docs/adr/0019-http-connection.md` says why there is no server framework below it and no task for each request.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

from messaging_api.core.pending import Driver
from messaging_api.errors import IncompleteBody, Overloaded
from messaging_api.server.body import EMPTY
from messaging_api.server.early_responses import Rejection, error_bytes
from messaging_api.server.exchange import Exchange
from messaging_api.server.load import WorkerLoad
from messaging_api.server.parser import RequestParser
from messaging_api.server.rejected import over_limit
from messaging_api.server.timeouts import ConnectionState, Phase
from messaging_api.web.problems import as_json, problem_of
from messaging_api.web.responses import Response, encode
from messaging_api.web.types import Request

Application = Callable[[Request], Coroutine[Any, Any, Response]]

MAX_PIPELINED = 100
"""Pipelined requests that may wait on one connection."""
READ_AHEAD = 65_536
"""Bytes of a body that are read before its handler requests it."""
CHUNK = 16_384
"""Bytes that are parsed at once; the limits are checked after each."""
LINGER = 1.0
"""Seconds that an idle connection stays open when the service stops: its next request may already be on the way."""

_SLOW = {Phase.HEAD: "slow_head", Phase.BODY: "slow_body", Phase.SEND: "slow_reader"}


class HttpConnection(asyncio.Protocol):
    """One connection to `application`, within the limits of `load`."""

    def __init__(self, application: Application, load: WorkerLoad) -> None:
        self._application = application
        self._load = load
        self._driver: Driver[Response] = Driver()
        self._queue: deque[Exchange] = deque()
        self._serving: Exchange | None = None
        self._rejection: Rejection | None = None
        self._input_closed = False
        """Whether parsing has ended: the client has closed its side, or sent input that cannot be served."""
        self._reading = self._writable = True
        self._lingering = self._stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the connection, or reject it if there are too many."""
        if len(self._load.connections) >= self._load.max_connections:
            rejected = over_limit(self._load)
            cast("asyncio.Transport", transport).set_protocol(rejected)
            rejected.connection_made(transport)
            return
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer: str = peer[0] if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._parser = RequestParser(self, self._load, self._peer, secure=self._secure)
        self._load.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the request being served, so that a client known to be disconnected spends no read."""
        self._load.connections.discard(self)
        self._input_closed = True
        self._driver.close()
        self._end_exchange()
        self._drop_unserved()
        self._parser.close()
        self._load.on_connection_lost()

    def data_received(self, data: bytes) -> None:
        """Parse the data, and serve the requests whose heads are complete."""
        if len(data) <= CHUNK:
            self._parse(data)
        else:
            for start in range(0, len(data), CHUNK):
                self._parse(data[start : start + CHUNK])
        receiving = self._parser.receiving
        if self._lingering:
            return
        if self._queue or (receiving is not None and receiving.body.size > READ_AHEAD and not receiving.body.awaited):
            self._pause_reading()

    def _parse(self, data: bytes) -> None:
        if self._input_closed:
            return
        try:
            self._parser.feed(data)
        except Rejection as rejection:
            self._reject(rejection)
        if self._parser.ended:
            self._input_closed = True
        if self._serving is None:
            self._serve_next()

    def eof_received(self) -> bool:
        """Keep a half-closed connection open for the responses that are due. TLS connections are closed at once."""
        if self._secure or self._lingering:
            return False
        if self._parser.receiving is not None and not self._input_closed:
            self._reject(Rejection(IncompleteBody(), "incomplete"))
        self._input_closed = True
        self._serve_next()
        return not self._transport.is_closing()

    def pause_writing(self) -> None:
        """Pause serving until the client has received the responses sent so far."""
        self._writable = False

    def resume_writing(self) -> None:
        """Resume serving."""
        self._writable = True
        self._serve_next()

    def exchange_begun(self, exchange: Exchange) -> None:
        """See `exchange.ExchangeListener`."""
        if len(self._queue) > MAX_PIPELINED:
            raise Rejection(Overloaded(), "pipelined")
        self._queue.append(exchange)

    def body_awaited(self) -> None:
        """See `exchange.ExchangeListener`."""
        self._load.in_flight -= 1
        serving = self._serving
        if serving is not None and serving.expects_continue and not serving.body.size:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._resume_reading()

    def body_continued(self) -> None:
        """See `exchange.ExchangeListener`."""
        self._load.in_flight += 1

    def _serve_next(self) -> None:
        """Serve the next request, unless one is being served; after the last one, finish the input."""
        if self._serving is not None or not self._writable or self._lingering or self._transport.is_closing():
            return
        if not self._queue:
            self._finish_input()
            return
        exchange = self._serving = self._queue.popleft()
        self._load.in_flight += 1
        if self._load.in_flight <= self._load.max_in_flight:
            self._driver.run(self._application(exchange.request), self._respond)
        else:
            self._record("overloaded", exchange.request.request_id)
            self._respond(as_json(problem_of(Overloaded())))

    def _respond(self, outcome: Response | BaseException) -> None:
        exchange, transport, load = self._serving, self._transport, self._load
        self._end_exchange()
        if exchange is None or transport.is_closing():
            return
        response = outcome if isinstance(outcome, Response) else self._failed(outcome)
        last = self._input_closed and not self._queue and self._rejection is None
        close = response.close or last or self._stopping or not exchange.keep_alive
        if exchange.expects_continue and not exchange.body.complete:
            close = True  # the client may leave its body out now, and what it sends next would be taken for it
        request = exchange.request
        transport.write(encode(response, request.request_id, load.date, self._secure, close, request.method == "HEAD"))
        if close:
            self._close()
        elif self._queue:  # other connections come in between
            asyncio.get_running_loop().call_soon(self._serve_next)
        elif self._rejection is not None or self._input_closed or not self._reading:
            self._finish_input()

    def _failed(self, error: BaseException) -> Response:
        """Return the response to an unexpected error; the application itself responds to all other errors."""
        if not isinstance(error, Exception):
            raise error
        asyncio.get_running_loop().call_exception_handler({"message": "The application failed.", "exception": error})
        response = as_json(problem_of(error))
        response.close = True
        return response

    def _end_exchange(self) -> None:
        exchange, self._serving = self._serving, None
        if exchange is not None:
            self._load.in_flight -= 1
            if exchange.body is not EMPTY:
                exchange.body.drop()

    def _finish_input(self) -> None:
        """Finish the input once every received request is answered."""
        if self._rejection is not None:
            self._write_rejection(self._rejection)
        elif self._input_closed:
            self._transport.close()
        else:
            self._resume_reading()

    def _reject(self, rejection: Rejection) -> None:
        """Take no more input.

        The rejection is sent after the responses that are due (RFC 9112, section 9.3.2). A request whose own body is
        broken is answered by its handler, or was answered before.
        """
        self._input_closed = True
        rejection.forget_frames()
        broken = self._parser.receiving
        if broken is not None and broken in self._queue:
            self._queue.remove(broken)
            broken.body.drop()
        elif broken is not None:
            self._record(rejection.reason)
            broken.body.fail(rejection.error)
            return
        self._rejection = rejection

    def _write_rejection(self, rejection: Rejection) -> None:
        request_id = next(self._load.request_ids)
        self._record(rejection.reason, request_id)
        self._transport.write(error_bytes(rejection.error, request_id, self._load.date, secure=self._secure))
        self._close()

    def _close(self) -> None:
        """Close after the last response. The input of a client that still sends is drained, to avoid a reset."""
        drained = self._input_closed and self._rejection is None and self._parser.receiving is None
        self._input_closed = True
        self._drop_unserved()
        if drained or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._lingering = True
            self._transport.write_eof()
            self._resume_reading()

    def _drop_unserved(self) -> None:
        for exchange in self._queue:
            exchange.body.drop()
        self._queue.clear()
        if self._parser.receiving is not None:
            self._parser.receiving.body.drop()

    def _pause_reading(self) -> None:
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def shut_down(self) -> None:
        """Finish the requests that were begun; a request already on the way is answered as the last one."""
        self._stopping = True
        if self._idle():
            asyncio.get_running_loop().call_later(LINGER, self._close_if_idle)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _idle(self) -> bool:
        return self._serving is None and not self._queue

    def _close_if_idle(self) -> None:
        if self._idle():
            self._transport.close()

    def state(self) -> ConnectionState:
        """See `timeouts.TimedConnection`."""
        return self._phase(), self._parser.requests

    def _phase(self) -> Phase:
        parser = self._parser
        if self._transport.is_closing():
            return Phase.CLOSING
        if self._transport.get_write_buffer_size():
            return Phase.SEND
        if self._lingering:
            return Phase.LINGER
        if parser.receiving is not None and self._reading and not self._input_closed:
            return Phase.BODY
        if parser.receiving is not None or self._serving is not None:
            return Phase.WORK
        return Phase.HEAD if parser.in_head or not parser.started else Phase.IDLE

    def expire(self, phase: Phase) -> None:
        """See `timeouts.TimedConnection`. A request whose head was complete gets a response, if it has none yet."""
        if phase is Phase.BODY and self._serving is not None:
            self._reject(Rejection(IncompleteBody(), "slow_body"))
            self._serve_next()
            return
        if phase in _SLOW and self._parser.started:
            self._record(_SLOW[phase])
        if phase in (Phase.SEND, Phase.CLOSING, Phase.LINGER):
            self._transport.abort()
        else:
            self._transport.close()

    def _record(self, reason: str, request_id: str | None = None) -> None:
        self._load.audit.rejected(reason, self._peer, request_id=request_id)
