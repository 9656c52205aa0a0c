"""HTTP/1.1 on one connection. Where no socket matters, its transport only keeps what is written."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import uvloop

from messaging_api.core.pending import Pending, TaskResult
from messaging_api.errors import IncompleteBody, InvalidRequest
from messaging_api.server import http1, rejected
from messaging_api.server.http1 import MAX_PIPELINED, READ_AHEAD, HttpConnection
from messaging_api.server.load import WorkerLoad
from messaging_api.server.timeouts import Phase
from messaging_api.web.problems import as_json, problem_of
from messaging_api.web.responses import Response
from messaging_api.web.types import Request
from tests.support.connections import BLOCK, GET, FakeTransport, connected, ok, statuses, worker_load

REQUESTS = 100
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in an event loop."""

    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


class Waiting:
    """An application that waits until the test resolves what it awaits."""

    def __init__(self) -> None:
        self.pending: list[Pending[bytes]] = []
        self.ended: list[str] = []

    async def __call__(self, request: Request) -> Response:
        pending: Pending[bytes] = Pending()
        self.pending.append(pending)
        try:
            return Response(200, BLOCK, await pending)
        except GeneratorExit:
            self.ended.append(request.path)
            raise


async def echo(request: Request) -> Response:
    """Answer with the body of the request."""
    try:
        return Response(200, BLOCK, await request.body.read(1 << 20))
    except IncompleteBody as error:
        return as_json(problem_of(error))


async def settled() -> None:
    """Let everything run that the loop has scheduled."""
    for _ in range(5):
        await asyncio.sleep(0)


@in_loop
async def test_requests_leave_no_cycles() -> None:
    """The garbage collector runs rarely: nothing of a request waits for it."""
    connection, transport = connected()
    connection.data_received(GET)
    gc.collect()
    gc.disable()
    try:
        for _ in range(REQUESTS):
            connection.data_received(GET)
        assert gc.collect() < REQUESTS
    finally:
        gc.enable()
    assert statuses(transport.written) == [200] * (REQUESTS + 1)


