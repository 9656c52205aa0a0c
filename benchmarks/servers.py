"""The servers that are measured, each with its processes, on the core it was given."""

import contextlib
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


@dataclass(frozen=True)
class RunningServer:
    """A running server; `pid` is its first process."""

    url: str
    pid: int

    def processes(self) -> list[int]:
        """It and all it started."""
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return found

    def cpu(self) -> float:
        """Seconds of CPU all its threads have had (/proc/…/schedstat, which counts in nanoseconds)."""
        total = 0
        for pid in self.processes():
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory(self) -> float:
        """MiB of its largest process: proportional share (PSS), so that what forked processes share counts once."""
        sizes = []
        for pid in self.processes():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            sizes.append(int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) / 1024)  # type: ignore[index]
        return max(sizes)


@contextlib.contextmanager
def process(command: list[str], core: int | None) -> Iterator[subprocess.Popen[str]]:
    """A process on one core, ended with the block; its first line of output is still to be read."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    started = subprocess.Popen(
        [*pin, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield started
    finally:
        started.terminate()
        started.wait()
        for pipe in (started.stdin, started.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def baseline(kind: str, answers: Path, workers: int = 1) -> Iterator[RunningServer]:
    """The bare server, raw or behind Falcon."""
    with process(
        [sys.executable, "-m", "benchmarks.baseline", kind, str(answers), str(workers)], SERVER_CORE
    ) as started:
        assert started.stdout is not None
        yield RunningServer(started.stdout.readline().strip(), started.pid)


def limits(most: int) -> list[str]:
    """The options that let a client have so many requests of each kind a minute; 0: they are not even counted."""
    return [word for kind in ("create", "read", "miss") for word in (f"--limit-{kind}", str(most))]


@contextlib.contextmanager
def service(store: str, logs: Path, *options: str, workers: int = 1) -> Iterator[RunningServer]:
    """The service with everything on; limits are counted, but never reached."""
    command = [COMMAND, "serve", "--port", "0", "--ops-port", "0", "--store", store, "--log-dir", str(logs)]
    command += [*limits(1_000_000), "--workers", str(workers), *options]
    with process(command, SERVER_CORE) as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        yield RunningServer(line.split()[2], started.pid)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis beside the load; the URL of its store."""
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
