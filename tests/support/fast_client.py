"""Fast clients: many requests over few connections, from addresses of our own choice."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable
from typing import Self
from urllib.parse import urlsplit

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


class Wire:
    """One kept connection to the service at `url`, from the loopback address `source`."""

    def __init__(self, url: str, source: str = "127.0.0.1") -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname, parts.port)
        self._source = (source, 0)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._to, local_addr=self._source)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, requests: Iterable[bytes]) -> list[tuple[int, bytes]]:
        """Status and whole answer for each of these, sent at once."""
        requests = list(requests)
        self._writer.write(b"".join(requests))
        return [await self._answer() for _ in requests]

    async def timed(self, request: bytes) -> tuple[int, float]:
        """Status, and seconds until the whole answer was there."""
        begin = time.perf_counter()
        self._writer.write(request)
        status, _ = await self._answer()
        return status, time.perf_counter() - begin

    async def _answer(self) -> tuple[int, bytes]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, length = _STATUS.match(head), _LENGTH.search(head)
        assert status, head
        assert length, head
        return int(status[1]), head + await self._reader.readexactly(int(length[1]))


def get(path: str) -> bytes:
    """A GET that names a format."""
    return f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: application/json\r\n\r\n".encode()


Heard = tuple[Counter[int], list[float]]
"""How often each status came, and how long each answer took, in seconds."""


async def paced(wires: list[Wire], request: bytes, per_second: float, seconds: float) -> Heard:
    """Ask so often, evenly, over these connections in turn.

    A request that finds its connection busy waits, and its time counts from when it was due.
    """
    statuses: Counter[int] = Counter()
    took: list[float] = []
    begin = asyncio.get_running_loop().time()

    async def run(number: int, wire: Wire) -> None:
        for n in range(number, int(per_second * seconds), len(wires)):
            due = begin + n / per_second
            now = asyncio.get_running_loop().time()
            if now < due:
                await asyncio.sleep(due - now)
            status, _ = await wire.timed(request)
            statuses[status] += 1
            took.append(asyncio.get_running_loop().time() - due)

    await asyncio.gather(*(run(number, wire) for number, wire in enumerate(wires)))
    return statuses, took


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
