"""`make bench-cluster`: measure what a request costs the service on a cluster, against one Redis in the same run.

Six nodes beside the load, the service on a core of its own. Writes docs/scaling/cluster.md; fails above `MOST`.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.clusters import cluster_running

from benchmarks import servers
from benchmarks.load import Figures, fill, measure, wait_ready
from benchmarks.results import medians
from benchmarks.servers import LOAD_CORE

MESSAGES = 20_000
MOST = 1.3
"""How many times the CPU of one Redis a request may cost on a cluster."""

HEAD = """\
| {connections} connections | requests/s | CPU a request | against one Redis | p50 | p99 |
|---|---|---|---|---|---|
"""


@contextlib.contextmanager
def stores(work: Path) -> Iterator[dict[str, tuple[str, tuple[str, ...]]]]:
    """Yield by name what is measured: the URL of a store and the service's options."""
    with servers.redis(work) as one, cluster_running(work) as cluster:
        for node in cluster.nodes:
            assert node.process is not None
            os.sched_setaffinity(node.process.pid, {LOAD_CORE})
        counted = tuple(servers.limits(10**6))
        yield {
            "Redis": (one, ()),
            "Cluster": (cluster.url, ()),
            "Redis, limits on": (one, counted),
            "Cluster, limits on": (cluster.url, counted),
            "Cluster, waiting for 1": (cluster.url, ("--replicas-to-wait", "1")),
        }


def run(rounds: int, seconds: int, connections: int) -> dict[str, Figures]:
    """Return the medians of all rounds by "store | read or create"; each round measures all in turn."""
    rows: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as measured:
        work = Path(folder)
        paths = {url: work / f"{n}.paths" for n, url in enumerate(sorted({url for url, _ in measured.values()}))}
        for url, file in paths.items():
            fill(url, MESSAGES, file)
        for _ in range(rounds):
            for name, (url, options) in measured.items():
                with servers.service(url, work / "logs", *options) as server:
                    wait_ready(server.url)
                    measure(server, connections, 1, paths[url])
                    for request, listed in (("read", paths[url]), ("create", None)):
                        rows.setdefault(f"{name} | {request}", []).append(measure(server, connections, seconds, listed))
    return {name: medians(runs) for name, runs in rows.items()}


def main() -> None:
    """Measure, write the table, and fail above `MOST`."""
    parser = argparse.ArgumentParser(prog="make bench-cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    rows = run(options.rounds, options.seconds, options.connections)
    table, wrong = HEAD.format(connections=options.connections), []
    for name, row in rows.items():
        ratio = row.cpu_us / rows[name.replace("Cluster", "Redis").replace(", waiting for 1", "")].cpu_us
        cells = f"{row.rps:,.0f} | {row.cpu_us:.1f} µs | {ratio:.2f} | {row.p50:.2f} ms | {row.p99:.2f} ms"
        table += f"| {name.replace(' | ', ': ')} | {cells} |\n"
        if row.errors or (ratio > MOST and "waiting" not in name):
            wrong.append(f"{name}: {ratio:.2f} times the CPU, {row.errors} errors")
    print(table)
    Path("docs/scaling").mkdir(exist_ok=True)
    Path("docs/scaling/cluster.md").write_text(table)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
