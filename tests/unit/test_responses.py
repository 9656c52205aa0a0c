"""The bytes of responses."""

from http import HTTPStatus

import pytest

from messaging_api.server.early_responses import error_bytes
from messaging_api.web.http_errors import HeadTooLarge
from messaging_api.web.problems import TABLE
from messaging_api.web.responses import SECURITY, HeaderBlock, Response, encode, lines
from tests.support.requests import header_fields

DATE = b"date: Tue, 24 Nov 2026 07:00:30 GMT\r\n"


def encoded(response: Response, *, secure: bool = False, close: bool = False, head: bool = False) -> bytes:
    return encode(response, "0123456789abcdef", DATE, secure=secure, close=close, head=head)


def test_lines() -> None:
    """One line for each field (RFC 9112, section 5); none for no field."""
    assert lines([(b"a", b"b"), (b"c", b"")]) == b"a: b\r\nc: \r\n"
    assert lines([]) == b""


def test_header_block_has_the_security_fields() -> None:
    """On every response, unless the response brings its own; over TLS also Strict-Transport-Security, there only."""
    block = HeaderBlock((b"content-type", b"text/plain"), (b"cache-control", b"public"))
    plain, secure = header_fields(block.plain), header_fields(block.secure)
    assert plain == {**dict(SECURITY), b"content-type": b"text/plain", b"cache-control": b"public"}
    assert secure == {**plain, b"strict-transport-security": b"max-age=63072000; includeSubDomains"}
    assert set(dict(SECURITY)) == {
        b"cache-control",
        b"content-security-policy",
        b"permissions-policy",
        b"referrer-policy",
        b"x-content-type-options",
        b"x-frame-options",
        b"x-robots-tag",
    }


@pytest.mark.parametrize("secure", [False, True])
def test_encode(secure: bool) -> None:  # noqa: FBT001 a case of the test
    """Status line, date, the fields of the kind and of this response, length, request id, and the body."""
    block = HeaderBlock((b"content-type", b"text/plain"))
    data = encoded(Response(404, block, b"body\r\n\r\n", lines=b"a: b\r\n"), secure=secure)
    head, _, body = data.partition(b"\r\n\r\n")
    status, _, rest = head.partition(b"\r\n")
    assert (status, body) == (b"HTTP/1.1 404 Not Found", b"body\r\n\r\n")
    fields = header_fields(rest)
    own = {b"a": b"b", b"content-length": b"8", b"x-request-id": b"0123456789abcdef"}
    date = {b"date": b"Tue, 24 Nov 2026 07:00:30 GMT"}
    assert fields == {**header_fields(block.secure if secure else block.plain), **own, **date}


def test_encode_of_the_last_response_and_of_head() -> None:
    """`close` adds Connection: close; `head` leaves out the body and keeps its length (RFC 9110, section 9.3.2)."""
    response = Response(200, HeaderBlock(), b"body")
    assert b"connection" not in encoded(response)
    assert (
        header_fields(encoded(response, close=True).split(b"\r\n", 1)[1].split(b"\r\n\r\n")[0])[b"connection"]
        == b"close"
    )
    assert encoded(response, head=True) == encoded(response).removesuffix(b"body")


def test_every_status_has_its_phrase() -> None:
    """The reason phrases are those of RFC 9110."""
    for status in {row.status for row in TABLE.values()} | {200, 308}:
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        assert encoded(Response(status, HeaderBlock(), b"")).startswith(line)


def test_responses_share_nothing() -> None:
    """What is added to one is not in the next of its kind."""
    block = HeaderBlock()
    one, other = Response(200, block, b""), Response(200, block, b"")
    one.lines += b"a: b\r\n"
    one.close = True
    assert (other.lines, other.close) == (b"", False)


def test_error_before_the_application() -> None:
    """A problem with the fields of every response, which ends the connection."""
    data = error_bytes(HeadTooLarge(1, 2), "0123456789abcdef", DATE, secure=True)
    head, _, body = data.partition(b"\r\n\r\n")
    fields = header_fields(head.partition(b"\r\n")[2])
    assert data.startswith(b"HTTP/1.1 431 ")
    assert fields[b"connection"] == b"close"
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"content-length"] == b"%d" % len(body)
    assert fields[b"x-request-id"] == b"0123456789abcdef"
    assert b"strict-transport-security" in fields
    assert b"head-too-large" in body
