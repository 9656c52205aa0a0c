"""From bytes to requests: what is parsed, what is rejected, and that it does not matter how the bytes are split."""

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging_api.server.early_responses import Rejection
from messaging_api.server.exchange import Exchange
from messaging_api.server.parser import MAX_HEAD, MAX_HEADER_LINES, RequestParser
from messaging_api.web.http_errors import HeadTooLarge
from tests.support.connections import worker_load

Seen = tuple[str, str, bytes, bytes, dict[bytes, bytes], bytes, bool, bool, bool]


@dataclass
class Listener:
    """Keeps the requests that a parser finds."""

    exchanges: list[Exchange] = field(default_factory=list)

    def exchange_begun(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def body_awaited(self) -> None: ...

    def body_continued(self) -> None: ...


@dataclass
class Parsed:
    """What a parser made of some bytes."""

    requests: list[Seen]
    rejection: Rejection | None
    parser: RequestParser
    held: int


def parse(*chunks: bytes, secure: bool = False) -> Parsed:
    """Feed `chunks` to a parser, until it rejects one."""
    listener, (load, _) = Listener(), worker_load()
    parser = RequestParser(listener, load, "192.0.2.1", secure=secure)
    rejection = None
    for chunk in chunks:
        try:
            parser.feed(chunk)
        except Rejection as caught:
            rejection = caught
            break
    held = load.held
    return Parsed([asyncio.run(seen(exchange)) for exchange in listener.exchanges], rejection, parser, held)


async def seen(exchange: Exchange) -> Seen:
    """Return what matters of a request; of a body that is not complete, what came of it."""
    request, body = exchange.request, exchange.body
    complete = body.complete
    body.complete = True
    content = await body.read(1 << 20)
    facts = request.method, request.path, request.query, request.host, dict(request.headers), content
    return *facts, complete, exchange.keep_alive, exchange.expects_continue


def head_of(parsed: Parsed, index: int = 0) -> tuple[str, str, bytes, bytes]:
    """Return method, path, query and host of a request."""
    return parsed.requests[index][:4]


PIPELINE = (
    b"POST /a%20b?q=1 HTTP/1.1\r\nHost: msg.example\r\nContent-Length: 3\r\nX-Long: \t some value \t\r\n\r\nabc"
    b"\r\n"
    b"GET http://other.example:81/c?d HTTP/1.1\r\nhost: x\r\nAccept: a\r\nACCEPT: b\r\n\r\n"
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n"
    b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nHost: trailer\r\n\r\n"
    b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, foo\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"
    b"DELETE /receipt/x HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n"
)


def test_requests_on_one_connection() -> None:
    """Bodies with a length and in chunks, joined fields, an absolute target, a refused upgrade, and the last one."""
    parsed = parse(PIPELINE)
    assert parsed.rejection is None
    assert parsed.requests == [
        (
            *("POST", "/a b", b"q=1", b"msg.example"),
            {b"host": b"msg.example", b"content-length": b"3", b"x-long": b"some value"},
            *(b"abc", True, True, False),
        ),
        ("GET", "/c", b"d", b"other.example:81", {b"host": b"x", b"accept": b"a, b"}, b"", True, True, False),
        (
            *("POST", "/", b"", b"x"),
            {b"host": b"x", b"transfer-encoding": b"Chunked", b"expect": b"100-Continue"},
            *(b"abcde", True, True, True),
        ),
        (
            *("POST", "/", b"", b"x"),
            {b"host": b"x", b"content-length": b"2", b"connection": b"foo"},
            *(b"hi", True, True, False),
        ),
        (
            *("DELETE", "/receipt/x", b"", b"[::1]:80"),
            {b"host": b"[::1]:80", b"connection": b"close"},
            *(b"", True, False, False),
        ),
    ]
    assert (parsed.parser.requests, parsed.parser.ended, parsed.parser.in_head) == (5, True, False)
    assert (parsed.parser.receiving, parsed.held) == (None, 0)


@settings(deadline=None)  # a busy machine
@given(st.lists(st.integers(0, len(PIPELINE)), max_size=12))
def test_split_does_not_matter(points: list[int]) -> None:
    """However the bytes are split, the requests are the same."""
    cuts = [0, *sorted(points), len(PIPELINE)]
    parsed = parse(*(PIPELINE[start:end] for start, end in itertools.pairwise(cuts)))
    assert parsed.rejection is None
    assert parsed.requests == WHOLE.requests


def test_single_bytes() -> None:
    """Each byte alone is a split, too."""
    assert parse(*(PIPELINE[n : n + 1] for n in range(len(PIPELINE)))).requests == WHOLE.requests


WHOLE = parse(PIPELINE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x16\x03\x01\x02\x00", "malformed"),
        (b"GET /\r\n\r\n", "malformed"),
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "malformed"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "malformed",
        ),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n", "malformed"),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "transfer_coding"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "malformed"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "malformed"),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", "malformed"),
        (b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
    ],
)
def test_rejected_requests(data: bytes, reason: str) -> None:
    """What RFC 9112 forbids, or what two servers might read in two ways; whole or byte by byte."""
    for chunks in ((data,), tuple(data[n : n + 1] for n in range(len(data)))):
        parsed = parse(*chunks)
        assert parsed.rejection is not None
        assert parsed.rejection.reason == reason
        assert str(parsed.rejection) == reason


