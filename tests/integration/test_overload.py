"""Too many, too slow and too long requests, and their effect on other clients."""

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.normal_client import attacking, resident, served
from tests.support.raw_http import raw
from tests.support.redis_server import redis_running
from tests.support.service import Running, sample, serving, wait_for

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n"


@contextmanager
def shielded(folder: Path, *options: str) -> Iterator[Running]:
    """One worker on SQLite."""
    with serving(folder, f"sqlite://{folder}/m.db", "--workers", "1", *options) as service:
        yield service


def rejections(service: Running, reason: str) -> float | None:
    """Return the number of rejections for that reason."""
    return sample(service.ops_url, "messaging_refusals_total", reason=reason)


def logged_rejections(service: Running, reason: str) -> list[dict[str, object]]:
    """Return the log lines about rejections for that reason."""
    lines = map(json.loads, service.log.read_text().splitlines())
    return [line for line in lines if line["event"] == "refused" and line["reason"] == reason]


def test_slow_head_is_disconnected(tmp_path: Path) -> None:
    """Single bytes do not extend the head timeout; the end of the connection is counted and logged."""
    with shielded(tmp_path, "--head-timeout", "0.5") as service, raw(service.url) as (slow,):
        assert slow.trickle(b"GET / HTTP/1.1\r\nx: " + b"x" * 10_000) == b""
        assert rejections(service, "slow_head") == 1
        wait_for(lambda: logged_rejections(service, "slow_head"))
        assert logged_rejections(service, "slow_head")[0]["client"] == "127.0.0.1"


def test_slow_head_after_a_response_is_disconnected(tmp_path: Path) -> None:
    """The head timeout also applies after an answered request."""
    with shielded(tmp_path, "--head-timeout", "0.5") as service, raw(service.url) as (slow,):
        slow.send(GET)
        slow.answer()
        assert slow.trickle(GET[:-2] + b"x" * 10_000) == b""
        assert rejections(service, "slow_head") == 1


def test_silent_connection_is_closed(tmp_path: Path) -> None:
    """The head timeout starts with the connection. Browsers open such connections, so it is not an attack."""
    with shielded(tmp_path, "--head-timeout", "0.5") as service, raw(service.url) as (silent,):
        assert silent.wait_closed() == b""
        assert rejections(service, "slow_head") == 0


@pytest.mark.parametrize("framing", [b"content-length: 10000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n2710\r\n"])
def test_slow_body_gets_408(tmp_path: Path, framing: bytes) -> None:
    """At the body timeout the client gets 408, the connection ends, and nothing is stored."""
    with shielded(tmp_path, "--body-timeout", "0.5") as service, raw(service.url) as (slow,):
        slow.send(POST + framing)
        head, body = slow.trickle(b"x" * 10_000).split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"x-content-type-options: nosniff" in head
        assert json.loads(body)["type"] == "/docs#incomplete"
        assert rejections(service, "slow_body") == 1
        assert sample(service.ops_url, "messaging_messages_total", event="created") == 0


def test_idle_connection_is_closed_after_keep_alive(tmp_path: Path) -> None:
    """A persistent connection serves requests until it is idle for `keep_alive`."""
    with shielded(tmp_path, "--keep-alive", "0.5") as service, raw(service.url) as (idle,):
        for _ in range(3):
            idle.send(GET)
            assert idle.answer()
        assert idle.wait_closed() == b""
        wait_for(lambda: sample(service.ops_url, "messaging_worker_connections", worker="0") == 0)


def test_empty_lines_do_not_keep_an_idle_connection_open(tmp_path: Path) -> None:
    """Empty lines before a request are allowed (RFC 9112, section 2.2), but they are not a request."""
    with shielded(tmp_path, "--keep-alive", "0.5") as service, raw(service.url) as (idle,):
        idle.send(GET)
        idle.answer()
        assert idle.trickle(b"\r\n" * 5000) == b""


