"""Measure what a message costs: bytes at rest and in the log, CPU of the service and of Redis (for docs/scaling.md)."""

import argparse
import asyncio
import gzip
import json
import statistics
import tempfile
from pathlib import Path

import redis

from benchmarks import capacity_model, servers
from benchmarks.load import fill, measure, wait_ready
from messaging_api.core.message import Draft, MessageLimits
from messaging_api.core.service import Service
from messaging_api.runtime.application import now_ms
from messaging_api.stores import StoreOptions, open_store

SIZES = {64: 50_000, 1024: 50_000, 16_384: 5_000}
"""Bytes of a message, and how many are stored to measure it."""
CONNECTIONS = 32
Costs = dict[str, float]


def _used(url: str) -> int:
    """Return the bytes that the store reports to use."""

    async def ask() -> int:
        store = open_store(url, now_ms, StoreOptions(60))
        stats = await store.stats()
        await store.aclose()
        return stats.used_bytes

    return asyncio.run(ask())


def _at_rest(url: str) -> Costs:
    """Return the bytes for each message with its receipt, by the size of its text."""
    costs = {}
    for size, count in SIZES.items():
        before = _used(url)
        fill(url, count, size=size)
        costs[str(size)] = (_used(url) - before) / count
    return costs


def _once_read(url: str, count: int = 20_000) -> float:
    """Return the bytes that remain of a message of 1 KiB and its receipt after its only read."""
    before = _used(url)
    asyncio.run(_post_and_read(url, count))
    return (_used(url) - before) / count


async def _post_and_read(url: str, count: int) -> None:
    store = open_store(url, now_ms, StoreOptions(60))
    service = Service(store, MessageLimits(), now_ms)
    for _ in range(0, count, 1000):
        posted = await asyncio.gather(*(service.post(Draft(b"x" * 1024, reads=1)) for _ in range(1000)))
        await asyncio.gather(*(_read(service, one.message_id) for one in posted))
    await store.aclose()


async def _read(service: Service, message_id: str) -> None:
    await service.open(await service.find(message_id), confirmed=True)


def _append_only(url: str) -> float:
    """Return the bytes of the append-only file for each message of 1 KiB, after Redis has rewritten it."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        fill(url, SIZES[1024])
        client.config_set("appendonly", "yes")
        while (state := client.info("persistence"))["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]:
            pass
        return float(state["aof_current_size"]) / SIZES[1024]


def _redis_cpu(url: str | None) -> float:
    if url is None:
        return 0.0
    with redis.Redis.from_url(url) as client:
        cpu = client.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def _requests(url: str, work: Path, redis_url: str | None) -> dict[str, Costs]:
    """Return for one worker the CPU µs of the service and of Redis for a request, and requests a second."""
    paths = work / "paths"
    fill(url, 20_000, paths)
    result: dict[str, Costs] = {}
    with servers.service(url, work / "logs") as server:
        wait_ready(server.url)
        measure(server, CONNECTIONS, 1, paths)
        for request, listed in (("read", paths), ("create", None)):
            runs = []
            for _ in range(5):
                before = _redis_cpu(redis_url)
                figures = measure(server, CONNECTIONS, 2, listed)
                if figures.errors:
                    raise SystemExit(f"{figures.errors} requests failed: the figures mean nothing.")
                redis_us = (_redis_cpu(redis_url) - before) / figures.requests * 1e6
                runs.append({"service_us": figures.cpu_us, "redis_us": redis_us, "rps": figures.rps})
            result[request] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return result


def _log(work: Path) -> Costs:
    """Return the bytes of a line of the log, as written and compressed by gzip."""
    lines = b"".join((work / "logs" / "messaging_api.log").read_bytes().splitlines(keepends=True)[-50_000:])
    count = lines.count(b"\n")
    return {"line": len(lines) / count, "gzipped": len(gzip.compress(lines)) / count}


def _measure_all() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder, servers.redis(Path(folder)) as url:
        work, sqlite = Path(folder), f"sqlite://{folder}/messages.db"
        result: dict[str, object] = {
            "redis": {"bytes": _at_rest(url), "read": _once_read(url)},
            "sqlite": {"bytes": _at_rest(sqlite), "read": _once_read(sqlite)},
            "append_only": _append_only(url),
        }
        (work / "r").mkdir()
        result["redis requests"] = _requests(url, work / "r", url)
        result["log"] = _log(work / "r")
        (work / "s").mkdir()
        result["sqlite requests"] = _requests(f"sqlite://{work}/s/messages.db", work / "s", None)
        return result


def main(options: argparse.Namespace) -> None:
    """Measure, write capacity.json and print the tables of docs/scaling.md."""
    result = _measure_all()
    (options.out / "capacity.json").write_text(json.dumps(result, indent=1) + "\n")
    print(capacity_model.tables(result))
