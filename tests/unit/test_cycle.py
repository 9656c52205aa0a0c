"""One request and its answer, on a transport that only remembers: what is looked at here never reaches a socket."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any, cast

import uvloop
from uvicorn import Config
from uvicorn.server import ServerState

from messaging_api.observability.audit import AuditLog
from messaging_api.server.load import WorkerLoad
from messaging_api.server.protocol import Protocol
from messaging_api.web.types import WHOLE, Receive, Scope, Send

REQUESTS = 100


class Sink(asyncio.Transport):
    """Takes whatever is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5000) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...


async def whole(scope: Scope, _receive: Receive, _send: Send) -> None:
    await scope["extensions"][WHOLE](200, b"content-length: 0\r\n", b"")


def connected(app: Any = whole) -> tuple[Protocol, Sink]:
    """A connection to an application, as it comes to one that answers 200."""
    protocol, sink = connections(app)(), Sink()
    protocol.connection_made(sink)
    return protocol, sink


def connections(app: Any) -> Callable[[], Protocol]:
    """What makes connections to an application."""
    config = Config(app, http="httptools", ws="none", lifespan="off", log_config=None)
    config.load()
    gate = WorkerLoad(cast("AuditLog", None), 10, 10, 100)
    return lambda: Protocol(config, ServerState(), app, gate)


async def ask(protocol: Protocol, sink: Sink, times: int = 1) -> set[Any]:
    """Ask so many times at once, and wait for the last answer; the tasks that served."""
    due = sink.written.count(b"200 OK") + times
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * times)
    serving = {*protocol.tasks}
    while sink.written.count(b"200 OK") < due or protocol.tasks:
        await asyncio.sleep(0)
    return serving


def test_a_request_leaves_no_garbage_that_holds_itself() -> None:
    """So the collector may run rarely, as it does: nothing waits for it."""

    async def main() -> None:
        protocol, sink = connected()
        await ask(protocol, sink)
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                await ask(protocol, sink)
            assert gc.collect() < REQUESTS
        finally:
            gc.enable()

    asyncio.run(main())


def test_a_connection_leaves_no_garbage_that_holds_itself() -> None:
    """On real sockets: those that have closed do not fill the memory until the collector runs."""
    found: list[int] = []

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(connections(whole), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def visit() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
            while len(asyncio.all_tasks()) > 1:  # the connection's ends with it
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


def test_a_connection_has_one_task_which_ends_with_it() -> None:
    """Whether its requests come one by one or at once, and however many there are."""

    async def main() -> None:
        protocol, sink = connected()
        (task,) = await ask(protocol, sink)
        assert await ask(protocol, sink) == await ask(protocol, sink, 5) == {task}
        protocol.connection_lost(None)
        await asyncio.wait([task], timeout=5)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_connection_may_end_after_its_task_was_cancelled() -> None:
    """As when the loop ends, which cancels every task before the connections hear of it."""

    async def main() -> None:
        protocol, sink = connected()
        (task,) = await ask(protocol, sink)
        task.cancel()
        protocol.connection_lost(None)
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()

    asyncio.run(main())


def test_who_sends_many_at_once_keeps_nobody_waiting() -> None:
    """Requests that lie ready on two connections are served in turn."""
    served: list[Protocol] = []

    async def main() -> None:
        def noting(protocol: Protocol) -> Any:
            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                served.append(protocol)
                await whole(scope, receive, send)

            return app

        both = connected(), connected()
        for protocol, _ in both:
            protocol.app = noting(protocol)
        await asyncio.gather(*(ask(protocol, sink, 5) for protocol, sink in both))
        assert served == [protocol for protocol, _ in both] * 5

    asyncio.run(main())


def test_an_application_that_fails_is_answered_for() -> None:
    """With 500 and an end of the connection, and what was served is no longer counted."""

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ArithmeticError

    async def main() -> None:
        protocol, sink = connected(fails)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while protocol.tasks:
            await asyncio.sleep(0)
        assert sink.written.startswith(b"HTTP/1.1 500 ")
        assert b"connection: close" in sink.written

    asyncio.run(main())
