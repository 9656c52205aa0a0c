"""Too much, too slow, too long: what the service does with it, and that others do not notice."""

import contextlib
import json
import signal
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
    """Return the number of requests and connections rejected for `reason`."""
    return sample(service.ops_url, "messaging_refusals_total", reason=reason)


def logged_rejections(service: Running, reason: str) -> list[dict[str, object]]:
    """Return the events in the log about requests and connections rejected for `reason`."""
    lines = map(json.loads, service.log.read_text().splitlines())
    return [line for line in lines if line["event"] == "refused" and line["reason"] == reason]


def test_a_head_that_trickles_is_cut(tmp_path: Path) -> None:
    """A byte now and then does not keep a connection: when the head's time is over it ends, counted and logged."""
    with shielded(tmp_path, "--head-timeout", "0.5") as service, raw(service.url) as (slow,):
        assert slow.trickle(b"GET / HTTP/1.1\r\nx: " + b"x" * 10_000) == b""
        assert rejections(service, "slow_head") == 1
        wait_for(lambda: logged_rejections(service, "slow_head"))
        assert logged_rejections(service, "slow_head")[0]["client"] == "127.0.0.1"


def test_a_second_head_that_trickles_is_cut(tmp_path: Path) -> None:
    """After an answered request too."""
    with shielded(tmp_path, "--head-timeout", "0.5") as service, raw(service.url) as (slow,):
        slow.send(GET)
        slow.answer()
        assert slow.trickle(GET[:-2] + b"x" * 10_000) == b""
        assert rejections(service, "slow_head") == 1


def test_a_silent_connection_is_closed(tmp_path: Path) -> None:
    """Connected, nothing said: the time for a head counts from there. A browser does so, it is no attack."""
    with shielded(tmp_path, "--head-timeout", "0.5") as service, raw(service.url) as (silent,):
        assert silent.wait_closed() == b""
        assert rejections(service, "slow_head") == 0


@pytest.mark.parametrize("framing", [b"content-length: 10000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n2710\r\n"])
def test_a_body_that_trickles_is_408(tmp_path: Path, framing: bytes) -> None:
    """When the body's time is over the client is told, the connection ends, and nothing is kept."""
    with shielded(tmp_path, "--body-timeout", "0.5") as service, raw(service.url) as (slow,):
        slow.send(POST + framing)
        head, body = slow.trickle(b"x" * 10_000).split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"x-content-type-options: nosniff" in head
        assert json.loads(body)["type"] == "/docs#incomplete"
        assert rejections(service, "slow_body") == 1
        assert sample(service.ops_url, "messaging_messages_total", event="created") == 0


def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    """A kept-alive connection ends when nothing is asked for the time of `keep_alive`; it served till then."""
    with shielded(tmp_path, "--keep-alive", "0.5") as service, raw(service.url) as (idle,):
        for _ in range(3):
            idle.send(GET)
            assert idle.answer()
        assert idle.wait_closed() == b""
        wait_for(lambda: sample(service.ops_url, "messaging_worker_connections", worker="0") == 0)


def test_line_breaks_do_not_keep_an_idle_connection(tmp_path: Path) -> None:
    """Empty lines before a request are allowed (RFC 9112, section 2.2), but they are no request."""
    with shielded(tmp_path, "--keep-alive", "0.5") as service, raw(service.url) as (idle,):
        idle.send(GET)
        idle.answer()
        assert idle.trickle(b"\r\n" * 5000) == b""


def test_a_client_that_takes_no_answer_is_cut(tmp_path: Path) -> None:
    """Answers that nobody reads do not gather for ever."""
    with shielded(tmp_path, "--send-timeout", "0.5") as service, raw(service.url) as (deaf,):
        asked = 0
        while not rejections(service, "slow_reader"):
            with contextlib.suppress(OSError):
                deaf.send(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 50)
            asked += 50
            wait_for(lambda: answered(service) == asked or rejections(service, "slow_reader"))  # noqa: B023
        wait_for(lambda: sample(service.ops_url, "messaging_worker_connections", worker="0") == 0)


def answered(service: Running) -> float | None:
    """How often the contract was handed over."""
    return sample(service.ops_url, "messaging_requests_total", route="/openapi.json", method="GET", status="200")


def test_connections_over_the_ceiling_are_503_at_once(tmp_path: Path) -> None:
    """Those within it go on; the one over it is told when to come again; a place that is free is given again."""
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


