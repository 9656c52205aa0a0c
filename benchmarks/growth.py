"""Measure whether the cost of a request grows with the number of stored messages, and what expiry costs readers."""

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from benchmarks import servers
from benchmarks.load import Figures, fill, measure, wait_ready
from benchmarks.seed_data import insert_messages

FEW = 10_000
SMALL = 64
"""Bytes of a message."""
EXPIRING = 100_000
ROUNDS = 9


class Stocked(NamedTuple):
    """A store, the file of the paths to read there, and the log folder of its service."""

    url: str
    paths: Path
    logs: Path


@contextlib.contextmanager
def _stocked(kind: str, count: int) -> Iterator[Stocked]:
    """Yield a store with `count` messages, of which the first `FEW` can be read."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = Path(folder)
        url = f"sqlite://{work}/growth.db" if kind == "sqlite" else stack.enter_context(servers.redis(work))
        fill(url, FEW, work / "paths", SMALL)
        begin = time.monotonic()
        insert_messages(url, count - FEW, SMALL)
        print(f"{kind}: {count} messages stored after {time.monotonic() - begin:.0f} s", flush=True)
        yield Stocked(url, work / "paths", work / "logs")


def _costs(few: Stocked, many: Stocked) -> dict[str, list[tuple[Figures, Figures]]]:
    """Measure reads and creates on both stores, in turn."""
    runs: dict[str, list[tuple[Figures, Figures]]] = {"read": [], "create": []}
    with servers.service(few.url, few.logs) as small, servers.service(many.url, many.logs) as large:
        pair = ((small, few.paths), (large, many.paths))
        for server, paths in pair:
            wait_ready(server.url)
            measure(server, 32, 1, paths)
        for request, taken in runs.items():
            for _ in range(ROUNDS):
                one, other = (measure(server, 32, 1, paths if request == "read" else None) for server, paths in pair)
                taken.append((one, other))
    return runs


def _while_expiring(many: Stocked) -> dict[str, float]:
    """Return p99 of reads in ms: before, and during the minute in which 100,000 messages expire."""
    fill(many.url, EXPIRING, size=SMALL, ttl=90, spread=60)
    ends = time.monotonic() + 90
    with servers.service(many.url, many.logs) as server:
        wait_ready(server.url)
        before = [measure(server, 32, 2, many.paths).p99 for _ in range(ROUNDS)]
        time.sleep(max(0.0, ends - 60 - time.monotonic()))
        during = measure(server, 32, int(ends - time.monotonic()), many.paths).p99
    return {"before": statistics.median(before), "during": during}


def _grow(kind: str, count: int) -> dict[str, object]:
    result: dict[str, object] = {"messages": count}
    with _stocked(kind, FEW) as few, _stocked(kind, count) as many:
        for request, runs in _costs(few, many).items():
            ratio = statistics.median(most.cpu_us / least.cpu_us for least, most in runs)
            result[request] = {"cpu ratio": ratio, "runs": [(asdict(least), asdict(most)) for least, most in runs]}
            print(f"{kind} {request}: CPU at {count} messages is {ratio:.2f} of that at {FEW}", flush=True)
        result["expiry p99 ms"] = _while_expiring(many)
    print(f"{kind}: p99 of reads while messages expire: {result['expiry p99 ms']}", flush=True)
    return result


def main(options: argparse.Namespace) -> None:
    """Measure both stores and write growth.json."""
    result = {"sqlite": _grow("sqlite", options.sqlite_messages), "redis": _grow("redis", options.redis_messages)}
    (options.out / "growth.json").write_text(json.dumps(result, indent=1))
