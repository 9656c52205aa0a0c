"""Where the time of a request goes, by file: samples of a worker under load (py-spy, without C frames of their own)."""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import servers
from benchmarks.load import fill, measure, wait_ready
from benchmarks.servers import RunningServer

RATE = 500
"""Samples a second."""
SECONDS = 8
_WAITING = re.compile(r"(Writer\.run|Queue\._lock) \(")
"""Where the SQLite writer's thread waits for work, or for its turn: py-spy takes that for work."""
_PLACE = re.compile(r"\((?:.*(?:site-packages|src|python3\.\d+)/)?([^:)]+)(?::\d+)?\)$")


def _busiest(server: RunningServer) -> int:
    def used(pid: int) -> int:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15]))

    return max(server.processes()[1:], key=used)  # the first only watches over the others


def _sampled(server: RunningServer, paths: Path | None) -> Counter[str]:
    """Samples by the file of the innermost Python frame."""
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


def main(asked: argparse.Namespace) -> None:
    """Profile reads and creates on both stores; write profile.md."""
    text = []
    with tempfile.TemporaryDirectory() as folder, servers.redis(Path(folder)) as redis_url:
        for kind, url in (("SQLite", f"sqlite://{folder}/profile.db"), ("Redis", redis_url)):
            paths = Path(folder) / "paths"
            fill(url, 20_000, paths)
            with servers.service(url, Path(folder) / "logs") as server:
                wait_ready(server.url)
                for what, listed in (("read", paths), ("create", None)):
                    samples = _sampled(server, listed)
                    total = samples.total()
                    text += [f"\n{kind}, {what}: share of {total} samples\n", "| file | % |", "|---|---|"]
                    text += [f"| {name} | {100 * n / total:.1f} |" for name, n in samples.most_common(16)]
    (asked.out / "profile.md").write_text("\n".join(text).lstrip() + "\n")
    print("\n".join(text))
