"""The table of ratios."""

import argparse
import base64
import contextlib
import itertools
import json
import re
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import httpx

from benchmarks import servers
from benchmarks.load import Figures, fill, measure, wait_ready
from benchmarks.report import write_plot, write_table
from benchmarks.servers import RunningServer

MESSAGES = 50_000
FLOOR = "floor"


class Candidate(NamedTuple):
    """What is measured: how to start it, which messages can be read there, and the Redis behind it."""

    start: Callable[[], AbstractContextManager[RunningServer]]
    paths: Path
    redis: str | None = None


def record(server: RunningServer, path: Path) -> None:
    """Keep one answer of the service for each method, for the floor to repeat."""
    posted = httpx.post(server.url, json={"message": "0123456789abcdef" * 64})
    shown = httpx.get(posted.json()["url"], headers={"accept": "application/json"})
    answers = {
        method: {
            "headers": [(k, v) for k, v in answer.headers.items() if k != "date"],
            "body": base64.b64encode(answer.content).decode(),
        }
        for method, answer in (("GET", shown), ("POST", posted))
    }
    path.write_text(json.dumps(answers))


@contextlib.contextmanager
def candidates(work: Path) -> Iterator[dict[str, Candidate]]:
    """All there is to measure, over stores that hold the messages to read."""
    with servers.redis(work) as redis_url:
        sqlite_url = f"sqlite://{work}/bench.db"
        sqlite, redis = work / "sqlite.paths", work / "redis.paths"
        fill(sqlite_url, MESSAGES, sqlite)
        fill(redis_url, MESSAGES, redis)
        with servers.service(sqlite_url, work / "logs") as server:
            wait_ready(server.url)
            record(server, work / "answers.json")

        def floor(kind: str, workers: int = 1) -> Candidate:
            return Candidate(lambda: servers.baseline(kind, work / "answers.json", workers), sqlite)

        def service(url: str, *options: str, workers: int = 1) -> Candidate:
            paths, behind = (redis, url) if url == redis_url else (sqlite, None)
            return Candidate(lambda: servers.service(url, work / "logs", *options, workers=workers), paths, behind)

        yield {
            FLOOR: floor("raw"),
            "floor, 2 workers": floor("raw", 2),
            "falcon, no store": floor("falcon"),
            "SQLite": service(sqlite_url),
            "Redis": service(redis_url),
            "SQLite, limits off": service(sqlite_url, *servers.limits(0)),
            "Redis, limits off": service(redis_url, *servers.limits(0)),
            "SQLite, 2 workers": service(sqlite_url, workers=2),
            "Redis, 2 workers": service(redis_url, workers=2),
        }


def run(asked: argparse.Namespace) -> dict[str, list[Figures]]:
    """All measurements, by "server | read or create | connections".

    All servers stand ready from the beginning and are asked in turn, so that what slows the machine for a while slows
    the floor and them alike; each figure is compared with the floor's of the same round.
    """
    rows: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as folder, candidates(Path(folder)) as measured, contextlib.ExitStack() as stack:
        chosen = {name: one for name, one in measured.items() if name == FLOOR or re.search(asked.only, name)}
        running = {name: stack.enter_context(one.start()) for name, one in chosen.items()}
        for name, server in running.items():
            wait_ready(server.url)
            measure(server, 32, 1, chosen[name].paths)
        for round_ in range(asked.rounds):
            print(f"round {round_ + 1} of {asked.rounds}", flush=True)
            for count, what in itertools.product(asked.connections, ("read", "create")):
                for name, one in chosen.items():
                    paths = one.paths if what == "read" else None
                    figures = measure(running[name], count, asked.seconds, paths, one.redis)
                    floor = figures if name == FLOOR else rows[f"{FLOOR} | {what} | {count}"][-1]
                    paired = replace(figures, ratio=figures.cpu_us / floor.cpu_us)
                    rows.setdefault(f"{name} | {what} | {count}", []).append(paired)
    return rows


def medians(runs: list[Figures]) -> Figures:
    """The median of each figure; errors are added up."""
    names = ("rps", "cpu_us", "ratio", "p50", "p99", "trips")
    middle = {name: statistics.median(getattr(one, name) for one in runs) for name in names}
    return Figures(**middle, errors=sum(one.errors for one in runs), memory=max(one.memory for one in runs))


def main(asked: argparse.Namespace) -> None:
    """Measure, and write table, JSON and picture."""
    rows = {name: medians(runs) for name, runs in run(asked).items()}
    (asked.out / "bench.json").write_text(json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1))
    print(write_table(rows, asked.out / "bench.md"))
    write_plot(rows, asked.out / "bench.png")
    errors = sum(row.errors for row in rows.values())
    if errors:
        raise SystemExit(f"{errors} requests failed: the figures mean nothing.")
