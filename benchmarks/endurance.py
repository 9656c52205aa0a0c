"""What a worker's memory does over a million requests, and how long the service takes to its first answer."""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import servers
from benchmarks.load import fill, measure, wait_ready

STARTS = 5


def _memory(url: str, work: Path, requests: int) -> list[dict[str, float]]:
    """MiB of the largest process after so many requests, three reads to one create."""
    paths = work / "paths"
    fill(url, 10_000, paths)
    done, told = 0, []
    with servers.service(url, work / "logs") as server:
        wait_ready(server.url)
        while done < requests:
            for listed in (paths, paths, paths, None):
                done += measure(server, 32, 2, listed).requests
            told.append({"requests": done, "MiB": round(server.memory(), 1)})
            print(f"{done} requests: {server.memory():.1f} MiB", flush=True)
    return told


def _start(url: str, work: Path) -> float:
    """Seconds from the start of the process to its first answer, median."""
    times = []
    for _ in range(STARTS):
        begin = time.monotonic()
        with servers.service(url, work / "logs") as server:
            wait_ready(server.url)
            times.append(time.monotonic() - begin)
    return statistics.median(times)


def main(asked: argparse.Namespace) -> None:
    """Measure both stores and write endurance.json."""
    with tempfile.TemporaryDirectory() as folder, servers.redis(Path(folder)) as redis_url:
        urls = {"sqlite": f"sqlite://{folder}/endurance.db", "redis": redis_url}
        told = {
            store: {"start s": _start(url, Path(folder)), "memory": _memory(url, Path(folder), asked.requests)}
            for store, url in urls.items()
        }
    print({store: one["start s"] for store, one in told.items()})
    (asked.out / "endurance.json").write_text(json.dumps(told, indent=1))