def test_client_that_does_not_read_is_disconnected(tmp_path: Path) -> None:
    """Responses to a client that does not read do not accumulate."""
    with shielded(tmp_path, "--send-timeout", "0.5") as service, raw(service.url) as (deaf,):
        asked = 0
        while not rejections(service, "slow_reader"):
            with contextlib.suppress(OSError):
                deaf.send(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 50)
            asked += 50
            wait_for(lambda: answered(service) == asked or rejections(service, "slow_reader"))  # noqa: B023
        wait_for(lambda: sample(service.ops_url, "messaging_worker_connections", worker="0") == 0)


def answered(service: Running) -> float | None:
    """Return how often the contract was served."""
    return sample(service.ops_url, "messaging_requests_total", route="/openapi.json", method="GET", status="200")


def test_connection_over_the_limit_gets_503(tmp_path: Path) -> None:
    """The others go on; the rejected client gets Retry-After; a closed connection makes way for another."""
    with shielded(tmp_path, "--max-connections", "5") as service, raw(service.url, 5) as kept:
        wait_for(lambda: sample(service.ops_url, "messaging_worker_connections", worker="0") == 5)
        rejection = httpx.get(service.url)
        assert rejection.status_code == 503
        assert rejection.headers["retry-after"] == "1"
        assert rejection.headers["x-content-type-options"] == "nosniff"
        assert rejection.json()["type"] == "/docs#overloaded"
        kept[0].send(GET)
        assert kept[0].answer().status == 200
        kept[1].close()
        wait_for(lambda: httpx.get(service.url).status_code == 200)
        assert rejections(service, "connections") == 1


def test_silent_connection_over_the_limit_is_closed_early(tmp_path: Path) -> None:
    """A silent connection over the limit is closed within about a second, long before the head timeout."""
    with shielded(tmp_path, "--max-connections", "2", "--head-timeout", "60") as service, raw(service.url, 12) as many:
        wait_for(lambda: sum(one.open() for one in many) == 2)
        assert rejections(service, "connections") == 10


def test_request_over_the_limit_gets_503_at_once(tmp_path: Path) -> None:
    """While the maximum of requests wait for the store, the next one is rejected before they are answered."""
    options = ("--workers", "1", "--max-in-flight", "3", "--store-timeout", "15")
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url, *options) as service:
        with raw(service.url, 3) as waiting:
            with redis.suspended():
                for one in waiting:
                    one.send(
                        b"GET /msg/00000000-0000-4000-8000-000000000000 HTTP/1.1\r\n"
                        b"host: x\r\naccept: text/plain\r\n\r\n"
                    )
                wait_for(lambda: httpx.get(service.url).status_code == 503)
                rejection = httpx.post(service.url, json={"message": "x"})
                assert (rejection.status_code, rejection.headers["retry-after"]) == (503, "1")
                assert rejection.json()["type"] == "/docs#overloaded"
                assert not any(one.readable() for one in waiting)
            assert [one.answer().status for one in waiting] == [404] * 3
        wait_for(lambda: httpx.get(service.url).status_code == 200)
        assert rejections(service, "overloaded") == 2


def test_incomplete_bodies_do_not_count_as_in_flight(tmp_path: Path) -> None:
    """Slow senders use connections, not the limit of requests in flight."""
    with shielded(tmp_path, "--max-in-flight", "2") as service, raw(service.url, 5) as slow:
        for one in slow:
            one.send(POST + b"content-length: 5\r\n\r\nab")
        wait_for(lambda: httpx.get(service.url).status_code == 200)
        for one in slow[:2]:
            one.send(b"cde")
            assert one.answer().status == 200


