"""The head of a request: target, host, repeated fields, transfer coding and offers to switch protocols."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api.errors import InvalidRequest
from messaging_api.server import head
from messaging_api.web.http_errors import UnsupportedTransferCoding


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", ("/", b"", None)),
        (b"/msg/x?a=b&c", ("/msg/x", b"a=b&c", None)),
        (b"/?", ("/", b"", None)),
        (b"/a?b?c", ("/a", b"b?c", None)),
        (b"/a#b?c", ("/a", b"", None)),
        (b"/a?b#c", ("/a", b"b", None)),
        (b"//a/b", ("//a/b", b"", None)),
        (b"/%2F\xe9", ("/%2F\xe9", b"", None)),
        (b"*", ("*", b"", None)),
        (b"http://msg.example", ("/", b"", b"msg.example")),
        (b"HTTPS://msg.example/a?b#c", ("/a", b"b", b"msg.example")),
        (b"http://msg.example:8080/a", ("/a", b"", b"msg.example:8080")),
        (b"http://[2001:db8::1]:80/", ("/", b"", b"[2001:db8::1]:80")),
        (b"http://[::1]/x", ("/x", b"", b"[::1]")),
    ],
)
def test_split_target(target: bytes, expected: tuple[str, bytes, bytes | None]) -> None:
    """Origin form, asterisk form and absolute form (RFC 9112, section 3.2), without a fragment."""
    assert head.split_target(target) == expected


@pytest.mark.parametrize(
    "target",
    [b"", b"x", b"msg.example:443", b"ftp://a/", b"http://", b"http://me:pw@a/", b"http://a:99999/", b"*x", b"http:/a"],
)
def test_split_target_rejects(target: bytes) -> None:
    """Authority form, other schemes, and credentials (RFC 9110, section 4.2.4)."""
    with pytest.raises(InvalidRequest):
        head.split_target(target)


@given(st.binary(max_size=80) | st.binary(max_size=40).map(b"http://".__add__))
def test_split_target_takes_any_bytes(target: bytes) -> None:
    """Whatever a target holds, it is split or rejected."""
    try:
        path, _, authority = head.split_target(target)
    except InvalidRequest:
        return
    assert path[:1] in ("/", "*")
    assert authority is None or target[:4].lower() == b"http"


@pytest.mark.parametrize(
    "host",
    [b"msg.example", b"MSG.example:443", b"192.0.2.1:1", b"[2001:db8::1]", b"[::1]:65535", b"a_b-c.d", b"a" * 253],
)
def test_host(host: bytes) -> None:
    """A name or address, with or without a port (RFC 9110, section 7.2)."""
    assert head.host_of({b"host": host}, None, required=True) == host


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a b",
        b"a,b",
        b"a/b",
        b"me@a",
        b"a:",
        b"a:123456",
        b"a:8a",
        b"::1",
        b"[::1",
        b"[x]",
        b"[]",
        b"a" * 254,
        b"<script>",
        b"\xff",
        b"a\n",
        b"a" * 301,
    ],
)
def test_host_rejects(host: bytes) -> None:
    """Anything else, in the field as in the target: links begin with it, so it must not hold anything else."""
    with pytest.raises(InvalidRequest):
        head.host_of({b"host": host}, None, required=True)
    with pytest.raises(InvalidRequest):
        head.host_of({b"host": b"a"}, host, required=True)


def test_host_that_is_missing() -> None:
    """HTTP/1.1 requires it, even with an absolute target (RFC 9112, section 3.2); HTTP/1.0 does not."""
    for authority in (None, b"a"):
        with pytest.raises(InvalidRequest):
            head.host_of({}, authority, required=True)
    assert head.host_of({}, None, required=False) == b""
    assert head.host_of({}, b"a", required=False) == b"a"


def test_host_of_the_target_wins() -> None:
    """The Host field is ignored beside an absolute target, but must be valid (RFC 9112, section 3.2.2)."""
    assert head.host_of({b"host": b"a"}, b"b:1", required=True) == b"b:1"
    with pytest.raises(InvalidRequest):
        head.host_of({b"host": b"a/"}, b"b", required=True)


def test_repeated_list_fields_are_joined() -> None:
    """With commas in their order (RFC 9110, section 5.3), cookies with semicolons (RFC 9113, section 8.2.3)."""
    headers: head.Headers = {}
    for name, value in ((b"accept", b"a"), (b"accept", b"b"), (b"cookie", b"c=1"), (b"cookie", b"d=2"), (b"x", b"")):
        head.add(headers, name, value)
    head.add(headers, b"accept", b"")
    assert headers == {b"accept": b"a, b, ", b"cookie": b"c=1; d=2", b"x": b""}


@pytest.mark.parametrize(
    "name",
    b"authorization content-length content-type expect host idempotency-key if-modified-since if-unmodified-since "
    b"max-forwards origin proxy-authorization range referer traceparent user-agent".split(),
)
@pytest.mark.parametrize("second", [b"a", b"b", b""])
def test_repeated_single_fields_are_rejected(name: bytes, second: bytes) -> None:
    """A field with one value must not come twice, with an equal value either."""
    headers: head.Headers = {}
    head.add(headers, name, b"a")
    with pytest.raises(InvalidRequest, match=name.decode()):
        head.add(headers, name, second)


@pytest.mark.parametrize("coding", [b"chunked", b"CHUNKED"])
def test_transfer_coding(coding: bytes) -> None:
    """The name of the coding is in any case (RFC 9112, section 7)."""
    head.check_transfer_coding({b"transfer-encoding": coding}, modern=True)


@pytest.mark.parametrize("coding", [b"", b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"chunked;a=b"])
def test_transfer_coding_that_is_not_supported(coding: bytes) -> None:
    """Any coding but chunked, alone or together with it (RFC 9112, section 6.1)."""
    with pytest.raises(UnsupportedTransferCoding):
        head.check_transfer_coding({b"transfer-encoding": coding}, modern=True)


def test_transfer_coding_before_http_1_1() -> None:
    """HTTP/1.0 has none; a message with one is likely an attack (RFC 9112, section 6.1)."""
    with pytest.raises(InvalidRequest):
        head.check_transfer_coding({b"transfer-encoding": b"chunked"}, modern=False)


@pytest.mark.parametrize(
    ("connection", "kept"),
    [
        (b"Upgrade", None),
        (b"upgrade, close", b"close"),
        (b"keep-alive,UPGRADE", b"keep-alive"),
        (b"a, Upgrade, b", b"a, b"),
        (b"upgrade-x", b"upgrade-x"),
    ],
)
def test_without_upgrade(connection: bytes, kept: bytes | None) -> None:
    """Upgrade and its connection option are gone, everything else stays (RFC 9110, section 7.8)."""
    headers = {b"host": b"a", b"upgrade": b"h2c", b"connection": connection, b"content-length": b"2"}
    parsed: list[tuple[bytes, bytes]] = []

    class Seen:
        def on_header(self, name: bytes, value: bytes) -> None:
            parsed.append((name, value))

    parser = httptools.HttpRequestParser(Seen())
    parser.feed_data(head.without_upgrade(b"POST", b"/x?y", "1.1", headers) + b"ab")
    assert parser.get_method() == b"POST"
    assert parser.get_http_version() == "1.1"
    expected = [(b"host", b"a"), (b"content-length", b"2")]
    assert parsed == [*expected, *([(b"connection", kept)] if kept else [])]