def test_closed_connections_leave_no_cycles() -> None:
    """On real sockets: connections that have closed do not fill the memory until the collector runs."""
    found: list[int] = []

    async def main() -> None:
        loop, (load, _) = asyncio.get_running_loop(), worker_load()
        server = await loop.create_server(partial(HttpConnection, ok, load), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def visit() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert asyncio.all_tasks() == {asyncio.current_task()}
            writer.close()
            await writer.wait_closed()
            while load.connections:
                await asyncio.sleep(0)

        await visit()
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                await visit()
            found.append(gc.collect())
        finally:
            gc.enable()
            server.close()
            await server.wait_closed()

    uvloop.run(main())
    assert found[0] < REQUESTS


@pytest.mark.parametrize(
    "data",
    [b"\0\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"],
    ids=["head", "body"],
)
def test_rejected_connections_leave_no_cycles(data: bytes) -> None:
    """The traceback of a rejection refers to the connection and to its input: a closed connection keeps neither."""

    async def main() -> None:
        connection, _ = connected(echo)
        connection.data_received(data)
        await settled()
        connection.connection_lost(None)
        left = weakref.ref(connection)
        del connection, _
        await settled()
        assert left() is None

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


@in_loop
async def test_no_task_is_made() -> None:
    """Neither for a connection nor for its requests, whether they come one by one, at once, or wait for their body."""
    own = {asyncio.current_task()}
    connection, transport = connected(echo)
    assert asyncio.all_tasks() == own
    for data in (POST % 0, (POST % 1 + b"a") * 5, POST % 2):
        connection.data_received(data)
        assert asyncio.all_tasks() == own
        await settled()
        assert asyncio.all_tasks() == own
    connection.data_received(b"ab")
    assert asyncio.all_tasks() == own
    assert statuses(transport.written) == [200] * 7
    connection.connection_lost(None)
    assert asyncio.all_tasks() == own


@in_loop
async def test_connections_are_served_in_turn() -> None:
    """A client that sends many requests at once does not delay those of another connection."""
    served: list[str] = []

    def noting(name: str) -> http1.Application:
        async def application(request: Request) -> Response:
            served.append(name)
            return await ok(request)

        return application

    for connection, _ in (connected(noting("one")), connected(noting("other"))):
        connection.data_received(GET * 5)
    await settled()
    assert served == ["one", "other"] * 5


@in_loop
async def test_application_that_fails_is_answered_with_500() -> None:
    """The connection ends, the loop's exception handler gets the error, and the request is no longer counted."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    async def fails(_request: Request) -> Response:
        raise ArithmeticError("secret")

    load, _ = worker_load()
    connection, transport = connected(fails, load)
    connection.data_received(GET)
    assert statuses(transport.written) == [500]
    assert b"\r\nconnection: close\r\n" in transport.written
    assert b"secret" not in transport.written
    assert transport.eof
    assert load.in_flight == 0
    assert [type(context["exception"]) for context in failures] == [ArithmeticError]


@in_loop
async def test_responses_come_in_the_order_of_the_requests() -> None:
    """The second of two requests is not begun before the first is answered (RFC 9112, section 9.3.2)."""
    application = Waiting()
    connection, transport = connected(application)
    connection.data_received(GET * 2)
    await settled()
    assert len(application.pending) == 1
    application.pending[0].resolve(b"first")
    await settled()
    application.pending[1].resolve(b"second")
    assert transport.written.index(b"first") < transport.written.index(b"second")
    assert statuses(transport.written) == [200, 200]
    assert not transport.closing


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n",
    ],
)
def test_connection_closes_after_the_last_request(request_: bytes) -> None:
    """After HTTP/1.0 and Connection: close; what follows is not served."""

    async def main() -> None:
        connection, transport = connected()
        connection.data_received(request_ + GET)
        await settled()
        assert statuses(transport.written) == [200]
        assert b"\r\nconnection: close\r\n" in transport.written
        assert transport.closing

    asyncio.run(main())


@in_loop
async def test_head_has_no_body() -> None:
    """HEAD is answered with the length of the body, and without it (RFC 9110, section 9.3.2)."""
    connection, transport = connected()
    connection.data_received(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"\r\ncontent-length: 2\r\n" in transport.written
    assert transport.written.endswith(b"\r\n\r\n")


@in_loop
async def test_request_that_waits_for_its_body_is_not_in_flight() -> None:
    """Slow clients do not use up the limit: a request counts only once it has what its handler needs."""
    load, _ = worker_load(max_in_flight=1)
    connection, transport = connected(echo, load)
    connection.data_received(POST % 4 + b"ab")
    assert (load.in_flight, load.held) == (0, 2)
    other, its_transport = connected(ok, load)
    other.data_received(GET)
    assert statuses(its_transport.written) == [200]
    connection.data_received(b"cd")
    assert transport.written.endswith(b"abcd")
    assert (load.in_flight, load.held) == (0, 0)


@in_loop
async def test_too_many_requests_in_flight_are_rejected() -> None:
    """503 with Retry-After at once, and the connection stays."""
    load, metrics = worker_load(max_in_flight=1)
    application = Waiting()
    connection, transport = connected(application, load)
    connection.data_received(GET)
    other, its_transport = connected(application, load)
    other.data_received(GET)
    assert statuses(its_transport.written) == [503]
    assert b"\r\nretry-after: 1\r\n" in its_transport.written
    assert not its_transport.closing
    assert load.in_flight == 1
    assert metrics.get("messaging_refusals", "overloaded") == 1
    application.pending[0].resolve(b"")
    other.data_received(GET)
    application.pending[1].resolve(b"")
    assert statuses(transport.written) + statuses(its_transport.written) == [200, 503, 200]


@in_loop
async def test_too_many_connections_are_rejected() -> None:
    """A connection over the limit gets 503, whatever it sends, and ends. It is told once it has sent something."""
    load, metrics = worker_load(max_connections=1)
    first, its_transport = connected(ok, load)
    second, transport = connected(ok, load)
    assert isinstance(transport.protocol, asyncio.Protocol)
    assert transport.written == b""
    transport.protocol.data_received(b"whatever")
    assert statuses(transport.written) == [503]
    assert transport.closing
    assert metrics.get("messaging_refusals", "connections") == 1
    transport.protocol.connection_lost(None)
    assert load.rejected == set()
    assert load.connections == {first}
    assert second not in load.connections
    first.data_received(GET)
    assert statuses(its_transport.written) == [200]
    assert its_transport.protocol is None


def test_rejected_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are served get a response; others are closed at once. A silent one is closed after a while."""
    monkeypatch.setattr(rejected, "LINGER", 0.0)

    async def main() -> None:
        load, _ = worker_load(max_connections=1)
        connected(ok, load)
        (_, told), (_, cut) = connected(ok, load), connected(ok, load)
        assert (told.aborted, cut.aborted) == (False, True)
        assert isinstance(cut.protocol, asyncio.Protocol)
        cut.protocol.connection_lost(None)
        while not told.aborted:
            await asyncio.sleep(0)
        assert isinstance(told.protocol, asyncio.Protocol)
        told.protocol.connection_lost(None)
        _, ended = connected(ok, load)
        assert isinstance(ended.protocol, asyncio.Protocol)
        ended.protocol.connection_lost(None)
        await settled()
        assert (ended.aborted, load.rejected) == (False, set())

    asyncio.run(main())


@in_loop
async def test_rejection_comes_after_the_responses_that_are_due() -> None:
    """What cannot be parsed is answered with 400 once the requests before it are answered, and ends the connection."""
    load, metrics = worker_load()
    application = Waiting()
    connection, transport = connected(application, load)
    connection.data_received(GET + b"\x00nonsense\r\n\r\n")
    assert transport.written == b""
    application.pending[0].resolve(b"")
    await settled()
    assert statuses(transport.written) == [200, 400]
    assert transport.written.count(b"connection: close") == 1
    assert transport.eof
    assert metrics.get("messaging_refusals", "malformed") == 1
    connection.data_received(GET)
    assert statuses(transport.written) == [200, 400]
    assert connection.state()[0] is Phase.LINGER
    assert connection.eof_received() is False


@in_loop
async def test_too_many_pipelined_requests_are_rejected() -> None:
    """As many as allowed are answered, then 503 ends the connection; meanwhile nothing is read."""
    load, metrics = worker_load()
    application = Waiting()
    connection, transport = connected(application, load)
    connection.data_received(GET)
    connection.data_received(GET * (MAX_PIPELINED + 2))
    assert not transport.reading
    for n in range(MAX_PIPELINED + 2):
        application.pending[n].resolve(b"")
        await settled()
    assert statuses(transport.written) == [200] * (MAX_PIPELINED + 2) + [503]
    assert metrics.get("messaging_refusals", "pipelined") == 1
    assert transport.eof


@in_loop
async def test_half_closed_connection_gets_its_responses() -> None:
    """A client may close its side after its requests; the last response says that the connection ends."""
    application = Waiting()
    connection, transport = connected(application)
    connection.data_received(GET * 2)
    assert connection.eof_received() is True
    application.pending[0].resolve(b"")
    await settled()
    assert b"connection: close" not in transport.written
    application.pending[1].resolve(b"")
    assert statuses(transport.written) == [200, 200]
    assert transport.written.count(b"connection: close") == 1
    assert transport.closing
    assert not transport.eof


@in_loop
async def test_closed_idle_connection_ends() -> None:
    """A client that closes its side without a request under way gets nothing; with TLS it is closed at once."""
    connection, transport = connected()
    connection.data_received(GET)
    before = transport.written
    assert connection.eof_received() is False
    assert (transport.written, transport.closing) == (before, True)
    secure, its_transport = connected(Waiting(), secure=True)
    secure.data_received(GET)
    assert secure.eof_received() is False
    assert its_transport.written == b""


@in_loop
async def test_body_that_breaks_off_is_answered_with_408() -> None:
    """Whether the request is being served or waits for another one before it."""
    load, metrics = worker_load()
    connection, transport = connected(echo, load)
    connection.data_received(POST % 9 + b"ab")
    assert connection.eof_received() is True
    assert statuses(transport.written) == [408]
    assert transport.eof
    assert (load.in_flight, load.held) == (0, 0)
    application = Waiting()
    waiting, its_transport = connected(application, load)
    waiting.data_received(GET + POST % 9 + b"ab")
    assert waiting.eof_received() is True
    application.pending[0].resolve(b"")
    await settled()
    assert statuses(its_transport.written) == [200, 408]
    assert (load.in_flight, load.held) == (0, 0)
    assert metrics.get("messaging_refusals", "incomplete") == 2


@in_loop
async def test_unread_body_is_dropped() -> None:
    """A handler that has not requested the body answers by itself; a broken body is noted, and holds nothing."""
    load, metrics = worker_load()
    connection, transport = connected(ok, load)
    connection.data_received(POST % 9 + b"ab")
    assert statuses(transport.written) == [200]
    connection.data_received(b"cd")
    assert load.held == 0
    connection.data_received(b"efghi" + GET)
    assert statuses(transport.written) == [200, 200]
    connection.data_received(POST % 9 + b"ab")
    assert connection.eof_received() is False
    assert statuses(transport.written) == [200] * 3
    assert transport.closing
    assert metrics.get("messaging_refusals", "incomplete") == 1


@in_loop
async def test_request_with_a_broken_body_is_answered_by_its_handler() -> None:
    """A handler that is busy with something else when the body breaks off answers, and the connection ends."""
    application = Waiting()
    load, metrics = worker_load()
    connection, transport = connected(application, load)
    connection.data_received(POST % 9 + b"ab")
    assert connection.eof_received() is True
    application.pending[0].resolve(b"mine")
    assert statuses(transport.written) == [200]
    assert transport.closing or transport.eof
    assert metrics.get("messaging_refusals", "incomplete") == 1
    assert (load.in_flight, load.held) == (0, 0)


@pytest.mark.parametrize(("rest", "status"), [(b"", 408), (b"x\r\n", 400)])
def test_handler_that_reads_a_broken_body_later_gets_the_error(rest: bytes, status: int) -> None:
    """A handler that waited for something else while the body broke answers as soon as it reads the body."""
    admitted: Pending[None] = Pending()

    async def later(request: Request) -> Response:
        await admitted
        try:
            return await echo(request)
        except InvalidRequest as error:
            return as_json(problem_of(error))

    async def main() -> None:
        load, _ = worker_load()
        connection, transport = connected(later, load)
        connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        if rest:
            connection.data_received(rest)
        else:
            assert connection.eof_received() is True
        assert transport.written == b""
        admitted.resolve(None)
        assert statuses(transport.written) == [status]
        assert b"connection: close" in transport.written
        assert (load.in_flight, load.held) == (0, 0)

    asyncio.run(main())


@in_loop
async def test_continue_is_sent_when_the_body_is_awaited() -> None:
    """100 (Continue) comes when the handler asks for a body none of which came (RFC 9110, section 10.1.1)."""
    expecting = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    connection, transport = connected(echo)
    connection.data_received(expecting % 2)
    assert statuses(transport.written) == [100]
    connection.data_received(b"ab")
    assert statuses(transport.written) == [100, 200]
    for chunks in ((b"ab",), (b"a", b"b")):
        connection.data_received(expecting % 2 + chunks[0])
        for chunk in chunks[1:]:
            connection.data_received(chunk)
    assert statuses(transport.written) == [100, 200, 200, 200]
    unread, its_transport = connected(ok)
    unread.data_received(expecting % 2)
    assert statuses(its_transport.written) == [200]


@in_loop
async def test_no_more_is_read_than_needed() -> None:
    """A body that its handler has not asked for is read ahead only so far, and read on when it asks."""
    begun: Pending[None] = Pending()

    async def later(request: Request) -> Response:
        await begun
        return await echo(request)

    load, _ = worker_load()
    connection, transport = connected(later, load)
    size = READ_AHEAD + 100
    connection.data_received(POST % size + b"a" * READ_AHEAD)
    assert transport.reading
    connection.data_received(b"a")
    assert not transport.reading
    begun.resolve(None)
    assert transport.reading
    connection.data_received(b"a" * 99)
    assert statuses(transport.written) == [200]
    assert load.held == 0


@in_loop
async def test_lost_connection_ends_its_request() -> None:
    """The handler ends where it waits, with GeneratorExit, and nothing of the connection is counted any more."""
    lost: list[None] = []
    load, _ = worker_load()
    load.on_connection_lost = lambda: lost.append(None)
    application = Waiting()
    connection, transport = connected(application, load)
    connection.data_received(GET + POST % 9 + b"ab")
    assert (load.in_flight, load.held, load.connections) == (1, 2, {connection})
    connection.connection_lost(None)
    assert (load.in_flight, load.held, load.connections) == (0, 0, set())
    assert application.ended == ["/"]
    assert lost == [None]
    application.pending[0].resolve(b"too late")
    await settled()
    assert transport.written == b""


@in_loop
async def test_full_send_buffer_delays_the_next_request() -> None:
    """Meanwhile the connection is in the phase of sending."""
    application = Waiting()
    connection, transport = connected(application)
    connection.pause_writing()
    transport.buffered = 100
    connection.data_received(GET)
    await settled()
    assert application.pending == []
    assert connection.state()[0] is Phase.SEND
    transport.buffered = 0
    connection.resume_writing()
    application.pending[0].resolve(b"")
    assert statuses(transport.written) == [200]


@in_loop
async def test_state_follows_the_phases_of_a_connection() -> None:
    """The state has the awaited event, and the request that it concerns."""
    application = Waiting()
    connection, transport = connected(application)
    assert connection.state() == (Phase.HEAD, 0)
    connection.data_received(b"POST / HTTP/1.1\r\n")
    assert connection.state() == (Phase.HEAD, 0)
    connection.data_received(b"Host: x\r\nContent-Length: 2\r\n\r\n")
    assert connection.state() == (Phase.BODY, 1)
    connection.data_received(b"ab")
    assert connection.state() == (Phase.WORK, 1)
    application.pending[0].resolve(b"")
    assert connection.state() == (Phase.IDLE, 1)
    connection.data_received(GET[:5])
    assert connection.state() == (Phase.HEAD, 1)
    connection.data_received(GET[5:])
    assert connection.state() == (Phase.WORK, 2)
    transport.closing = True
    assert connection.state() == (Phase.CLOSING, 2)


@pytest.mark.parametrize(
    ("sent", "phase", "reason", "aborted"),
    [
        (b"", Phase.HEAD, None, False),
        (GET[:9], Phase.HEAD, "slow_head", False),
        (GET, Phase.IDLE, None, False),
        (GET, Phase.SEND, "slow_reader", True),
        (GET, Phase.LINGER, None, True),
        (GET, Phase.CLOSING, None, True),
        (POST % 9, Phase.BODY, "slow_body", False),
    ],
)
def test_expired_connections_end(sent: bytes, phase: Phase, reason: str | None, aborted: bool) -> None:  # noqa: FBT001 a case of the test
    """Nothing more is sent. Only slowness of the client is reported; an end that may not be received is an abort."""

    async def main() -> None:
        load, metrics = worker_load()
        connection, transport = connected(ok, load)
        connection.data_received(sent)
        before = transport.written
        connection.expire(phase)
        assert (transport.written, transport.closing, transport.aborted) == (before, True, aborted)
        reasons = ("slow_head", "slow_body", "slow_reader")
        assert [name for name in reasons if metrics.get("messaging_refusals", name)] == ([reason] if reason else [])

    asyncio.run(main())


@in_loop
async def test_body_that_is_too_slow_is_answered_with_408() -> None:
    """The request gets a response, because its head was complete; what is still sent is dropped until the end."""
    load, metrics = worker_load()
    connection, transport = connected(echo, load)
    connection.data_received(POST % 9 + b"ab")
    connection.expire(Phase.BODY)
    assert statuses(transport.written) == [408]
    assert b"\r\nconnection: close\r\n" in transport.written
    assert transport.eof
    assert connection.state()[0] is Phase.LINGER
    assert metrics.get("messaging_refusals", "slow_body") == 1
    connection.data_received(b"cdefghi" + GET)
    assert statuses(transport.written) == [408]
    assert (load.in_flight, load.held) == (0, 0)


@in_loop
async def test_idle_connection_lingers_when_the_service_stops() -> None:
    """A request that is already on the way is answered as the last one; without one the connection is closed."""
    connection, transport = connected()
    other, its_transport = connected()
    for idle in (connection, other):
        idle.data_received(GET)
        idle.shut_down()
    assert not transport.closing
    connection.data_received(GET)
    assert statuses(transport.written) == [200, 200]
    assert transport.written.count(b"connection: close") == 1
    assert transport.eof
    assert statuses(its_transport.written) == [200]


def test_idle_connection_is_closed_a_while_after_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no request came; one that is served is finished first."""
    monkeypatch.setattr(http1, "LINGER", 0.0)

    async def main() -> None:
        application = Waiting()
        idle, its_transport = connected()
        busy, transport = connected(application)
        busy.data_received(GET)
        idle.shut_down()
        busy.shut_down()
        late, late_transport = connected(application)
        late.shut_down()
        late.data_received(GET)
        while not its_transport.closing:
            await asyncio.sleep(0)
        await settled()
        assert (transport.closing, late_transport.closing) == (False, False)
        application.pending[0].resolve(b"")
        assert b"\r\nconnection: close\r\n" in transport.written
        busy.abort()
        assert transport.aborted

    asyncio.run(main())


@in_loop
async def test_input_is_drained_after_a_response_that_ends_the_connection() -> None:
    """Over TLS the connection is closed; otherwise this side is, and what the client still sends is dropped."""

    async def closes(_request: Request) -> Response:
        return Response(200, BLOCK, b"", close=True)

    connection, transport = connected(closes)
    connection.data_received(GET * 3)
    assert statuses(transport.written) == [200]
    assert (transport.eof, transport.closing, transport.reading) == (True, False, True)
    connection.data_received(GET)
    assert statuses(transport.written) == [200]
    assert connection.eof_received() is False
    secure, its_transport = connected(closes, secure=True)
    secure.data_received(GET * 2)
    assert (its_transport.eof, its_transport.closing) == (False, True)
    assert b"\r\nstrict-transport-security: " in its_transport.written


@in_loop
async def test_response_to_a_task_is_sent() -> None:
    """A handler that needs a task puts it into a TaskResult; its connection may end before it."""
    started: list[asyncio.Future[bytes]] = []

    async def in_a_task() -> bytes:
        started.append(asyncio.get_running_loop().create_future())
        return await started[-1]

    async def application(_request: Request) -> Response:
        return Response(200, BLOCK, await TaskResult(in_a_task()))

    connection, transport = connected(application)
    connection.data_received(GET)
    await settled()
    started[0].set_result(b"done")
    await settled()
    assert transport.written.endswith(b"done")
    connection.data_received(GET)
    await settled()
    connection.connection_lost(None)
    await settled()
    assert started[1].cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_every_response_has_the_date_and_a_new_request_id() -> None:
    """The date is that of the load; ids have 16 hex digits."""

    async def main() -> None:
        load, _ = worker_load()
        load.date = b"date: Tue, 24 Nov 2026 07:00:30 GMT\r\n"
        connection, transport = connected(ok, load)
        for _ in range(600):
            connection.data_received(GET)
        heads = [head for head in transport.written.split(b"\r\n\r\n") if b"HTTP/1.1" in head]
        assert all(b"date: Tue, 24 Nov 2026 07:00:30 GMT" in head for head in heads)
        ids = {head.rpartition(b"x-request-id: ")[2] for head in heads}
        assert len(ids) == len(heads) == 600
        assert {len(bytes.fromhex(one.decode())) for one in ids} == {8}

    asyncio.run(main())


def test_peer_without_an_address() -> None:
    """A local socket has no address: the client's is empty."""

    class Local(FakeTransport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return "" if name == "peername" else super().get_extra_info(name, default)

    peers: list[str] = []

    async def noting(request: Request) -> Response:
        peers.append(request.peer)
        return await ok(request)

    async def main() -> None:
        load: WorkerLoad = worker_load()[0]
        connection = HttpConnection(noting, load)
        connection.connection_made(Local())
        connection.data_received(GET)
        assert peers == [""]

    asyncio.run(main())


def test_early_response_to_an_expected_body_closes() -> None:
    """A client that waits for 100 may leave its body out: its next request must not be taken for the body."""
    connection, transport = connected()
    connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert statuses(transport.written) == [200]
    assert b"connection: close" in transport.written


def test_closing_response_keeps_draining_the_input() -> None:
    """Requests that follow in the same data do not stop the reading of what the client still sends."""

    async def too_long(request: Request) -> Response:
        await request.body.read(1)
        raise AssertionError

    async def work() -> None:
        connection, transport = connected(too_long)
        upload = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        connection.data_received(upload + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        assert transport.reading
        assert statuses(transport.written)[:1] == [500]
        connection.connection_lost(None)

    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        runner.run(work())
