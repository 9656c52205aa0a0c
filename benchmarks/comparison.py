"""Compare the service with the baselines and with version 0.1.0, side by side in one run."""

import argparse
import base64
import contextlib
import itertools
import json
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from benchmarks import report, servers
from benchmarks.load import measure, wait_ready
from benchmarks.results import BASELINE, Case, Footprint, Results, Rounds, medians
from benchmarks.servers import Memory, RunningServer
from benchmarks.startup import Start, start_seconds
from benchmarks.versions import CURRENT, NOW, Version, measured_versions

WARM_UP_SECONDS = 1
_OVERHEAD = 0.25
"""Seconds of a measurement besides its load."""
_STARTS = 5
REQUESTS = ("read", "create")


@dataclass(frozen=True)
class Candidate:
    """A server to measure: how to start it, the paths of messages to read, and the Redis behind it."""

    start: Start
    paths: Path
    redis: str | None = None


def record(server: RunningServer, path: Path) -> None:
    """Record one response of the service for each method, for the baselines to repeat."""
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


def _services(version: Version, url: str, work: Path, name: str) -> dict[str, Candidate]:
    """Return the rows of one version on one store, which is `work`'s own and whose paths to read are in `work`."""
    redis_url = url if url.startswith("redis:") else None

    def candidate(*options: str, workers: int = 1) -> Candidate:
        def start() -> contextlib.AbstractContextManager[RunningServer]:
            return servers.service(url, work / "logs", *options, workers=workers, command=version.command)

        return Candidate(start, work / "paths", redis_url)

    rows = {name: candidate(), f"{name}, 2 workers": candidate(workers=2)}
    if version.name == NOW:
        rows[f"{name}, limits off"] = candidate(*servers.limits(0))
    return rows


def _baselines(answers: Path, paths: Path) -> dict[str, Candidate]:
    return {
        BASELINE: Candidate(lambda: servers.baseline("uvicorn", answers), paths),
        f"{BASELINE}, 2 workers": Candidate(lambda: servers.baseline("uvicorn", answers, 2), paths),
        "baseline: httptools": Candidate(lambda: servers.baseline("httptools", answers), paths),
    }


@contextlib.contextmanager
def candidates(folder: Path, versions: list[Version], messages: int) -> Iterator[dict[str, Candidate]]:
    """Yield all there is to measure; each version has stores of its own, filled with messages to read."""
    rows: dict[str, Candidate] = {}
    with contextlib.ExitStack() as stack:
        for version, kind in itertools.product(versions, ("SQLite", "Redis")):
            name = f"{version.name}, {kind}"
            work = folder / name
            work.mkdir()
            url = stack.enter_context(servers.redis(work)) if kind == "Redis" else f"sqlite://{work}/bench.db"
            print(f"Filling the store of {name} with {messages:,} messages", flush=True)
            version.fill(url, messages, work / "paths")
            rows |= _services(version, url, work, name)
        first = rows[f"{CURRENT.name}, SQLite"]
        with first.start() as server:
            wait_ready(server.url)
            record(server, folder / "answers.json")
        yield _baselines(folder / "answers.json", first.paths) | rows


def run(options: argparse.Namespace) -> Results:
    """Measure everything that the options select.

    All servers run from the beginning and are loaded in turn, so that what slows the machine for a while slows the
    baseline and the others alike; each figure is compared with the baseline's of the same round.
    """
    versions = measured_versions(skip_old=options.skip_old)
    with tempfile.TemporaryDirectory() as folder, candidates(Path(folder), versions, options.messages) as everything:
        chosen = {name: one for name, one in everything.items() if name == BASELINE or re.search(options.only, name)}
        _print_estimate(options, len(chosen))
        services = {name: one.start for name, one in chosen.items() if re.search(r", (SQLite|Redis)$", name)}
        starts = start_seconds(services, min(_STARTS, options.rounds))
        with contextlib.ExitStack() as stack:
            running = {name: stack.enter_context(one.start()) for name, one in chosen.items()}
            started = _warm_up(running, chosen)
            rounds = _measure_rounds(options, running, chosen)
            footprints = {name: Footprint(starts[name], started[name], running[name].memory()) for name in services}
    return Results(rounds, footprints)


def _print_estimate(options: argparse.Namespace, count: int) -> None:
    loads = count * len(REQUESTS) * len(options.connections) * options.rounds
    seconds = loads * (options.seconds + _OVERHEAD) + count * (WARM_UP_SECONDS + 1) + _STARTS * 5
    print(f"{count} servers, {loads} measurements: about {seconds / 60:.0f} min", flush=True)


def _warm_up(running: Mapping[str, RunningServer], chosen: Mapping[str, Candidate]) -> dict[str, Memory]:
    """Return each server's memory after its first response, and load it once."""
    memory = {}
    for name, server in running.items():
        wait_ready(server.url)
        memory[name] = server.memory()
        measure(server, 32, WARM_UP_SECONDS, chosen[name].paths)
    return memory


def _measure_rounds(
    options: argparse.Namespace, running: Mapping[str, RunningServer], chosen: Mapping[str, Candidate]
) -> Rounds:
    rounds: Rounds = {}
    parts = [*itertools.product(range(options.rounds), options.connections, REQUESTS)]
    begin = time.monotonic()
    for done, (round_, connections, request) in enumerate(parts):
        left = (time.monotonic() - begin) / done * (len(parts) - done) if done else 0.0
        ends = f", about {left / 60:.1f} min left" if done else ""
        print(f"round {round_ + 1} of {options.rounds}, {connections} connections, {request}{ends}", flush=True)
        for name, one in chosen.items():
            paths = one.paths if request == "read" else None
            figures = measure(running[name], connections, options.seconds, paths, one.redis)
            base = rounds[Case(BASELINE, request, connections)][-1] if name != BASELINE else figures
            paired = replace(figures, ratio=figures.cpu_us / base.cpu_us)
            rounds.setdefault(Case(name, request, connections), []).append(paired)
    return rounds


def main(options: argparse.Namespace) -> None:
    """Measure, and write tables, JSON and picture."""
    results = run(options)
    rows = {case: medians(runs) for case, runs in results.rounds.items()}
    print(report.write(results, rows, options))
    errors = sum(row.errors for row in rows.values())
    if errors:
        raise SystemExit(f"{errors} requests failed: the figures mean nothing.")
