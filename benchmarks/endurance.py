"""Measure a worker's memory over a million requests, and the time from the service's start to its first response."""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import servers
from benchmarks.load import fill, measure, wait_ready
from benchmarks.startup import start_seconds

STARTS = 5


def _memory(url: str, work: Path, requests: int) -> list[dict[str, float]]:
    """Return the RSS of the worker in MiB after so many requests, three reads to one create."""
    paths = work / "paths"
    fill(url, 10_000, paths)
    done, readings = 0, []
    with servers.service(url, work / "logs") as server:
        wait_ready(server.url)
        while done < requests:
            for listed in (paths, paths, paths, None):
                done += measure(server, 32, 2, listed).requests
            memory = round(server.memory().worker_rss, 1)
            readings.append({"requests": done, "MiB": memory})
            print(f"{done} requests: {memory} MiB", flush=True)
    return readings


def main(options: argparse.Namespace) -> None:
    """Measure both stores and write endurance.json."""
    with tempfile.TemporaryDirectory() as folder, servers.redis(Path(folder)) as redis_url:
        work = Path(folder)
        urls = {"sqlite": f"sqlite://{folder}/endurance.db", "redis": redis_url}
        starts = start_seconds(
            {store: partial(servers.service, url, work / "logs") for store, url in urls.items()}, STARTS
        )
        print(starts)
        result = {
            store: {"start s": starts[store], "memory": _memory(url, work, options.requests)}
            for store, url in urls.items()
        }
    (options.out / "endurance.json").write_text(json.dumps(result, indent=1) + "\n")
