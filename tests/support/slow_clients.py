"""Slow clients in a process of their own: `python -m tests.support.slow_clients URL COUNT`.

Each kind is a third of them. One sends a head and one a body, a byte a second; one is served once and then keeps its
connection. A disconnected client connects again. Ends with its standard input.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

HEAD = b"GET / HTTP/1.1\r\nhost: x\r\nx: "
BODY = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 60000\r\n\r\n"
WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
PAUSE = 1.0


async def _connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One connection after another."""
    parts = urlsplit(url)
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            yield reader, writer
            writer.close()
        await asyncio.sleep(PAUSE)


async def _trickle(url: str, begin: bytes) -> None:
    async for reader, writer in _connection(url):
        writer.write(begin)
        while not reader.at_eof() and not writer.is_closing():
            writer.write(b"x")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(65536), PAUSE)


async def _sit(url: str) -> None:
    async for reader, writer in _connection(url):
        writer.write(WHOLE)
        while await reader.read(65536):
            pass


async def _one(url: str, kind: int) -> None:
    if kind == 0:
        await _trickle(url, HEAD)
    elif kind == 1:
        await _trickle(url, BODY)
    else:
        await _sit(url)


async def _main(url: str, count: int) -> None:
    tasks = [asyncio.create_task(_one(url, n % 3)) for n in range(count)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
