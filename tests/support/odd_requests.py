"""Requests with anything in any place, and plain bytes."""

import json
import random
from typing import NamedTuple

from hypothesis import strategies as st

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
_PART = st.sampled_from(
    [b"--b", b"--b--", b"\r\n", b"\r\n\r\n", _NAMED, b"x", b"\x00", b":", b"--b\r\n" + _NAMED + b"\r\n\r\nx\r\n"]
)
_PARTS = st.builds(bytes.__add__, st.sampled_from([b"", b"--b\r\n"]), st.lists(_PART, max_size=12).map(b"".join))
_PAIRS = st.sampled_from([b"message=x", b"&", b"reads=1", b"ttl=", b"%", b"%zz", b"=", b"\xff"])
_FORMS = st.lists(_PAIRS, max_size=9).map(b"".join)
_OBJECTS = _FIELDS.map(lambda fields: json.dumps(fields).encode())
_BODIES = st.one_of(_OBJECTS, _PARTS, _FORMS, st.binary(max_size=300))
_POSTS = st.one_of(
    st.tuples(st.just(b"multipart/form-data; boundary=b"), _PARTS),
    st.tuples(st.just(b"application/x-www-form-urlencoded"), _FORMS),
    st.tuples(st.just(b"application/json"), _OBJECTS),
)
"""Content types and bodies that go together, to get as far as the parsers of bodies."""
_SIZES = st.sampled_from([b"-1", b"0", b"x", b"1,1", b"99999999999999999999", b"+5", b" 3"])
_CHUNKS = [b"zz\r\nx", b"5;x=y\r\nhello\r\n0\r\nt: x\r\n\r\n", b"1\r\nxx\r\n", b"fffffffffffffffff\r\nx"]
_LINE_ENDS = str.maketrans(dict.fromkeys("\r\n", "x"))
_VERSIONS = st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0", b"x"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return one request: mostly whole, with anything in each of its places; at times nothing but bytes."""
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


def mutant(request: bytes, chance: random.Random) -> bytes:
    """Return the request with a few bytes changed, inserted, removed or doubled."""
    data = bytearray(request)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        some = data[at : at + chance.randint(1, 9)]
        odd = bytes([chance.choice((0, 9, 10, 13, 32, 34, 37, 44, 58, 59, 127, 128, 255, chance.randrange(256)))])
        data[at : at + len(some)] = chance.choice((b"", odd, odd + some, some + some))
    return bytes(data)


class Framed(NamedTuple):
    """A request whose end is beyond doubt: its method, all before the body, the body, and what follows it.

    `last` says that no other request may follow it on the connection.
    """

    method: str
    head: bytes
    body: bytes
    end: bytes
    last: bool

    def varied(self, chance: random.Random) -> bytes:
        """Return its bytes, with a few bytes of the body changed."""
        body = bytearray(self.body)
        for _ in range(chance.randint(0, 3) if body else 0):
            body[chance.randrange(len(body))] = chance.randrange(256)
        return self.head + body + self.end


@st.composite
def framed_requests(draw: st.DrawFn) -> Framed:
    """Return one request with any data in its parts, but with a body of the length that its head states."""
    method = draw(_METHODS)
    path = draw(_PATHS).translate(_LINE_ENDS).encode("utf-8", "replace").replace(b" ", b"%20")
    version = draw(st.sampled_from([b"1.1"] * 19 + [b"1.0", b"x"]))
    fields = [(draw(_NAMES).encode(), draw(_VALUES)) for _ in range(draw(st.integers(0, 4)))]
    body, end = draw(_BODIES), b""
    if draw(st.integers(0, 2)) == 0:
        method, path = "POST", b"/"
        content_type, body = draw(_POSTS)
        fields = [(b"content-type", content_type), *(field for field in fields if field[0] != b"content-type")]
    if draw(st.integers(0, 9)):
        fields = [(b"host", b"x"), *(field for field in fields if field[0] != b"host")]
    lines = [b"%b: %b" % (name, value.replace(b"\r", b"").replace(b"\n", b"")) for name, value in fields]
    before = b"content-length: %d\r\n\r\n" % len(body)
    if draw(st.booleans()):
        before = b"transfer-encoding: chunked\r\n\r\n"
        if body:
            before, end = before + b"%x;x=y\r\n" % len(body), b"\r\n"
        end += b"0\r\nx-trailer: x\r\n\r\n"
    head = b"\r\n".join([b"%b %b HTTP/%b" % (method.encode(), path, version), *lines, before])
    last = version != b"1.1" or any(name == b"connection" and b"close" in value.lower() for name, value in fields)
    return Framed(method, head, body, end, last)
