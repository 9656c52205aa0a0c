"""`make bench`: the table of ratios. Everything in it comes from one run on one machine."""

import argparse
import base64
import contextlib
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import httpx

from benchmarks import servers
from benchmarks.load import Figures, fill, measure, wait_ready
from benchmarks.report import write_plot, write_table
from benchmarks.servers import Measured

Start = Callable[[], AbstractContextManager[Measured]]
MESSAGES = 50_000


def record(server: Measured, path: Path) -> None:
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
def candidates(work: Path) -> Iterator[dict[str, tuple[Start, Path]]]:
    """What is measured: how to start it, and which messages can be read there."""
    with servers.redis(work) as redis_url:
        sqlite_url = f"sqlite://{work}/bench.db"
        paths = {"sqlite": work / "sqlite.paths", "redis": work / "redis.paths"}
        fill(sqlite_url, MESSAGES, paths["sqlite"])
        fill(redis_url, MESSAGES, paths["redis"])
        with servers.service(sqlite_url, work / "logs") as server:
            wait_ready(server.url)
            record(server, work / "answers.json")

        def floor(kind: str) -> Start:
            return lambda: servers.floor(kind, work / "answers.json")

        def service(url: str, *options: str, workers: int = 1) -> Start:
            return lambda: servers.service(url, work / "logs", *options, workers=workers)

        counted = servers.limits(10**6)

        yield {
            "floor": (floor("raw"), paths["sqlite"]),
            "falcon, no store": (floor("falcon"), paths["sqlite"]),
            "SQLite": (service(sqlite_url), paths["sqlite"]),
            "Redis": (service(redis_url), paths["redis"]),
            "SQLite, limits on": (service(sqlite_url, *counted), paths["sqlite"]),
            "Redis, limits on": (service(redis_url, *counted), paths["redis"]),
            "SQLite, 2 workers": (service(sqlite_url, workers=2), paths["sqlite"]),
            "Redis, 2 workers": (service(redis_url, workers=2), paths["redis"]),
        }


def run(rounds: int, seconds: int, connections: list[int]) -> dict[str, list[Figures]]:
    """All measurements, by "what | read or create | connections"; each round visits all of them in turn."""
    rows: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as folder, candidates(Path(folder)) as measured:
        for round_ in range(rounds):
            for name, (start, paths) in measured.items():
                print(f"round {round_ + 1} of {rounds}: {name}", flush=True)
                with start() as server:
                    wait_ready(server.url)
                    measure(server, 32, 1, paths)
                    for count in connections:
                        for what, listed in (("read", paths), ("create", None)):
                            figures = measure(server, count, seconds, listed)
                            rows.setdefault(f"{name} | {what} | {count}", []).append(figures)
    return rows


def medians(runs: list[Figures]) -> Figures:
    """The median of each figure; errors are added up."""
    middle = {name: statistics.median(getattr(one, name) for one in runs) for name in ("rps", "cpu_us", "p50", "p99")}
    return Figures(**middle, errors=sum(one.errors for one in runs), memory=max(one.memory for one in runs))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--out", type=Path, default=Path("docs/performance"))
    asked = parser.parse_args()
    rows = {name: medians(runs) for name, runs in run(asked.rounds, asked.seconds, asked.connections).items()}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "bench.json").write_text(json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1))
    print(write_table(rows, asked.out / "bench.md"))
    write_plot(rows, asked.out / "bench.png")
    errors = sum(row.errors for row in rows.values())
    if errors:
        raise SystemExit(f"{errors} requests failed: the figures mean nothing.")


if __name__ == "__main__":
    main()