@pytest.mark.parametrize("lines", [b"", b"Host: a/b\r\n", b"Host: x\r\nTransfer-Encoding: gzip, chunked\r\n"])
def test_rejected_requests_with_an_offer_to_switch_protocols(lines: bytes) -> None:
    """They are rejected for the same reasons as without it."""
    parsed = parse(b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + lines + b"\r\n")
    assert parsed.rejection is not None
    assert parsed.rejection.reason == ("transfer_coding" if b"gzip" in lines else "malformed")
    assert parsed.requests == []


def test_offers_to_switch_protocols_are_ignored() -> None:
    """Also several at once, and in HTTP/1.0, which stays HTTP/1.0 (RFC 9110, section 7.8)."""
    offer = b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    parsed = parse(offer % 1 + offer % 2 + b"GET /3 HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    assert parsed.rejection is None
    assert [(request[1], request[7]) for request in parsed.requests] == [("/1", True), ("/2", True), ("/3", False)]
    assert parsed.parser.ended


def test_data_after_the_last_request_does_not_matter() -> None:
    """After Connection: close nothing is parsed, so nothing is rejected."""
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for rest in (b"\x00nonsense", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
        parsed = parse(last + rest)
        assert (len(parsed.requests), parsed.rejection, parsed.parser.ended) == (1, None, True)


@pytest.mark.parametrize("unfinished", [False, True])
def test_head_of_many_bytes(unfinished: bool) -> None:  # noqa: FBT001 a case of the test
    """A head that is longer than allowed is rejected, at the latest with the next data after the limit."""
    line = b"X: " + b"a" * 8000
    data = b"GET / HTTP/1.1\r\nHost: x\r\n" + (line + b"\r\n") * (MAX_HEAD // 8000 + 1) + b"\r\n" * (not unfinished)
    parsed = parse(*(data[n : n + 1000] for n in range(0, len(data), 1000)))
    assert parsed.rejection is not None
    assert (parsed.rejection.reason, type(parsed.rejection.error)) == ("head_too_large", HeadTooLarge)
    assert parsed.requests == []
    assert parse(data[: MAX_HEAD - 1]).rejection is None


def test_head_of_many_lines() -> None:
    """As many header lines as allowed, and not one more; trailers are not counted, and not kept."""
    lines = [b"X-%d: a" % n for n in range(MAX_HEADER_LINES)]
    begin = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    fits = begin + b"\r\n".join(lines[:-2]) + b"\r\n\r\n0\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"
    parsed = parse(fits)
    assert parsed.rejection is None
    assert len(parsed.requests[0][4]) == MAX_HEADER_LINES
    too_many = parse(begin + b"\r\n".join(lines[:-1]) + b"\r\n\r\n")
    assert too_many.rejection is not None
    assert too_many.rejection.reason == "head_too_large"


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("begin", [b"0\r\nX: ", b"1;x=", b"a" * 8 + b";", b"2\r\nab\r\n0\r\nX: "])
def test_trailers_and_chunk_extensions_are_limited(begin: bytes) -> None:
    """A client could make the worker copy a trailer again and again, or keep it busy with nothing."""
    parsed = parse(CHUNKED + begin, *[b"a" * 16_000] * 12)
    assert parsed.rejection is not None
    assert parsed.rejection.reason == "malformed"


@pytest.mark.parametrize("size", [1, 2, 100, 20_000])
def test_chunks_of_any_size(size: int) -> None:
    """A body may come in chunks as small as one byte, and have trailers after it."""
    body = bytes(range(256)) * 512
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    data = CHUNKED + framed + b"0\r\nX: " + b"a" * 60_000 + b"\r\n\r\n"
    parsed = parse(*(data[start : start + 16_384] for start in range(0, len(data), 16_384)))
    assert parsed.rejection is None
    assert parsed.requests[0][5] == body
    assert parsed.requests[0][6] is True


def test_state_of_the_parser() -> None:
    """Whether anything came, whether a head has begun, and which request still gets its body."""
    parser = parse().parser
    assert (parser.started, parser.in_head, parser.requests, parser.receiving) == (False, False, 0, None)
    parser.feed(b"POST / HTTP/1.1\r\nHo")
    assert (parser.started, parser.in_head, parser.requests, parser.receiving) == (True, True, 0, None)
    parser.feed(b"st: x\r\nContent-Length: 3\r\n\r\na")
    assert (parser.in_head, parser.requests) == (False, 1)
    assert parser.receiving is not None
    assert parser.receiving.body.size == 1
    parser.feed(b"bc")
    assert (parser.in_head, parser.requests, parser.ended) == (False, 1, False)
    assert parser.receiving is None
    parser.close()


def test_errors_of_the_listener_are_not_hidden() -> None:
    """An error that is no rejection of ours is raised as it is."""

    class Failing(Listener):
        def exchange_begun(self, exchange: Exchange) -> None:
            raise ZeroDivisionError

    parser = RequestParser(Failing(), worker_load()[0], "", secure=False)
    with pytest.raises(ZeroDivisionError):
        parser.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


@settings(deadline=None)
@given(st.binary(max_size=300) | st.lists(st.sampled_from(PIPELINE.split(b"\r\n"))).map(b"\r\n".join))
def test_any_bytes_are_parsed_or_rejected(data: bytes) -> None:
    """No bytes raise anything but a rejection."""
    parsed = parse(data)
    assert all(request[1][:1] in ("/", "*", "%") or request[1] for request in parsed.requests)


def test_tiny_chunks_earn_no_credit_for_a_trailer() -> None:
    """A trailer is limited however many small chunks came before it."""
    tiny = b"1\r\nx\r\n" * 20_000
    parsed = parse(
        CHUNKED, *(tiny[n : n + 16_000] for n in range(0, len(tiny), 16_000)), b"0\r\nX: ", *[b"a" * 16_000] * 6
    )
    assert parsed.rejection is not None
    assert parsed.rejection.reason == "malformed"


def test_content_length_with_many_zeros_is_read() -> None:
    """httptools accepts leading zeros, and more digits than int() takes."""
    parsed = parse(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"0" * 5000 + b"2\r\n\r\nab")
    assert parsed.rejection is None
    assert len(parsed.requests) == 1


@pytest.mark.parametrize("version", [b"2.0", b"0.9"])
def test_other_versions_are_rejected(version: bytes) -> None:
    """Only HTTP/1.1 and HTTP/1.0 are served."""
    parsed = parse(b"GET / HTTP/%b\r\nHost: x\r\n\r\n" % version)
    assert parsed.rejection is not None
    assert parsed.requests == []


def test_proxy_connection_does_not_make_a_request_http_1_1() -> None:
    """httptools treats Proxy-Connection as Connection; HTTP/1.0 has no Transfer-Encoding with it either."""
    head = b"POST / HTTP/1.0\r\nProxy-Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    parsed = parse(head)
    assert parsed.rejection is not None
    assert parsed.requests == []
