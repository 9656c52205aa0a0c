"""Measure the time from a server's start to its first response."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from benchmarks.load import wait_ready
from benchmarks.servers import RunningServer

Start = Callable[[], AbstractContextManager[RunningServer]]


def start_seconds(servers: Mapping[str, Start], times: int) -> dict[str, float]:
    """Start each server `times` times, in turn; return the median of seconds to the first response.

    One start before those is not counted: Python compiles the modules in it.
    """
    taken: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(1 + times):
        for name, start in servers.items():
            begin = time.monotonic()
            with start() as server:
                wait_ready(server.url)
                taken[name].append(time.monotonic() - begin)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
