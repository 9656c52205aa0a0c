"""Several requests on one connection, in segments that end anywhere, and the responses that are due to them."""

import asyncio
import contextlib
import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: close\r\n", re.IGNORECASE)

PATIENCE, DEADLINE = 0.3, 20.0
"""Seconds for what may never be answered, and for what must be."""


class Response(NamedTuple):
    """One response. `close` says that it is the last."""

    status: int
    head: bytes
    body: bytes
    close: bool


class Step(NamedTuple):
    """One request whose end is beyond doubt, and what its response must be."""

    data: bytes
    method: str
    check: Callable[[Response], None]


def parse(came: bytes, methods: Sequence[str]) -> list[Response]:
    """Return the responses in `came` to requests with these methods, and the head of the next one if there are more.

    Interim responses are left out, as is one that is not complete.
    """
    found: list[Response] = []
    while came:
        head, end, rest = came.partition(b"\r\n\r\n")
        if not end:
            break
        status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
        assert status, came
        came = rest
        if status[1].startswith(b"1"):
            continue
        if len(found) == len(methods):  # to what method this is the response is not known
            found.append(Response(int(status[1]), head, b"", close=False))
            break
        close = _CLOSE.search(head + b"\r\n") is not None
        to_head = methods[len(found)] == "HEAD"
        size = 0 if to_head or length is None else int(length[1])
        if len(rest) < size:
            break
        found.append(Response(int(status[1]), head, rest[:size], close))
        came = rest[size:]
        if close:
            assert to_head or not came, "bytes behind the last response"
            break
    return found


async def converse(url: str, steps: Sequence[Step], tail: bytes, chance: random.Random) -> tuple[int, bytes]:
    """Send `steps` and then `tail` on one connection; check that each step has its response, in order.

    Return how many steps were answered before the service closed the connection, and all bytes that came.
    """
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    methods = [step.method for step in steps]
    half_close = chance.random() < 0.5
    came = b""

    async def send() -> None:
        data = b"".join(step.data for step in steps) + tail
        ends = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randint(0, 6)))
        with contextlib.suppress(OSError):  # the service may have closed the connection
            for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
                writer.write(data[start:end])
                await writer.drain()
                await asyncio.sleep(chance.choice((0, 0, 0.001)))
            if half_close:
                writer.write_eof()

    def answered() -> bool:
        found = parse(came, methods)
        return len(found) >= len(steps) or bool(found and found[-1].close)

    sending = asyncio.ensure_future(send())
    try:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE):
                while (half_close or not answered()) and (more := await reader.read(1 << 20)):
                    came += more
        if tail and not half_close:
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while more := await reader.read(1 << 20):
                        came += more
    except TimeoutError:
        raise AssertionError(("no response, and no end", [step.data for step in steps], tail, came)) from None
    finally:
        await sending
        writer.transport.abort()
    return _check(steps, tail, came), came


def _check(steps: Sequence[Step], tail: bytes, came: bytes) -> int:
    responses = parse(came, [step.method for step in steps])
    told = [step.data for step in steps], tail, came
    for number, (step, response) in enumerate(zip(steps, responses, strict=False)):
        assert response.status < 500 or response.status == 501, told
        try:
            step.check(response)
        except AssertionError as error:
            raise AssertionError((f"response {number}: {error}", *told)) from None
    if responses and responses[-1].close and len(responses) <= len(steps):
        return len(responses)
    assert len(responses) >= len(steps), ("responses are missing", *told)
    assert tail or len(responses) == len(steps), ("there are more responses than requests", *told)
    return len(steps)