def test_incomplete_bodies_use_bounded_memory(tmp_path: Path) -> None:
    """Beyond 64 MiB of incomplete bodies, large ones are rejected and small ones are still accepted."""
    json_post = POST.replace(b"text/plain", b"application/json") + b"content-length: 390000\r\n\r\n"
    with shielded(tmp_path) as service:
        before = resident(service)
        with raw(service.url, 350) as many, raw(service.url, 600) as small:
            for one in many:
                with contextlib.suppress(ConnectionError):
                    one.send(json_post + b"x" * 389_000)
            fit = 64 * 2**20 // 389_000
            wait_for(lambda: (rejections(service, "bodies") or 0) >= 350 - fit)
            rejected = rejections(service, "bodies")
            for one in small:
                one.send(json_post + b"x" * 8000)
            assert httpx.post(service.url, json={"message": "x"}).status_code == 200
            assert rejections(service, "bodies") == rejected
            assert httpx.post(service.url, json={"message": "x" * 60_000}).status_code == 503
            assert resident(service) - before < 120
        wait_for(lambda: httpx.post(service.url, json={"message": "x" * 60_000}).status_code == 200)


@pytest.mark.parametrize(
    "framing", [b"content-length: 99999999\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n5f5e0ff\r\n"]
)
def test_too_long_body_gets_413_before_its_end(tmp_path: Path, framing: bytes) -> None:
    """The 413 comes long before the end, with or without a Content-Length; the rest is not waited for."""
    with shielded(tmp_path) as service, raw(service.url) as (endless,):
        endless.send(POST + framing + b"x" * 70_000)
        assert endless.answer().status == 413
        endless.wait_closed()


def test_endless_head_gets_431(tmp_path: Path) -> None:
    """The speed of the head does not matter."""
    with shielded(tmp_path) as service, raw(service.url) as (endless,):
        endless.send(GET[:-2] + b"".join(b"x-%d: %b\r\n" % (n, b"x" * 1000) for n in range(70)))
        answer = endless.answer()
        assert answer.status == 431
        assert json.loads(answer.body)["type"] == "/docs#head-too-large"
        assert endless.wait_closed() == b""


def test_too_many_pipelined_requests_get_503(tmp_path: Path) -> None:
    """A hundred are answered in order. Of more, the first are answered, then 503 ends the connection."""
    with shielded(tmp_path) as service, raw(service.url, 3) as (busy, busier, flooding):
        busy.send(GET * 100)
        assert [busy.answer().status for _ in range(100)] == [200] * 100
        busier.send(GET * 10_000)
        statuses = [answer.status for answer in busier.rest()]
        assert len(statuses) < 1000
        assert statuses == [200] * (len(statuses) - 1) + [503]
        with contextlib.suppress(ConnectionError):
            flooding.send(GET * 1_000_000)
        flooding.wait_closed()
        wait_for(lambda: rejections(service, "pipelined") == 2)
        assert httpx.get(service.url).status_code == 200


def test_trailers_are_not_used_as_headers(tmp_path: Path) -> None:
    """A trailer cannot restore a header field that a proxy has removed."""
    with shielded(tmp_path) as service, raw(service.url) as (sly,):
        sly.send(POST + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\naccept: text/plain\r\n\r\n")
        assert json.loads(sly.answer().body)["status"] == 200


def test_early_disconnect_is_not_an_error(tmp_path: Path) -> None:
    """A client that pipelines requests and disconnects causes no error in the log."""
    with shielded(tmp_path) as service:
        for _ in range(50):
            with raw(service.url) as (hasty,):
                hasty.send(
                    b"GET /msg/00000000-0000-4000-8000-000000000000 HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n"
                    * 3
                )
        wait_for(lambda: sample(service.ops_url, "messaging_worker_connections", worker="0") == 0)
        assert '"event":"library"' not in service.console.read_text()


@pytest.mark.alone
def test_slow_clients_do_not_delay_others(tmp_path: Path) -> None:
    """With ninety slow connections a normal client is served as before; `make attack` measures more."""
    with shielded(tmp_path, "--head-timeout", "1", "--body-timeout", "1") as service:
        with attacking("slow_clients", service.url, "90"):
            wait_for(lambda: (sample(service.ops_url, "messaging_worker_connections", worker="0") or 0) >= 80)
            attacked = served(service.url, 3)
        assert attacked.refused == []
        assert len(attacked.times) > 100
        assert rejections(service, "slow_head")
        assert rejections(service, "slow_body")
