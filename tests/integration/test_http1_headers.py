"""The requirements of RFC 9110 and RFC 9112 on header fields: Host, codings, Expect, repeated fields."""

import gzip
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.raw_http import Answer, raw, split_responses
from tests.support.service import Running, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one worker on SQLite."""
    folder = tmp_path_factory.mktemp("headers")
    with serving(folder, f"sqlite://{folder}/m.db", "--workers", "1", "--body-timeout", "1") as running:
        yield running


def ask(service: Running, *lines: bytes, body: bytes = b"") -> Answer:
    """Return the response to a request of these lines."""
    with raw(service.url) as (client,):
        client.send(b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)
        return client.answer()


def post(service: Running, *lines: bytes, body: bytes = b"hello") -> Answer:
    """Return the response to a POST with these header lines."""
    return ask(service, b"POST / HTTP/1.1", *lines, b"content-length: %d" % len(body), body=body)


def problem(answer: Answer, status: int, slug: str = "invalid") -> str:
    """Check that `answer` is this problem; return its detail."""
    told = json.loads(answer.body)
    assert (answer.status, told["status"], told["type"]) == (status, status, f"/docs#{slug}")
    detail: str = told["detail"]
    return detail


TEXT = b"content-type: text/plain"
NAMED = b"host: x"


class TestHost:
    """RFC 9112, section 3.2."""

    @pytest.mark.parametrize(
        "hosts",
        [
            (),
            (b"host: a.example", b"host: b.example"),
            (b"host: a.example", b"host: a.example"),
            (b"host:",),
            (b"host: ",),
            (b"host: a b",),
            (b"host: a.example/x",),
            (b"host: user@a.example",),
            (b"host: a.example:x",),
            (b"host: a.example, b.example",),
        ],
        ids=["missing", "two", "doubled", "empty", "blank", "space", "path", "user", "port", "list"],
    )
    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    def test_invalid_host_gets_400(self, service: Running, method: bytes, hosts: tuple[bytes, ...]) -> None:
        """An HTTP/1.1 request without exactly one host gets 400."""
        answer = ask(service, method + b" / HTTP/1.1", *hosts, TEXT, b"content-length: 1", body=b"x")
        assert "ost" in problem(answer, 400)
        assert answer.headers["connection"] == "close"

    @pytest.mark.parametrize("host", [b"a.example", b"A.example:8080", b"127.0.0.1:1", b"[::1]", b"[::1]:5000", b"a_b"])
    def test_valid_host_becomes_the_base_of_links(self, service: Running, host: bytes) -> None:
        """A name or address, with or without a port, becomes the base of links."""
        posted = json.loads(post(service, b"host: " + host, TEXT).body)
        assert posted["url"].startswith(f"http://{host.decode()}/msg/")

    def test_http_1_0_needs_no_host(self, service: Running) -> None:
        """HTTP/1.0 needs no Host."""
        answer = ask(service, b"GET / HTTP/1.0")
        assert (answer.status, answer.headers["connection"]) == (200, "close")


class TestTarget:
    """RFC 9112, section 3.2: the four forms of the request target."""

    @pytest.mark.parametrize("target", [b"http://a.example", b"http://a.example/", b"HTTP://a.example:80/"])
    def test_absolute_target_is_served(self, service: Running, target: bytes) -> None:
        """An absolute target is served, with or without a path."""
        assert ask(service, b"GET " + target + b" HTTP/1.1", NAMED).status == 200

    def test_host_of_an_absolute_target_takes_precedence(self, service: Running) -> None:
        """Links begin with the host of an absolute target, not with the Host header."""
        answer = ask(service, b"POST http://a.example/ HTTP/1.1", b"host: other", TEXT, b"content-length: 1", body=b"x")
        assert json.loads(answer.body)["url"].startswith("http://a.example/msg/")

    def test_absolute_target_requires_a_host_header(self, service: Running) -> None:
        """The Host header is required with any target."""
        problem(ask(service, b"GET http://a.example/ HTTP/1.1"), 400)

    def test_asterisk_is_a_target_of_options_only(self, service: Running) -> None:
        """OPTIONS * lists the methods of the service as a whole; other methods have no such target."""
        answer = ask(service, b"OPTIONS * HTTP/1.1", NAMED)
        assert (answer.status, answer.headers["content-length"]) == (200, "0")
        assert {"GET", "HEAD", "POST", "DELETE"} <= set(answer.headers["allow"].split(", "))
        assert ask(service, b"GET * HTTP/1.1", NAMED).status in (400, 404)

    @pytest.mark.parametrize("target", [b"ftp://a.example/", b"http://u:p@a.example/", b"http:///", b"http://a b/"])
    def test_other_targets_get_400(self, service: Running, target: bytes) -> None:
        """A target that is not an http address gets 400."""
        assert ask(service, b"GET " + target + b" HTTP/1.1", NAMED).status == 400


class TestCodings:
    @pytest.mark.parametrize("coding", [b"gzip", b"bogus", b"br", b"gzip, identity", b"deflate, gzip"])
    def test_compressed_body_gets_415(self, service: Running, coding: bytes) -> None:
        """A compressed body gets 415 with the accepted codings (RFC 9110, section 12.5.3), and nothing is stored."""
        answer = post(service, NAMED, TEXT, b"content-encoding: " + coding, body=gzip.compress(b"hello"))
        problem(answer, 415, "content-encoding")
        assert answer.headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("coding", [b"identity", b"Identity"])
    def test_identity_encoding_is_accepted(self, service: Running, coding: bytes) -> None:
        """Content-Encoding: identity means no coding."""
        assert post(service, NAMED, TEXT, b"content-encoding: " + coding).status == 200

    @pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"identity", b"deflate, chunked"])
    def test_transfer_coding_other_than_chunked_gets_501(self, service: Running, coding: bytes) -> None:
        """Any transfer coding but chunked gets 501, and the connection ends (RFC 9112, section 6.1)."""
        with raw(service.url) as (client,):
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n")
            client.send(b"transfer-encoding: " + coding + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            (answer,) = client.rest()
            problem(answer, 501, "transfer-coding")
            assert answer.headers["connection"] == "close"

    @pytest.mark.parametrize(
        "coding", [b"chunked, chunked", b"chunked, gzip", b"xchunked", b"chunked\r\ncontent-length: 5"]
    )
    def test_ambiguous_framing_is_rejected(self, service: Running, coding: bytes) -> None:
        """Framing that two parties could interpret differently is an error, and the connection ends."""
        with raw(service.url) as (client,):
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n")
            client.send(b"transfer-encoding: " + coding + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            (answer,) = client.rest()
            assert answer.status in (400, 501)

    def test_chunked_http_1_0_request_is_rejected(self, service: Running) -> None:
        """HTTP/1.0 has no transfer codings."""
        lines = (b"POST / HTTP/1.0", NAMED, TEXT, b"transfer-encoding: chunked")
        problem(ask(service, *lines, body=b"5\r\nhello\r\n0\r\n\r\n"), 400)


class TestExpect:
    """RFC 9110, section 10.1.1."""

    def test_waiting_client_gets_100_before_its_response(self, service: Running) -> None:
        """A waiting HTTP/1.1 client gets 100 (Continue), and then the response."""
        with raw(service.url) as (client,):
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n")
            client.send(b"expect: 100-continue\r\nconnection: close\r\n\r\n")
            assert client.line() == b"HTTP/1.1 100 Continue\r\n"
            client.send(b"hello")
            (answer,) = split_responses(client.wait_closed().removeprefix(b"\r\n"))
            assert answer.status == 200

    def test_http_1_0_client_gets_no_100(self, service: Running) -> None:
        """HTTP/1.0 does not know status 100."""
        with raw(service.url) as (client,):
            client.send(b"POST / HTTP/1.0\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n")
            client.send(b"expect: 100-continue\r\n\r\n")
            (answer,) = client.rest()
            assert answer.status == 408

    def test_rejected_request_gets_no_100(self, service: Running) -> None:
        """A body that would be too long is rejected before it is sent."""
        with raw(service.url) as (client,):
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9000000\r\n")
            client.send(b"expect: 100-continue\r\n\r\n")
            assert client.answer().status == 413


class TestRepeated:
    """RFC 9110, section 5.3."""

    def test_two_accept_lines_are_one_list(self, service: Running) -> None:
        """text/plain, named in the first of two Accept lines, reads the message."""
        posted = httpx.post(service.url, json={"message": "x", "reads": 1}).json()
        path = httpx.URL(posted["url"]).raw_path
        answer = ask(service, b"GET " + path + b" HTTP/1.1", NAMED, b"accept: text/plain", b"accept: */*")
        assert (answer.status, answer.body) == (200, b"x")

    @pytest.mark.parametrize("name", [b"content-type", b"authorization", b"idempotency-key", b"content-length"])
    def test_repeated_single_value_field_gets_400(self, service: Running, name: bytes) -> None:
        """It is unclear which of the two values counts."""
        value = {b"content-type": b"text/plain", b"content-length": b"5"}.get(name, b"Bearer x")
        lines = [NAMED, *([TEXT] if name != b"content-type" else [])]
        problem(post(service, *lines, name + b": " + value, name + b": " + value), 400)
