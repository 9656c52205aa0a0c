"""Count the instructions of a request in user space with valgrind: a figure that no noise moves.

The same requests go to a connection of each server in one process (in_process.py). The kernel is left out, so the
figures are for comparing one version of the service with the next.
"""

import argparse
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import servers
from benchmarks.versions import CURRENT, Version, measured_versions

AT_ONCE = 32
"""Requests of a round, one for each connection, in both versions' drivers."""
FEWER, MORE = 40, 140
"""Rounds of two runs, whose difference leaves out the start."""
_MESSAGES = 2000


class Counted(NamedTuple):
    """A server whose instructions are counted: the driver's first argument, and the paths to read."""

    name: str
    version: Version
    kind: str
    paths: Path


@contextlib.contextmanager
def _candidates(work: Path, versions: list[Version]) -> Iterator[list[Counted]]:
    """Yield the baselines, and each version on both stores, filled with messages."""
    nothing = work / "baseline.paths"
    nothing.write_text("/msg/00000000-0000-4000-8000-000000000000\n")
    counted = [Counted(f"baseline: {kind}", CURRENT, kind, nothing) for kind in ("uvicorn", "httptools")]
    with contextlib.ExitStack() as stack:
        for version in versions:
            folder = work / version.name
            folder.mkdir()
            redis_url = stack.enter_context(servers.redis(folder))
            for kind, url in (("SQLite", f"sqlite://{folder}/counted.db"), ("Redis", redis_url)):
                paths = folder / f"{kind}.paths"
                version.fill(url, _MESSAGES, paths)
                counted.append(Counted(f"{version.name}, {kind}", version, url, paths))
        yield counted


def _instructions(one: Counted, request: str, rounds: int) -> int:
    """Return the instructions of a whole run."""
    ran = _drive(one, request, rounds, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    found = re.search(r"Collected : (\d+)", ran)
    if found is None:
        raise SystemExit(f"valgrind counted nothing:\n{ran}")
    return int(found[1])


def _drive(one: Counted, request: str, rounds: int, *prefix: str) -> str:
    """Run the driver, below another command if one is given; return the standard error."""
    driver = [str(one.version.python), "-m", one.version.driver, one.kind, request, str(rounds), str(one.paths)]
    environment = {"PYTHONHASHSEED": "0"}
    ran = subprocess.run(
        [*prefix, *driver], cwd=one.version.root, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"{' '.join(driver)} failed:\n{ran.stderr}")
    return ran.stderr


def _count(one: Counted) -> Iterator[tuple[str, int]]:
    """Yield the name of a row and the instructions of one of its requests."""
    _drive(one, "read", 1)  # Python compiles the modules here, so that no counted run does
    for request in ("read", "create"):
        fewer, more = (_instructions(one, request, rounds) for rounds in (FEWER, MORE))
        yield f"{one.name}, {request}", (more - fewer) // ((MORE - FEWER) * AT_ONCE)


def main(options: argparse.Namespace) -> None:
    """Count, and write instructions.json."""
    if not shutil.which("valgrind"):
        raise SystemExit("Counting instructions needs valgrind: apt-get install valgrind")
    versions = measured_versions(skip_old=options.skip_old)
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, _candidates(Path(folder), versions) as candidates:
        for one in candidates:
            if not re.search(options.only, one.name):
                continue
            for name, count in _count(one):
                counts[name] = count
                print(f"{name}: {count:,} instructions", flush=True)
    (options.out / "instructions.json").write_text(json.dumps(counts, indent=1) + "\n")
