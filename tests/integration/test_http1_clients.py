"""Clients that disconnect, send too much or do not read, and the limit on requests in flight."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.test_http1_connection import GET, one_time, post
from tests.support.normal_client import resident
from tests.support.programs import require
from tests.support.raw_http import raw
from tests.support.redis_server import redis_running
from tests.support.service import Running, sample, serving, wait_for

TEXT = {"accept": "text/plain"}
NOWHERE = b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"
LARGE = 30 * 10**6
ESTABLISHED, CLOSE_WAIT = "01", "08"
"""States in /proc/net/tcp."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one worker on SQLite, for the tests that do not change it."""
    folder = tmp_path_factory.mktemp("clients")
    with serving(folder, f"sqlite://{folder}/m.db", "--workers", "1") as running:
        yield running


@pytest.mark.parametrize("limit", ["0", "1000"], ids=["look-up", "limit check"])
def test_disconnected_client_spends_no_read(tmp_path: Path, limit: str) -> None:
    """When clients reset their connections while the store hangs, no read is spent and the receipts say available."""
    options = ("--workers", "1", "--store-timeout", "15", "--limit-read", limit)
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url, *options) as service:
        asked = [one_time(service) for _ in range(10)]
        with raw(service.url, len(asked)) as clients:
            for client in clients:
                client.send(GET)
                assert client.answer().status == 200
            with redis.suspended():
                for client, (request, _) in zip(clients, asked, strict=True):
                    client.send(request)
                assert httpx.get(service.url).status_code == 200  # so the requests before it were seen
                for client in clients:
                    client.reset()
                wait_for(lambda: connections(service) == 0)
                assert httpx.get(service.url).status_code == 200  # so the resets were seen
        states = [httpx.get(receipt, headers=TEXT).text for _, receipt in asked]
        assert states == ["available\n"] * len(asked)


def connections(service: Running) -> int:
    """Return how many connections clients and the service have open, as the kernel counts them."""
    port = f":{urlsplit(service.url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] in {ESTABLISHED, CLOSE_WAIT} for row in rows)


@pytest.mark.parametrize("open_bodies", [0, 40])
def test_answered_requests_do_not_count_as_in_flight(tmp_path: Path, open_bodies: int) -> None:
    """Answered requests whose bodies never arrive do not count toward the limit of requests in flight."""
    options = ("--workers", "1", "--max-in-flight", "5", "--store-timeout", "15")
    with (
        redis_running(tmp_path) as redis,
        serving(tmp_path, redis.url, *options) as service,
        raw(service.url, open_bodies) as stale,
        raw(service.url, 30) as clients,
        redis.suspended(),
    ):
        for one in stale:
            one.send(NOWHERE)
            assert one.answer().status == 404
        time.sleep(2.2 if stale else 0)  # the error to be found here came with the second check of timeouts
        for client in clients:
            client.send(post(b"hello"))
        wait_for(lambda: sum(client.readable() for client in clients) >= 25)
        assert [client.answer().status for client in clients if client.readable()] == [503] * 25


def test_body_timeout_does_not_run_while_reading_is_paused(tmp_path: Path) -> None:
    """While an earlier request waits for the store, the body timeout of the next one does not run."""
    options = ("--workers", "1", "--store-timeout", "15", "--body-timeout", "0.5")
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url, *options) as service:
        request, _ = one_time(service)
        with raw(service.url) as (client,):
            with redis.suspended():
                client.send(request + post(b"hello")[:-4])
                client.send(b"ello")
                time.sleep(3)  # several checks of timeouts
            assert client.statuses(2) == [200, 200]


def test_late_unneeded_body_is_counted_once(tmp_path: Path) -> None:
    """A request that needs no body and waits for the store gets its response, and then the connection ends."""
    options = ("--workers", "1", "--store-timeout", "15", "--body-timeout", "0.5")
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url, *options) as service:
        request, _ = one_time(service)
        with raw(service.url) as (client,):
            with redis.suspended():
                client.send(request[:-2] + b"content-length: 10\r\n\r\n")
                time.sleep(4)  # several checks of timeouts
            assert [answer.status for answer in client.rest()] == [200]
        assert sample(service.ops_url, "messaging_refusals_total", reason="slow_body") == 1


def upload_urllib(url: str) -> int:
    request = urllib.request.Request(url, b"x" * LARGE, {"content-type": "text/plain"})  # noqa: S310
    try:
        urllib.request.urlopen(request).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


def upload_http_client(url: str) -> int:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("POST", "/", b"x" * LARGE, {"content-type": "text/plain"})
    status = connection.getresponse().status
    connection.close()
    return status


