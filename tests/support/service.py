"""The real service as users start it: the command, its processes, its ports."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

NO_LIMITS = ("--limit-create", "0", "--limit-read", "0", "--limit-miss", "0")
"""Tests send requests faster than a client may; tests of the limits enable them."""

COMMAND = str(Path(sys.executable).with_name("messaging-api"))


@dataclass(frozen=True)
class Running:
    """A running service. `log` is its log file, `console` the file with its console output."""

    process: subprocess.Popen[str]
    url: str
    ops_url: str
    log: Path
    console: Path

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the service, wait, and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=40)

    def workers(self) -> list[int]:
        """Return the ids of the child processes."""
        return children(self.process.pid)


def children(pid: int) -> list[int]:
    """Return the ids of the child processes of `pid`."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def wait_for(condition: Callable[[], object], seconds: float = 20.0, every: float = 0.01) -> None:
    """Wait until `condition` holds, which is checked `every` so many seconds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(every)


def sample(ops_url: str, name: str, **labels: str) -> float | None:
    """Return the value of a sample of /metrics, None if absent."""
    for family in text_string_to_metric_families(httpx.get(f"{ops_url}/metrics").text):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                value: float = one.value
                return value
    return None


def answers(url: str) -> bool:
    """Tell whether `url` returns 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def ask_at_once(service: Running, request: bytes, count: int) -> list[bytes]:
    """Send a request on many connections while the workers are stopped; return the first bytes of the responses."""
    address = urlsplit(service.url)
    sockets = [socket.create_connection((address.hostname, address.port)) for _ in range(count)]
    for each in sockets:  # one answer each: they have been accepted, of which there is one in a turn
        each.sendall(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert each.recv(4096).startswith(b"HTTP/1.1 200")
    for pid in service.workers():
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all("State:\tT" in Path(f"/proc/{pid}/status").read_text() for pid in service.workers()))
    for each in sockets:
        each.sendall(request)
    for pid in service.workers():
        os.kill(pid, signal.SIGCONT)
    answers = [each.recv(4096) for each in sockets]
    for each in sockets:
        each.close()
    return answers


@contextlib.contextmanager
def serving(folder: Path, store: str | None, *options: str, ready: bool = True, **environ: str) -> Iterator[Running]:
    """Run the service on free ports, with its files in `folder`, and stop all its processes at the end of the block.

    Without `store` only the ports are set; `environ` has to set everything else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    console, logs = folder / "console.txt", folder / "logs"
    command = [COMMAND, "serve", "--port", "0", "--ops-port", "0", *options]
    if store is not None:
        command[6:6] = ["--store", store, "--log-dir", str(logs), *NO_LIMITS]
    with console.open("a") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **environ}
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"(https?://\S+) \(health and metrics on (\S+)\)", line)
    assert found, f"{line}{process.communicate()[0]}{console.read_text()}"
    running = Running(process, found[1], found[2], logs / "messaging_api.log", console)
    try:
        if ready:
            wait_for(lambda: answers(f"{running.ops_url}/ready"))
        yield running
    finally:
        if process.poll() is None:
            running.stop()
        process.stdout.close()
