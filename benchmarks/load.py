"""One measurement: a load from the other core, and what it cost the server."""

import asyncio
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.servers import LOAD_CORE, RunningServer
from messaging_api.core.message import Draft, MessageLimits
from messaging_api.core.service import Service
from messaging_api.runtime.application import now_ms
from messaging_api.stores import StoreOptions, open_store

SCRIPT = str(Path(__file__).with_name("load.lua"))


@dataclass(frozen=True)
class Figures:
    """`cpu_us`: CPU of all the server's processes for a request; latencies in ms; `memory` in MiB.

    `ratio` is CPU in units of the bare server's in the same round, 0 where there is none to compare with. `trips` is
    the number of reads from its clients' sockets that Redis did for 32 requests, 0 where there is no Redis.
    """

    rps: float
    cpu_us: float
    p50: float
    p99: float
    errors: int
    memory: float
    trips: float = 0.0
    ratio: float = 0.0
    requests: int = 0


def measure(
    server: RunningServer, connections: int, seconds: int, paths: Path | None, redis: str | None = None
) -> Figures:
    """Read the messages that `paths` lists, or create, over kept-alive connections."""
    arguments = [] if paths is None else [str(paths)]
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", SCRIPT]
    before, read_before = server.cpu(), _reads(redis)
    ran = subprocess.run([*command, server.url, "--", *arguments], capture_output=True, text=True, check=True)
    cpu, read = server.cpu() - before, _reads(redis) - read_before
    told = json.loads(ran.stdout.splitlines()[-1])
    requests = told["requests"]
    return Figures(
        requests / told["seconds"],
        cpu / requests * 1e6,
        told["p50"],
        told["p99"],
        told["errors"],
        server.memory(),
        trips=read / requests * 32,
        requests=requests,
    )


def _reads(redis_url: str | None) -> int:
    """How often Redis has read from a client's socket: a batch that comes in one write is one read."""
    if redis_url is None:
        return 0
    with redis.Redis.from_url(redis_url) as client:
        stats: dict[str, int] = client.info("stats")
        return stats["total_reads_processed"]


def fill(  # noqa: PLR0913 each is a dimension of what is kept
    store_url: str,
    count: int,
    paths: Path | None = None,
    size: int = 1024,
    ttl: int = 604_800,
    *,
    spread: int = 1,
) -> None:
    """Keep this many different messages in the store, and write where they are read.

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


def wait_ready(url: str) -> float:
    """Seconds until `url` answers."""
    import httpx

    begin = time.monotonic()
    while True:
        try:
            httpx.get(url, timeout=1)
        except httpx.TransportError:
            assert time.monotonic() - begin < 20
        else:
            return time.monotonic() - begin