def upload_httpx(url: str) -> int:
    return httpx.post(url, content=b"x" * LARGE, headers={"content-type": "text/plain"}, verify=False).status_code  # noqa: S501


def upload_curl(url: str) -> int:
    command = [require("curl"), "--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}"]
    options = ["-H", "content-type: text/plain", "-H", "expect:", "--data-binary", "@-", url]
    return int(subprocess.run([*command, *options], check=True, capture_output=True, input=b"x" * LARGE).stdout)


def upload_node(url: str) -> int:
    script = (
        "fetch(process.argv[1], {method: 'POST', headers: {'content-type': 'text/plain'},"
        " body: 'x'.repeat(Number(process.argv[2]))}).then(answer => console.log(answer.status))"
    )
    command = [require("node"), "-e", script, url, str(LARGE)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


Upload = Callable[[str], int]


@pytest.mark.parametrize("upload", [upload_urllib, upload_http_client, upload_httpx, upload_curl, upload_node])
def test_large_upload_gets_413_instead_of_a_reset(service: Running, upload: Upload) -> None:
    """A client that sends 30 MB before it reads gets the response and not a reset, each of three times."""
    assert [upload(service.url) for _ in range(3)] == [413] * 3


def test_client_that_keeps_sending_after_413_is_disconnected(service: Running) -> None:
    """After the 413 the connection stays open for a few seconds only."""
    with raw(service.url) as (client,):
        client.send(post(b"")[:-4].replace(b"length: 0", b"length: 99999999999") + b"\r\n\r\n")
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begin < 30:
                client.send(b"x" * 100_000)
        assert time.monotonic() - begin < 10
        wait_for(lambda: connections(service) == 0)


def test_clients_that_do_not_read_use_bounded_memory(tmp_path: Path) -> None:
    """Clients that request 45 MB each and read nothing are disconnected; little of their responses is in memory."""
    options = ("--workers", "1", "--send-timeout", "2", "--max-message-bytes", "500000")
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", *options) as own:
        link = httpx.post(own.url, json={"message": "x" * 500_000}).json()["url"]
        assert httpx.get(link, headers=TEXT).status_code == 200
        request = f"GET {urlsplit(link).path} HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n".encode()
        before = resident(own)
        most = [before]
        with raw(own.url, 8) as clients:
            for client in clients:
                client.send(request * 90)

            def all_cut() -> bool:
                most.append(resident(own))
                return sample(own.ops_url, "messaging_refusals_total", reason="slow_reader") == len(clients)

            wait_for(all_cut)
        assert max(most) - before <= 8 * 2
        wait_for(lambda: connections(own) == 0)


def test_what_was_refused_leaves_the_memory_at_once(tmp_path: Path) -> None:
    """Five hundred refused requests of 200 KB each leave nothing behind that waits for the garbage collector."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "1") as own:
        httpx.get(own.url)
        before = resident(own)
        for n in range(500):
            with raw(own.url) as (client,), contextlib.suppress(ConnectionError):
                client.send((b"GET / HTTP/1.1\r\n\r\n" if n % 2 else b"\x00") + b"x" * 200_000)
                client.wait_closed()
        assert resident(own) - before <= 16


@pytest.mark.parametrize("begin", [b"", b"0;x="], ids=["trailer", "extension"])
def test_endless_trailer_or_chunk_extension_is_rejected(tmp_path: Path, begin: bytes) -> None:
    """A trailer or chunk extension without end is rejected and does not fill the memory."""
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "1") as own, raw(own.url) as (client,):
        httpx.get(own.url)
        before = resident(own)
        client.send(head + b"1\r\nx\r\n" + (begin or b"0\r\nx: "))
        with contextlib.suppress(OSError):
            for _ in range(600):
                client.send(b"x" * 100_000)
        assert resident(own) - before <= 8
        wait_for(lambda: connections(own) == 0)


def test_thousand_connections_wait_to_be_accepted(tmp_path: Path) -> None:
    """When 1,000 clients connect while the only worker is stopped, the kernel drops none of them."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "1") as own:
        for pid in own.workers():
            os.kill(pid, signal.SIGSTOP)
        try:
            with raw(own.url, 1000) as clients:
                for pid in own.workers():
                    os.kill(pid, signal.SIGCONT)
                for client in clients:
                    client.send(GET)
                assert {client.answer().status for client in clients} == {200}
        finally:
            for pid in own.workers():
                os.kill(pid, signal.SIGCONT)
