"""Clients that are too slow, run in a container of their own: slow.py HOST PORT HOW-MANY.

Prints "ready" once all are connected, then, when the last one was ended, one line of JSON: for each kind how many there
were and after how many seconds the last of them was ended.
"""

import asyncio
import json
import ssl
import sys
import time

PATIENCE = 60.0
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
FRAMES = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
POST = b"\x83\x87\x84\x01\x09localhost\x0f\x10\x0atext/plain"
"""HPACK (RFC 7541): POST, https, /, the authority, the content type."""


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def tls(protocol: str) -> ssl.SSLContext:
    """Return a TLS context that accepts any certificate of the edge."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


TLS = {protocol: tls(protocol) for protocol in ("h2", "http/1.1")}


def frame(kind: int, flags: int, payload: bytes) -> bytes:
    """Return a frame of HTTP/2 on stream 1 (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + (1).to_bytes(4) + payload


KINDS = {
    "idle": (b"", b""),
    "head": (HEAD, b"X-A: b\r\n"),
    "body": (HEAD + b"Content-Length: 60000\r\n\r\n", b"x"),
    "chunked body": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "body over HTTP/2": (FRAMES + frame(1, 4, POST), frame(0, 0, b"x")),
}
"""What each kind sends at once, and then every second."""


async def connect(host: str, port: int, kind: str) -> Streams:
    """Open a connection of this kind, without sending anything."""
    return await asyncio.open_connection(host, port, ssl=TLS["h2" if "HTTP/2" in kind else "http/1.1"])


async def dawdle(kind: str, streams: Streams) -> float:
    """Return the seconds until the other side closed the connection."""
    (reader, writer), (first, more) = streams, KINDS[kind]
    begin = time.monotonic()
    ended = asyncio.create_task(until_ended(reader, over_http2="HTTP/2" in kind))
    writer.write(first)
    while not ended.done() and time.monotonic() - begin < PATIENCE:
        writer.write(more)
        await asyncio.wait([ended], timeout=1)
    writer.transport.abort()
    return time.monotonic() - begin if ended.done() else float("inf")


async def until_ended(reader: asyncio.StreamReader, *, over_http2: bool) -> None:
    """Over HTTP/2 a stream may end (RST_STREAM, GOAWAY) while the connection stays."""
    try:
        while head := await reader.readexactly(9) if over_http2 else await reader.read(4096):
            if over_http2:
                await reader.readexactly(int.from_bytes(head[:3]))
                if head[3] in (3, 7):
                    return
    except (OSError, asyncio.IncompleteReadError):
        pass


async def main(host: str, port: int, count: int) -> None:
    """Run clients of all kinds at once."""
    kinds = [list(KINDS)[n % len(KINDS)] for n in range(count)]
    connected = await asyncio.gather(*(connect(host, port, kind) for kind in kinds))
    print("ready", flush=True)  # noqa: T201 the test reads it
    seconds = await asyncio.gather(*map(dawdle, kinds, connected))
    told = {kind: [took for one, took in zip(kinds, seconds, strict=True) if one == kind] for kind in KINDS}
    print(json.dumps({kind: [len(took), max(took)] for kind, took in told.items()}))  # noqa: T201


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