def test_silent_connections_over_the_ceiling_go_too(tmp_path: Path) -> None:
    """Who is over the ceiling and says nothing is cut within a second or so, long before the time for a head."""
    with shielded(tmp_path, "--max-connections", "2", "--head-timeout", "60") as service, raw(service.url, 12) as many:
        wait_for(lambda: sum(one.open() for one in many) == 2)
        assert rejections(service, "connections") == 10


def test_requests_over_the_ceiling_are_503_at_once(tmp_path: Path) -> None:
    """With all places taken by requests that wait for the store, the next is answered before them."""
    options = ("--workers", "1", "--max-in-flight", "3", "--store-timeout", "15")
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url, *options) as service:
        assert redis.process is not None
        redis.process.send_signal(signal.SIGSTOP)
        with raw(service.url, 3) as waiting:
            for one in waiting:
                one.send(
                    b"GET /msg/00000000-0000-4000-8000-000000000000 HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n"
                )
            wait_for(lambda: httpx.get(service.url).status_code == 503)
            rejection = httpx.post(service.url, json={"message": "x"})
            assert (rejection.status_code, rejection.headers["retry-after"]) == (503, "1")
            assert rejection.json()["type"] == "/docs#overloaded"
            assert not any(one.readable() for one in waiting)
            redis.process.send_signal(signal.SIGCONT)
            assert [one.answer().status for one in waiting] == [404] * 3
        wait_for(lambda: httpx.get(service.url).status_code == 200)
        assert rejections(service, "overloaded") == 2


def test_bodies_under_way_take_no_place(tmp_path: Path) -> None:
    """Slow senders hold connections, not the places in flight that others need."""
    with shielded(tmp_path, "--max-in-flight", "2") as service, raw(service.url, 5) as slow:
        for one in slow:
            one.send(POST + b"content-length: 5\r\n\r\nab")
        wait_for(lambda: httpx.get(service.url).status_code == 200)
        for one in slow[:2]:
            one.send(b"cde")
            assert one.answer().status == 200


def test_bodies_that_stop_short_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Past 64 MiB of them large ones are refused, while small ones are taken as ever."""
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
def test_a_body_over_the_limit_is_cut_while_it_streams(tmp_path: Path, framing: bytes) -> None:
    """413 long before the end, told or untold how long it would be; the rest is not waited for."""
    with shielded(tmp_path) as service, raw(service.url) as (endless,):
        endless.send(POST + framing + b"x" * 70_000)
        assert endless.answer().status == 413
        endless.wait_closed()


def test_a_head_without_end_is_431(tmp_path: Path) -> None:
    """However fast it comes."""
    with shielded(tmp_path) as service, raw(service.url) as (endless,):
        endless.send(GET[:-2] + b"".join(b"x-%d: %b\r\n" % (n, b"x" * 1000) for n in range(70)))
        answer = endless.answer()
        assert answer.status == 431
        assert json.loads(answer.body)["type"] == "/docs#head-too-large"
        assert endless.wait_closed() == b""


def test_many_requests_at_once_on_one_connection(tmp_path: Path) -> None:
    """A hundred are answered in order. Of more the first are answered, then 503 comes and the connection ends."""
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


def test_trailers_are_no_headers(tmp_path: Path) -> None:
    """What follows a chunked body cannot say what a proxy took out of the headers."""
    with shielded(tmp_path) as service, raw(service.url) as (sly,):
        sly.send(POST + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\naccept: text/plain\r\n\r\n")
        assert json.loads(sly.answer().body)["status"] == 200


def test_those_who_leave_early_leave_no_trace(tmp_path: Path) -> None:
    """A client that asks twice at once and goes is no error."""
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
def test_slow_clients_keep_nobody_waiting(tmp_path: Path) -> None:
    """With ninety slow connections a normal client is served as before; `make attack` has the figures for more."""
    with shielded(tmp_path, "--head-timeout", "1", "--body-timeout", "1") as service:
        with attacking("slow_clients", service.url, "90"):
            wait_for(lambda: (sample(service.ops_url, "messaging_worker_connections", worker="0") or 0) >= 80)
            attacked = served(service.url, 3)
        assert attacked.refused == []
        assert len(attacked.times) > 100
        assert rejections(service, "slow_head")
        assert rejections(service, "slow_body")
