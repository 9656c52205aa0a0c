"""Put a load on a server from the other core and measure what it costs; fill stores for it."""

import asyncio
import contextlib
import http.client
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis

from benchmarks.servers import LOAD_CORE, RunningServer
from messaging_api.core.message import Draft, MessageLimits
from messaging_api.core.service import Service
from messaging_api.runtime.application import now_ms
from messaging_api.stores import StoreOptions, open_store

SCRIPT = str(Path(__file__).with_name("load.lua"))
_START_TIMEOUT = 20
"""Seconds in which a server must answer its first request."""


@dataclass(frozen=True)
class Figures:
    """The figures of one measurement, or their medians.

    `rps` is requests a second; `cpu_us` the CPU time of all the server's processes for a request, in µs; `p50` and
    `p99` are latencies in ms. `ratio` is `cpu_us` in units of the baseline's in the same round, 0 where there is no
    baseline. `redis_reads` is how often Redis read from its clients' sockets for 32 requests, 0 without a Redis.
    """

    rps: float
    cpu_us: float
    p50: float
    p99: float
    errors: int
    redis_reads: float = 0.0
    ratio: float = 0.0
    requests: int = 0


def measure(
    server: RunningServer, connections: int, seconds: int, paths: Path | None, redis: str | None = None
) -> Figures:
    """Read random messages that `paths` lists, or create without it, over kept-alive connections."""
    arguments = [] if paths is None else [str(paths)]
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", SCRIPT]
    before, reads_before = server.cpu(), _socket_reads(redis)
    ran = subprocess.run([*command, server.url, "--", *arguments], capture_output=True, text=True, check=True)
    cpu, reads = server.cpu() - before, _socket_reads(redis) - reads_before
    reported = json.loads(ran.stdout.splitlines()[-1])
    requests = reported["requests"]
    return Figures(
        requests / reported["seconds"],
        cpu / requests * 1e6,
        reported["p50"],
        reported["p99"],
        reported["errors"],
        redis_reads=reads / requests * 32,
        requests=requests,
    )


def _socket_reads(redis_url: str | None) -> int:
    """Return how often Redis has read from a client's socket: a batch that comes in one write is one read."""
    if redis_url is None:
        return 0
    with redis.Redis.from_url(redis_url) as client:
        stats: dict[str, int] = client.info("stats")
        return stats["total_reads_processed"]


def fill(  # noqa: PLR0913 each is a dimension of what is stored
    store_url: str,
    count: int,
    paths: Path | None = None,
    size: int = 1024,
    ttl: int = 604_800,
    *,
    spread: int = 1,
) -> None:
    """Store `count` different messages and write their paths, one a line, to `paths`.

    They live `ttl` seconds, or up to `spread` seconds less.
    """
    lines = asyncio.run(_fill(store_url, range(count), size, ttl, spread))
    if paths is not None:
        paths.write_text("\n".join(lines) + "\n")


async def _fill(store_url: str, numbers: range, size: int, ttl: int, spread: int) -> list[str]:
    store = open_store(store_url, now_ms, StoreOptions(60))
    service = Service(store, MessageLimits(), now_ms)
    lines: list[str] = []
    for start in range(0, len(numbers), 1000):
        some = numbers[start : start + 1000]
        drafts = [Draft(f"{n:016}".encode() * (size // 16), ttl - n % spread) for n in some]
        lines += [f"/msg/{posted.message_id}" for posted in await asyncio.gather(*map(service.post, drafts))]
    await store.aclose()
    return lines


def wait_ready(url: str) -> None:
    """Return when `url` has answered a request."""
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return _request(url)
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.001)


def _request(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_START_TIMEOUT)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        connection.getresponse().read()
