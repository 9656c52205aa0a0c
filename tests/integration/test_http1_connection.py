"""One HTTP/1.1 connection: offers to upgrade, pipelined requests, half-closed connections, and rejections in order."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.normal_client import resident
from tests.support.programs import require
from tests.support.raw_http import Raw, raw
from tests.support.service import Running, serving

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
TEXT = {"accept": "text/plain"}
UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
WEBSOCKET = (
    b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
LOOKS_LIKE_A_REQUEST = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one worker on SQLite, for the tests that do not change it."""
    folder = tmp_path_factory.mktemp("http1")
    with serving(folder, f"sqlite://{folder}/m.db", "--workers", "1") as running:
        yield running


def post(body: bytes, *headers: bytes) -> bytes:
    """Return a POST of a text."""
    lines = (b"host: x", b"content-type: text/plain", b"content-length: %d" % len(body), *headers)
    return b"POST / HTTP/1.1\r\n" + b"".join(line.strip() + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(body: bytes, *headers: bytes) -> bytes:
    """Return a POST of a text in two chunks."""
    lines = (b"host: x", b"content-type: text/plain", b"transfer-encoding: chunked", *headers)
    head = b"POST / HTTP/1.1\r\n" + b"".join(line.strip() + b"\r\n" for line in lines) + b"\r\n"
    return head + b"1\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:1], len(body) - 1, body[1:])


def read(service: Running, posted: bytes | str) -> bytes:
    """Return the message that a JSON response to a POST links to."""
    path = json.loads(posted)["url"].partition("/msg/")[2]
    return httpx.get(f"{service.url}/msg/{path}", headers=TEXT).raise_for_status().content


def one_time(service: Running) -> tuple[bytes, str]:
    """Return a GET of a new message that can be read once, and the URL of its receipt."""
    posted = httpx.post(service.url, json={"message": "the text", "reads": 1}).raise_for_status().json()
    path = httpx.URL(posted["url"]).path
    return f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n".encode(), posted["receipt"]


class TestUpgrade:
    """An offer to switch protocols is ignored (RFC 9110, section 7.8). The request is served like any other."""

    @pytest.mark.parametrize(
        "options",
        [
            ["-d", "message=hello"],
            ["-F", "message=hello"],
            ["-H", "content-type: application/json", "-d", '{"message":"hello"}'],
            ["-H", "content-type: text/plain", "-d", "hello"],
            ["-H", "content-type: text/plain", "-H", "transfer-encoding: chunked", "-d", "hello"],
        ],
        ids=["form", "multipart", "json", "text", "chunked"],
    )
    def test_curl_offering_http2_is_served_over_http_1_1(self, service: Running, options: list[str]) -> None:
        """curl --http2 offers h2c with its first request; the body arrives."""
        command = [require("curl"), "--silent", "--http2", *options, service.url]
        assert read(service, subprocess.run(command, check=True, capture_output=True).stdout) == b"hello"

    def test_java_http_client_offering_h2c_is_served(self, service: Running, tmp_path: Path) -> None:
        """The default HttpClient of Java offers h2c with every request over http; the body arrives."""
        program = tmp_path / "Post.java"
        program.write_text("""
            import java.net.URI;
            import java.net.http.*;
            public class Post {
                public static void main(String[] arguments) throws Exception {
                    var request = HttpRequest.newBuilder(URI.create(arguments[0]))
                        .header("Content-Type", "text/plain")
                        .POST(HttpRequest.BodyPublishers.ofString("hello from java")).build();
                    var client = HttpClient.newHttpClient();
                    System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
                }
            }
        """)
        command = [require("java"), str(program), service.url]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        assert read(service, ran.stdout) == b"hello from java"

    @pytest.mark.parametrize("offer", [UPGRADE, WEBSOCKET], ids=["h2c", "websocket"])
    def test_next_request_in_the_same_segment_is_answered(self, service: Running, offer: bytes) -> None:
        """Both requests are answered."""
        with raw(service.url) as (client,):
            client.send(GET[:-2] + offer + b"\r\n" + LOOKS_LIKE_A_REQUEST)
            assert client.statuses(2) == [200, 404]

    def test_body_in_a_second_segment_is_not_parsed_as_a_request(self, service: Running) -> None:
        """Bytes of a body are not parsed as a request, and the request after it is."""
        with raw(service.url) as (client,):
            head, _, body = post(LOOKS_LIKE_A_REQUEST, UPGRADE).partition(b"\r\n\r\n")
            client.send(GET + head + b"\r\n\r\n")
            assert client.answer().status == 200
            client.send(body + GET)
            posted = client.answer()
            assert (posted.status, client.answer().status) == (200, 200)
            assert read(service, posted.body) == LOOKS_LIKE_A_REQUEST

    @pytest.mark.parametrize("make", [post, chunked])
    def test_body_in_the_same_segment_is_read(self, service: Running, make: type) -> None:
        """It has a Content-Length or is chunked; several such requests may be pipelined."""
        with raw(service.url) as (client,):
            client.send(make(LOOKS_LIKE_A_REQUEST, UPGRADE) + make(b"second", UPGRADE) + GET)
            first, second, third = client.answer(), client.answer(), client.answer()
            assert (first.status, second.status, third.status) == (200, 200, 200)
            assert read(service, first.body) == LOOKS_LIKE_A_REQUEST
            assert read(service, second.body) == b"second"

    def test_segments_of_one_byte_are_parsed(self, service: Running) -> None:
        """The ends of segments do not matter."""
        with raw(service.url) as (client,):
            for byte in chunked(b"hello", UPGRADE) + GET:
                client.send(bytes([byte]))
            assert read(service, client.answer().body) == b"hello"
            assert client.answer().status == 200

    def test_http_1_0_request_stays_http_1_0(self, service: Running) -> None:
        """An HTTP/1.0 request needs no Host, and its connection ends."""
        with raw(service.url) as (client,):
            client.send(b"GET / HTTP/1.0\r\n" + UPGRADE + b"\r\n")
            (answer,) = client.rest()
            assert (answer.status, answer.headers["connection"]) == (200, "close")

    def test_ninety_pipelined_offers_are_not_too_large(self, service: Running) -> None:
        """Ninety pipelined offers and the beginning of another one do not exceed the limit of a head."""
        with raw(service.url) as (client,):
            client.send((GET[:-2] + UPGRADE + b"\r\n") * 90 + GET[:-2])
            assert client.statuses(90) == [200] * 90
            client.send(b"\r\n")
            assert client.answer().status == 200


class TestPipelining:
    def test_pipelining_limit_holds_with_an_incomplete_head(self, service: Running) -> None:
        """Of 300 requests before an incomplete head, the first hundred are answered, then 503."""
        with raw(service.url) as (client,):
            client.send(GET * 300 + b"GET / HT")
            statuses = [answer.status for answer in client.rest()]
            assert 100 <= len(statuses) <= 110
            assert statuses == [200] * (len(statuses) - 1) + [503]

    @pytest.mark.parametrize("lines", [501, 100])
    def test_endless_pipelined_heads_use_bounded_memory(self, tmp_path: Path, lines: int) -> None:
        """20 MiB of pipelined heads, whose responses are read, are held back or the connection is closed."""
        head = b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a:\r\n" * (lines - 1)
        head += b"b: " + b"x" * max(0, 2015 - len(head)) + b"\r\n\r\n"
        with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "1") as own, raw(own.url) as (client,):
            httpx.get(own.url)
            before = resident(own)
            sender = threading.Thread(target=_send_all, args=(client, head * (20 * 2**20 // len(head))))
            sender.start()
            with contextlib.suppress(OSError):
                client.wait_closed()
            sender.join()
            assert resident(own) - before <= 8


def _send_all(client: Raw, data: bytes) -> None:
    with contextlib.suppress(OSError):
        client.send(data)
        client.half_close()


class TestHalfClose:
    """A client that has sent everything and closed its side of the connection still reads."""

    def test_get_is_answered_after_half_close(self, service: Running) -> None:
        """A one-time message is read, ten times of ten."""
        for _ in range(10):
            request, _ = one_time(service)
            with raw(service.url) as (client,):
                client.send(request)
                client.half_close()
                (answer,) = client.rest()
                assert (answer.status, answer.body) == (200, b"the text")

    def test_post_is_answered_after_half_close(self, service: Running) -> None:
        """A message is stored and its links are returned, ten times of ten."""
        for _ in range(10):
            with raw(service.url) as (client,):
                client.send(post(b"hello"))
                client.half_close()
                (answer,) = client.rest()
                assert read(service, answer.body) == b"hello"

    def test_pipelined_requests_are_answered_after_half_close(self, service: Running) -> None:
        """All requests that were sent before are answered, in order."""
        with raw(service.url) as (client,):
            client.send(GET + post(b"hello") + LOOKS_LIKE_A_REQUEST + GET)
            client.half_close()
            assert [answer.status for answer in client.rest()] == [200, 200, 404, 200]

    def test_half_close_within_a_body_gets_408(self, service: Running) -> None:
        """The requests before are answered; the incomplete one gets 408."""
        with raw(service.url) as (client,):
            client.send(GET + post(b"hello")[:-1])
            client.half_close()
            assert [answer.status for answer in client.rest()] == [200, 408]

    def test_half_close_within_a_head_gets_no_response(self, service: Running) -> None:
        """The requests before are answered, and the connection is closed."""
        with raw(service.url) as (client,):
            client.send(GET + GET[:-5])
            client.half_close()
            assert [answer.status for answer in client.rest()] == [200]


class TestRejectionsInOrder:
    """A rejection waits for the responses that are due before it (RFC 9112, section 9.3.2)."""

    def test_garbage_after_a_request_gets_400_after_its_response(self, service: Running) -> None:
        """The request is answered, then 400 follows and the connection ends."""
        for _ in range(10):
            request, receipt = one_time(service)
            with raw(service.url) as (client,):
                client.send(request + b"\x00garbage\r\n\r\n")
                first, second = client.rest()
                assert (first.status, first.body) == (200, b"the text")
                assert (second.status, second.headers["connection"]) == (400, "close")
                assert httpx.get(receipt, headers=TEXT).text == "read\n"

    def test_too_many_pipelined_requests_do_not_affect_the_first(self, service: Running) -> None:
        """The first request is answered as if the others did not exist."""
        for _ in range(5):
            request, _ = one_time(service)
            with raw(service.url) as (client,):
                client.send(request + GET * 150)
                answers = client.rest()
                assert (answers[0].status, answers[0].body) == (200, b"the text")
                assert answers[-1].status == 503
                assert {answer.status for answer in answers[1:-1]} == {200}

    def test_malformed_chunk_is_rejected_after_the_earlier_response(self, service: Running) -> None:
        """The rejection of a malformed body follows the response that was due."""
        with raw(service.url) as (client,):
            client.send(GET + chunked(b"hello").replace(b"\r\n1\r\n", b"\r\nzz\r\n"))
            assert [answer.status for answer in client.rest()] == [200, 400]
