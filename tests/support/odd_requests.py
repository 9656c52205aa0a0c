"""Requests with anything in any place, and plain bytes; and what must hold whatever comes."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.service import Running, serving

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)

BATCH, MUTANTS, AT_ONCE = 20, 9, 50
"""Requests that are made together, others that are made of each by changing bytes, and connections at a time."""
TELLTALES = (b"Traceback", b'File "', b".py", b"Error(", b"Exception", b"sqlite", b"redis", b"0x7f")
"""What only a text of an exception, or of a library, would hold."""

_METHODS = st.sampled_from(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI", "get", "X"]
)
_ODD = st.sampled_from(["", "..", "%00", "%ff", "a/b", "{}", "x" * 3000])
_IDS = st.one_of(st.uuids(version=4).map(str), st.text(max_size=40), _ODD)
_FIXED = st.sampled_from(
    ["/", "*", "//", "/docs", "/openapi.json", "/metrics", "/assets/../app.py", "/assets/x", "http://x/msg/y"]
)
_PATHS = _FIXED | st.builds(str.__add__, st.sampled_from(["/msg/", "/receipt/", "/assets/", "/", "/msg", "/?"]), _IDS)
_NAMES = st.sampled_from(
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "connection",
        "content-encoding",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "idempotency-key",
        "if-none-match",
        "origin",
        "range",
        "te",
        "trailer",
        "upgrade",
        "x-forwarded-for",
        "x-y",
    ]
)
_KNOWN = st.sampled_from(
    [
        "application/json",
        "text/plain",
        "text/html",
        "*/*",
        "multipart/form-data;boundary=b",
        "multipart/form-data;boundary=",
        "application/x-www-form-urlencoded",
        "text/plain;charset=utf-16",
        "gzip",
        "100-continue",
        "keep-alive",
        "close",
        "websocket",
        "bytes=0-",
        "Bearer",
        "for=1.2.3.4",
        "127.0.0.1",
        "https://x",
        "q=;;,",
    ]
)
_PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
_TEXTS = st.one_of(_KNOWN, _KNOWN | _PRINTABLE, _PRINTABLE).map(str.encode)
_VALUES = st.one_of(_TEXTS, _TEXTS, st.binary(max_size=60))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.dictionaries(st.sampled_from(["message", "ttl", "expires_at", "reads", "x"]), _JSON, max_size=5)
_NAMED = b'content-disposition: form-data; name="message"'
_PARTS = st.lists(st.sampled_from([b"--b", b"--b--", b"\r\n", b"\r\n\r\n", _NAMED, b"x", b"\x00"]), max_size=12).map(
    b"".join
)
_PAIRS = st.sampled_from([b"message=x", b"&", b"reads=1", b"ttl=", b"%", b"%zz", b"=", b"\xff"])
_FORMS = st.lists(_PAIRS, max_size=9).map(b"".join)
_BODIES = st.one_of(_FIELDS.map(lambda fields: json.dumps(fields).encode()), _PARTS, _FORMS, st.binary(max_size=300))
_SIZES = st.sampled_from([b"-1", b"0", b"x", b"1,1", b"99999999999999999999", b"+5", b" 3"])
_CHUNKS = [b"zz\r\nx", b"5;x=y\r\nhello\r\n0\r\nt: x\r\n\r\n", b"1\r\nxx\r\n", b"fffffffffffffffff\r\nx"]
_VERSIONS = st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0", b"x"])


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    """One request: mostly whole, with anything in each of its places; at times nothing but bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(min_size=1, max_size=400))
    path = draw(_PATHS).encode("utf-8", "replace").replace(b" ", b"%20")
    lines = [b"%b %b HTTP/%b" % (draw(_METHODS).encode(), path, draw(_VERSIONS))]
    lines += [b"%b: %b" % (draw(_NAMES).encode(), draw(_VALUES)) for _ in range(draw(st.integers(0, 5)))]
    body = draw(_BODIES)
    match draw(st.integers(0, 5)):
        case 0:
            lines.append(b"content-length: " + draw(_SIZES))
        case 1:
            lines.append(b"transfer-encoding: chunked")
            body = draw(st.sampled_from([b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), *_CHUNKS]))
        case _:
            lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


def _mutant(request: bytes, chance: random.Random) -> bytes:
    """The same with a few bytes changed, put in, left out or doubled."""
    data = bytearray(request)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        some = data[at : at + chance.randint(1, 9)]
        odd = bytes([chance.choice((0, 9, 10, 13, 32, 34, 37, 44, 58, 59, 127, 128, 255, chance.randrange(256)))])
        data[at : at + len(some)] = chance.choice((b"", odd, odd + some, some + some))
    return bytes(data)


@contextmanager
def unshaken(folder: Path, store: str) -> Iterator[Running]:
    """A service that must be the same at the end: its workers alive, nothing unexpected in its log."""
    options = ("--trusted-proxies", "127.0.0.1", "--cors-origins", "https://x", "--body-timeout", "2")
    with serving(folder, store, *options) as running:
        before = running.workers()
        yield running
        assert running.workers() == before
        told = [json.loads(line) for line in running.log.read_text().splitlines()]
        assert {line["event"] for line in told} <= {"started", "request", "refused"}


def fuzz(service: Running, batches: int) -> Counter[int]:
    """Send so many batches, each request on a connection of its own; how often each status came, 0 for no answer."""
    seen: Counter[int] = Counter()

    @settings(
        max_examples=batches,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(_requests(), min_size=BATCH, max_size=BATCH), st.integers(0, 2**32))
    def run(made: list[bytes], seed: int) -> None:
        chance = random.Random(seed)
        batch = made + [_mutant(one, chance) for one in made for _ in range(MUTANTS)]
        for start in range(0, len(batch), AT_ONCE):
            some = batch[start : start + AT_ONCE]
            for sent, (statuses, came) in zip(some, asyncio.run(replies(service.url, some)), strict=True):
                seen.update(statuses or [0])
                assert not [status for status in statuses if status >= 500], (sent, came)
                assert not [word for word in TELLTALES if word.lower() in came.lower()], (sent, came)

    run()
    assert {200, 400, 404, 405} <= set(seen), "the requests are not as odd as they should be"
    return seen


async def replies(url: str, batch: list[bytes], patience: float = 0.3) -> list[tuple[list[int], bytes]]:
    """What comes back for each of these, all at once and each on its own connection: its statuses and all bytes.

    After the first whole answer, or when none came in `patience` seconds, the client goes away.
    """
    parts = urlsplit(url)

    async def reply(data: bytes) -> tuple[list[int], bytes]:
        came = b""
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(data)
            async with asyncio.timeout(patience):
                while not _whole(came) and (more := await reader.read(65536)):
                    came += more
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
        return [int(status) for status in _STATUS.findall(came)], came

    return await asyncio.gather(*map(reply, batch))


def _whole(came: bytes) -> bool:
    """Whether an answer is there from beginning to end; HEAD has none of the length it tells."""
    head, end, body = came.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return bool(end) and (length is None or len(body) >= int(length[1]))
