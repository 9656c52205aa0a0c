"""Show where the time of a request goes, by file: samples of a worker under load (py-spy, without frames of C)."""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import servers
from benchmarks.load import measure, wait_ready
from benchmarks.servers import RunningServer
from benchmarks.versions import Version, measured_versions

RATE = 500
"""Samples a second."""
SECONDS = 8
_MESSAGES = 20_000
_FILES = 16
"""Rows of a table."""
_WAITING = re.compile(r"(Writer\.run|Queue\._lock|FairLock\._lock) \(")
"""Where a SQLite writer's thread waits for work or for its lock: py-spy takes that for work."""
_PLACE = re.compile(r"\((?:.*(?:site-packages|src|python3\.\d+)/)?([^:)]+)(?::\d+)?\)$")


def _busiest(server: RunningServer) -> int:
    def used(pid: int) -> int:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15]))

    return max(server.processes()[1:], key=used)  # the first only watches over the others


def _sampled(server: RunningServer, paths: Path | None) -> Counter[str]:
    """Count samples by the file of the innermost Python frame."""
    measure(server, 32, 1, paths)
    with tempfile.NamedTemporaryFile("r") as file:
        spy = [str(Path(sys.executable).with_name("py-spy")), "record", "-r", str(RATE), "-d", str(SECONDS)]
        with subprocess.Popen(
            [*spy, "-f", "raw", "-o", file.name, "-p", str(_busiest(server))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            measure(server, 32, SECONDS + 1, paths)
        samples: Counter[str] = Counter()
        for line in file:
            stack, _, count = line.rpartition(" ")
            innermost = stack.rpartition(";")[2]
            place = _PLACE.search(innermost)
            if not _WAITING.match(innermost):
                samples[place[1] if place else "other"] += int(count)
    return samples


def _profile(version: Version, work: Path) -> Iterator[str]:
    """Yield the lines of the tables of one version."""
    with servers.redis(work) as redis_url:
        for kind, url in (("SQLite", f"sqlite://{work}/profile.db"), ("Redis", redis_url)):
            paths = work / "paths"
            version.fill(url, _MESSAGES, paths)
            with servers.service(url, work / "logs", command=version.command) as server:
                wait_ready(server.url)
                for request, listed in (("read", paths), ("create", None)):
                    samples = _sampled(server, listed)
                    total = samples.total()
                    yield f"\n{version.name}, {kind}, {request}: share of {total} samples\n"
                    yield from ("| file | % |", "|---|---|")
                    yield from (f"| {name} | {100 * n / total:.1f} |" for name, n in samples.most_common(_FILES))


def main(options: argparse.Namespace) -> None:
    """Profile reads and creates on both stores, in both versions; write profile.md."""
    lines: list[str] = []
    for version in measured_versions(skip_old=options.skip_old):
        with tempfile.TemporaryDirectory() as folder:
            for line in _profile(version, Path(folder)):
                print(line, flush=True)
                lines.append(line)
    (options.out / "profile.md").write_text("\n".join(lines).lstrip() + "\n")
