"""A server that speaks the protocol of Redis and replies whatever a test wants.

For replies that a real Redis, Sentinel or Cluster cannot be made to give. All else is tested against real servers.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import hiredis

OK = b"+OK\r\n"


def encode(reply: Any) -> bytes:
    """Return a reply as it is sent (RESP2)."""
    match reply:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case list():
            return b"*%d\r\n%b" % (len(reply), b"".join(map(encode, reply)))
        case hiredis.ReplyError():
            return b"-%b\r\n" % str(reply).encode()
        case _:
            raise TypeError


class FakeRedis:
    """A running server. `reply` returns the bytes to send for a command; at first it is OK for all.

    `connections` counts those that were opened; `open` are those that still are.
    """

    def __init__(self) -> None:
        self.reply: Callable[[list[bytes]], bytes] = lambda _: OK
        self.port = 0
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self.open.add(writer)
        parser = hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                parser.feed(data)
                while (command := parser.gets()) is not False:
                    writer.write(self.reply(command))
        self.open.discard(writer)
        writer.close()

    def disconnect(self) -> None:
        """Close all connections."""
        for writer in self.open:
            writer.close()


@contextlib.asynccontextmanager
async def fake_redis() -> AsyncIterator[FakeRedis]:
    """Run a server on a free port for a block. Set its `reply` before it is used."""
    fake = FakeRedis()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.disconnect()
        await server.wait_closed()
