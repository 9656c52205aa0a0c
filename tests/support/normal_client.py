"""A normal client, whose response times are measured while others attack."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.service import Running


class Served(NamedTuple):
    """The results of a normal client: sorted response times in ms, and statuses other than 200."""

    times: list[float]
    refused: list[int]

    def quantile(self, share: float) -> float:
        """Return the response time in ms that this share of the responses did not exceed."""
        return self.times[min(int(len(self.times) * share), len(self.times) - 1)]

    def and_also(self, other: "Served") -> "Served":
        """Return both results as one."""
        return Served(sorted(self.times + other.times), self.refused + other.refused)

    def __str__(self) -> str:
        p50, p99 = self.quantile(0.5), self.quantile(0.99)
        return f"{len(self.times)} requests, {len(self.refused)} refused, p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def served(url: str, seconds: float, pause: float = 0.004) -> Served:
    """Post a message, read it, and so on, on one connection; raise if the connection fails."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    times: list[float] = []
    refused: list[int] = []
    path = ""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        begin = time.perf_counter()
        if path:
            connection.request("GET", path, headers={"accept": "text/plain"})
        else:
            connection.request("POST", "/", b"a normal message", {"content-type": "text/plain"})
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - begin) * 1000)
        if answer.status != 200:
            refused.append(answer.status)
        path = "" if path or answer.status != 200 else urlsplit(json.loads(body)["url"]).path
        time.sleep(pause)
    connection.close()
    return Served(sorted(times), refused)


def resident(service: Running) -> int:
    """Return the MiB of memory that the processes of the service use."""
    pids = [service.process.pid, *service.workers()]
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in pids) >> 20


@contextmanager
def attacking(module: str, *arguments: str) -> Iterator[None]:
    """Run an attack in a process of its own, which ends with its standard input."""
    command = [sys.executable, "-m", f"tests.support.{module}", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=30)
