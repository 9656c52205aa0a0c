"""Whether cost grows with what is stored, and what expiry costs those who read meanwhile."""

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks import servers
from benchmarks.bulk import stock
from benchmarks.load import Figures, fill, measure, wait_ready

FEW = 10_000
SMALL = 64
"""Bytes of a message."""
EXPIRING = 100_000
ROUNDS = 5


@contextlib.contextmanager
def _store(kind: str, work: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite://{work}/growth.db"
    else:
        with servers.redis(work) as url:
            yield url


def _cost(url: str, work: Path, paths: Path) -> dict[str, Figures]:
    """Medians of CPU per request for reads and creates."""
    with servers.service(url, work / "logs") as server:
        wait_ready(server.url)
        measure(server, 32, 1, paths)
        runs = {what: [measure(server, 32, 2, listed) for _ in range(ROUNDS)] for what, listed in _asks(paths)}
    return {what: sorted(figures, key=lambda one: one.cpu_us)[ROUNDS // 2] for what, figures in runs.items()}


def _asks(paths: Path) -> list[tuple[str, Path | None]]:
    return [("read", paths), ("create", None)]


def _while_expiring(url: str, work: Path, paths: Path) -> dict[str, float]:
    """p99 of reads in ms: before, and the worst and the median of the seconds in which 100,000 messages expire."""
    fill(url, EXPIRING, size=SMALL, ttl=90, spread=60)
    ends = time.monotonic() + 90
    with servers.service(url, work / "logs") as server:
        wait_ready(server.url)
        before = [measure(server, 32, 2, paths).p99 for _ in range(ROUNDS)]
        time.sleep(max(0.0, ends - 60 - time.monotonic()))
        during = []
        while time.monotonic() < ends:
            during.append(measure(server, 32, 2, paths).p99)
    return {"before": statistics.median(before), "during": statistics.median(during), "worst": max(during)}


def _grow(kind: str, many: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder, _store(kind, Path(folder)) as url:
        work, paths = Path(folder), Path(folder) / "paths"
        fill(url, FEW, paths, SMALL)
        few = _cost(url, work, paths)
        begin = time.monotonic()
        stock(url, many - FEW, SMALL)
        print(f"{kind}: {many} messages kept after {time.monotonic() - begin:.0f} s", flush=True)
        most = _cost(url, work, paths)
        told: dict[str, object] = {"messages": many, "expiry p99 ms": _while_expiring(url, work, paths)}
        for what in few:
            ratio = most[what].cpu_us / few[what].cpu_us
            told[what] = {"few": asdict(few[what]), "many": asdict(most[what]), "cpu ratio": ratio}
            print(f"{kind} {what}: CPU at {many} messages is {ratio:.2f} of that at {FEW}", flush=True)
    print(f"{kind}: p99 of reads while messages expire: {told['expiry p99 ms']}", flush=True)
    return told


def main(asked: argparse.Namespace) -> None:
    """Measure both stores and write growth.json."""
    told = {"sqlite": _grow("sqlite", asked.sqlite_messages), "redis": _grow("redis", asked.redis_messages)}
    (asked.out / "growth.json").write_text(json.dumps(told, indent=1))
