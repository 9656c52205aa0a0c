"""Start the servers that are measured and the Redis behind them, each pinned to one core."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
COMMAND = str(Path(sys.executable).with_name("messaging-api"))
_STOP_TIMEOUT = 60
"""Seconds after which a process that was told to stop is killed."""


@dataclass(frozen=True)
class Memory:
    """MiB of a server: resident set size of its largest process below the first, and proportional set size of all.

    The first process of the service only supervises the others. The proportional size divides a page by the number of
    processes that share it, so the total counts each page once.
    """

    worker_rss: float
    total_pss: float


@dataclass(frozen=True)
class RunningServer:
    """A server that was started; `pid` is its first process."""

    url: str
    pid: int

    def processes(self) -> list[int]:
        """Return the ids of the first process and of all its descendants."""
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return found

    def cpu(self) -> float:
        """Return the seconds of CPU that all threads have used (/proc/…/schedstat, which counts nanoseconds)."""
        total = 0
        for pid in self.processes():
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory(self) -> Memory:
        """Return the memory that its processes use now."""
        first, *others = (_memory(pid) for pid in self.processes())
        largest = max((one.worker_rss for one in others), default=first.worker_rss)
        return Memory(largest, sum(one.total_pss for one in (first, *others)))


def _memory(pid: int) -> Memory:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {name: int(size) for name, size in re.findall(r"^(Rss|Pss):\s+(\d+)", text, re.MULTILINE)}
    return Memory(kib["Rss"] / 1024, kib["Pss"] / 1024)


def _caching_bytecode() -> dict[str, str]:
    """Return the environment, without the variable that makes Python compile every module again at each start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextlib.contextmanager
def process(command: list[str], core: int | None) -> Iterator[subprocess.Popen[str]]:
    """Run a command, pinned to a core if one is given, and stop it at the end of the block; its output is not read."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    started = subprocess.Popen(
        [*pin, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_caching_bytecode(),
    )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        for pipe in (started.stdin, started.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def _printing_url(command: list[str]) -> Iterator[RunningServer]:
    """Run a server whose first line of output holds its URL."""
    with process(command, SERVER_CORE) as started:
        assert started.stdout is not None
        found = re.search(r"http://\S+", started.stdout.readline())
        if found is None:
            raise SystemExit(f"A server did not start; run it by hand to see why:\n{' '.join(command)}")
        yield RunningServer(found[0], started.pid)


def baseline(kind: str, answers: Path, workers: int = 1) -> contextlib.AbstractContextManager[RunningServer]:
    """Start a baseline: `kind` is a key of `baseline.SERVERS`, `answers` the file that it answers from."""
    return _printing_url([sys.executable, "-m", "benchmarks.baseline", kind, str(answers), str(workers)])


def limits(most: int) -> list[str]:
    """Return the options that limit a client to `most` requests of each kind a minute; 0 means unlimited."""
    return [word for kind in ("create", "read", "miss") for word in (f"--limit-{kind}", str(most))]


def service(
    store: str, logs: Path, *options: str, workers: int = 1, command: str = COMMAND
) -> contextlib.AbstractContextManager[RunningServer]:
    """Start the service with everything on; limits are counted, but never reached."""
    serve = [command, "serve", "--port", "0", "--ops-port", "0", "--store", store, "--log-dir", str(logs)]
    return _printing_url([*serve, *limits(1_000_000), "--workers", str(workers), *options])


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis on the core of the load; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    program = shutil.which("redis-server")
    assert program, "the benchmark needs redis-server: apt-get install redis-server"
    with process([program, "--port", str(port), "--dir", str(folder), "--save", ""], LOAD_CORE):
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert time.monotonic() < deadline
        yield f"redis://127.0.0.1:{port}"
