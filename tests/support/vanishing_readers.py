"""Readers that vanish at every step of a read, and the check of what became of each read.

Messages are handled in rounds: all are posted, all readers vanish, and those with a key come back with it, half of them
while their first request may still be served. Then nobody else may get what they have.
"""

import asyncio
import os
import random
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tests.support.fast_client import Wire
from tests.support.service import Running, sample, wait_for
from tests.support.vanishing_steps import LONG, ONE_BYTE, Message, Reader, Report, Step, messages

OPTIONS = (
    *("--workers", "3", "--send-timeout", "1", "--max-message-bytes", str(LONG)),
    *("--resume-seconds", "600", "--store-timeout", "20"),  # for a machine that is busy
)
"""Options of the service under test."""
ROUND = 500
"""Messages of a round."""
AT_ONCE = 32
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n")


def run(service: Running, total: int) -> Report:
    """Let the readers of `total` messages vanish; the service has OPTIONS."""
    report, source = Report(), messages(total)
    while batch := [message for _, message in zip(range(ROUND), source, strict=False)]:
        asyncio.run(_each(batch, lambda message: _post(service.url, message)))
        before = _sockets(service)
        with ExitStack() as stalled:
            asyncio.run(_each(batch, lambda message: _read(service.url, message, stalled)))
            wait_for(lambda before=before: _sockets(service) <= before, 120)  # type: ignore[misc]
        asyncio.run(_each(batch, lambda message: _judge(service.url, message, report)))
    report.stalls = int(sample(service.ops_url, "messaging_refusals_total", reason="slow_reader") or 0)
    return report


def _sockets(service: Running) -> int:
    """Return the number of sockets that the service holds, without its connections to a store.

    They are not those that the kernel lists: it forgets a connection that was reset, though the service has yet to
    notice.
    """
    port = f":{urlsplit(service.url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    elsewhere = {f"socket:[{row[9]}]" for row in rows if not row[1].endswith(port)}
    held = []
    for pid in service.workers():
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                held.append(str(file.readlink()))
    return sum(name.startswith("socket:") and name not in elsewhere for name in held)


async def _each(batch: Iterable[Message], work: Callable[[Message], Awaitable[object]]) -> None:
    """Do `work` with each message, some at a time."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(message: Message) -> None:
        async with free:
            await work(message)

    async with asyncio.TaskGroup() as tasks:
        for message in batch:
            tasks.create_task(one(message))


def _request(method: str, path: str, *lines: str, body: bytes = b"", accept: str = "text/plain") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "host: x", f"accept: {accept}", *lines, f"content-length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


def _get(message: Message, key: str | None) -> bytes:
    return _request("GET", message.path, *([f"idempotency-key: {key}"] if key else []))


async def _ask(url: str, request: bytes) -> tuple[int, bytes]:
    """Send a request on a connection of its own; return status and body."""
    async with Wire(url) as wire:
        ((status, response),) = await wire.ask([request])
    return status, response.partition(b"\r\n\r\n")[2]


async def _post(url: str, message: Message) -> None:
    body = msgspec.json.encode({"message": message.text.decode(), "reads": message.reads})
    request = _request("POST", "/", "content-type: application/json", body=body, accept="application/json")
    status, answer = await _ask(url, request)
    assert status == 200, answer
    posted = msgspec.json.decode(answer)
    message.path, message.receipt = (urlsplit(posted[name]).path for name in ("url", "receipt"))


async def _read(url: str, message: Message, stalled: ExitStack) -> None:
    """Let all readers vanish; every other one with a key comes back at once, on another connection."""

    async def one(reader: Reader) -> None:
        response = await _vanish(url, _get(message, reader.key), reader.step, stalled)
        reader.received = _missing(response) == 0 and _is_text(response, message)
        if reader.key and random.random() < 0.5:
            reader.early = await _comes_back(url, message, reader)

    await asyncio.gather(*map(one, message.readers))


def _is_text(response: bytes, message: Message) -> bool:
    head, _, body = response.partition(b"\r\n\r\n")
    return head.startswith(b"HTTP/1.1 200 ") and body == message.text


async def _vanish(url: str, request: bytes, step: Step, stalled: ExitStack) -> bytes:
    """Send what `step` says, and vanish. Return the bytes that were received."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    connection = stalled.enter_context(socket.socket())
    connection.settimeout(0)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if step.how == "stall":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await loop.sock_connect(connection, (parts.hostname, parts.port))
    head = request[: int(len(request) * step.sent)]
    for start in range(0, len(head), step.piece):
        await loop.sock_sendall(connection, head[start : start + step.piece])
    if step.how == "stall":
        return b""  # it stays open until the service gives up
    response = await _receive(connection, step.received)
    if step.how == "half-close":
        connection.shutdown(socket.SHUT_WR)
        while data := await loop.sock_recv(connection, 65_536):
            response += data
    elif step.how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return response


async def _receive(connection: socket.socket, share: float) -> bytes:
    """Receive this share of the response; all of it but the last byte, if the share is nearly 1."""
    if not share:
        return b""
    response = await _some(connection, 1)
    if share == ONE_BYTE:
        return response
    while (missing := _missing(response)) is None:
        response += await _some(connection, 100)  # less than the shortest message, so that it is not ended
    whole = len(response) + missing
    end = whole if share == 1 else min(whole - 1, int(whole * share))
    while len(response) < end:
        response += await _some(connection, end - len(response))
    return response


async def _some(connection: socket.socket, count: int) -> bytes:
    data = await asyncio.get_running_loop().sock_recv(connection, count)
    assert data, "the response is cut off"
    return data


def _missing(response: bytes) -> int | None:
    """Return the number of bytes that are still due, None before the end of the head."""
    head, end, body = response.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return int(length[1]) - len(body) if end and length else None


async def _comes_back(url: str, message: Message, reader: Reader) -> bool:
    """Repeat a read, on another connection. Return whether it gives the text."""
    status, body = await _ask(url, _get(message, reader.key))
    return status == 200 and body == message.text


async def _judge(url: str, message: Message, report: Report) -> None:
    """Let the readers with keys come back, then everybody else. Compare what all have with the reads of the message."""
    readers = message.readers
    keyed = readers[0].key is not None
    if keyed:
        returned = await asyncio.gather(*(_comes_back(url, message, reader) for reader in readers))
        for reader, late in zip(readers, returned, strict=True):
            reader.late = late
    others = [Reader(readers[0].step, key) for key in (None, os.urandom(16).hex(), None)]
    more = sum([await _comes_back(url, message, reader) for reader in others])
    _, state = await _ask(url, _request("GET", message.receipt))
    have = sum(reader.received or reader.early or reader.late for reader in readers)
    fact = f"{readers} have it, and {more} others; receipt: {state!r}"
    if have + more > message.reads or state != b"read\n":
        report.doubled.append(fact)
    if keyed and (have < message.reads or any((reader.received or reader.early) > reader.late for reader in readers)):
        report.lost.append(fact)
    count = report.count(message)
    count.messages += 1
    count.whole += sum(reader.received for reader in readers)
    count.resumed += sum(reader.late > reader.received for reader in readers)
    count.unseen += message.reads - have - more
