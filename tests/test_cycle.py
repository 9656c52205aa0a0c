"""One request and its answer, on a transport that only remembers: what is looked at here never reaches a socket."""

import asyncio
import gc
from typing import Any, cast

from uvicorn import Config
from uvicorn.server import ServerState

from messaging_api.refusals import Refusals
from messaging_api.server.gate import Gate
from messaging_api.server.protocol import Protocol
from messaging_api.web.http import WHOLE, Receive, Scope, Send

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


async def whole(scope: Scope, _receive: Receive, _send: Send) -> None:
    await scope["extensions"][WHOLE](200, b"content-length: 0\r\n", b"")


def test_a_request_leaves_no_garbage_that_holds_itself() -> None:
    """So the collector may run rarely, as it does: nothing waits for it."""

    async def main() -> None:
        config = Config(cast("Any", whole), http="httptools", ws="none", lifespan="off", log_config=None)
        config.load()
        gate = Gate(cast("Refusals", None), 10, 10, 100)
        protocol, sink = Protocol(config, ServerState(), cast("Any", whole), gate), Sink()
        protocol.connection_made(sink)

        async def ask() -> None:
            before = sink.written.count(b"200 OK")
            protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while sink.written.count(b"200 OK") == before or protocol.tasks:
                await asyncio.sleep(0)

        await ask()
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                await ask()
            assert gc.collect() < REQUESTS
        finally:
            gc.enable()

    asyncio.run(main())
