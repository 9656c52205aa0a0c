"""The number of round trips from the service to Redis."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from tests.support.redis_server import redis_running
from tests.support.service import Running, serving

AT_ONCE = 32
LIMITED = ("--limit-create", "100000", "--limit-read", "100000", "--limit-miss", "100000")


def reads(client: redis.Redis) -> int:
    """Return how often Redis has read from the sockets of its clients; this call is one of them."""
    return int(client.info("stats")["total_reads_processed"])


def asked_at_once(service: Running, requests: list[bytes]) -> list[bytes]:
    """Return the responses to requests that all arrive before the worker reads any."""
    (worker, _ops) = service.workers()
    address = urlsplit(service.url)
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=10))
            for _ in requests
        ]
        for connection in connections:  # connected, accepted, served once
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        os.kill(worker, signal.SIGSTOP)
        for connection, request in zip(connections, requests, strict=True):
            connection.sendall(request)
        os.kill(worker, signal.SIGCONT)
        return [connection.recv(65536) for connection in connections]


def get(url: str) -> bytes:
    return f"GET {urlsplit(url).path} HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n".encode()


def post(_: str) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("ask", [get, post])
@pytest.mark.parametrize("options", [(), LIMITED], ids=["limits off", "limits on"])
def test_simultaneous_requests_share_round_trips(
    tmp_path: Path, options: tuple[str, ...], ask: Callable[[str], bytes]
) -> None:
    """32 reads, or 32 creates, take Redis at most two reads of its sockets, including rate limits."""
    with redis_running(tmp_path) as server, serving(tmp_path, server.url, "--workers", "1", *options) as service:
        posted = [httpx.post(service.url, json={"message": "hello"}).json() for _ in range(AT_ONCE)]
        client = server.client()
        client.ping()  # what opens a connection is behind us
        trips = []
        for _ in range(3):  # periodic checks of the service can only add to one of them
            before = reads(client)
            answers = asked_at_once(service, [ask(one["url"]) for one in posted])
            trips.append(reads(client) - before - 1)
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        client.close()
        assert 1 <= min(trips) <= 2
