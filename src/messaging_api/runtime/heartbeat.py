"""The heartbeat of a process, with the figures of a worker, once a second."""

import asyncio
import os
import resource
import time
from typing import NoReturn

from messaging_api.observability.metrics import ProcessMetrics
from messaging_api.server.load import WorkerLoad

_INTERVAL = 1.0


async def beat(metrics: ProcessMetrics, load: WorkerLoad | None) -> NoReturn:
    """Write the heartbeat into `metrics`, and the figures of the worker that has this `load`, until cancelled."""
    statm = os.open("/proc/self/statm", os.O_RDONLY)  # once: a process without a free descriptor must not end here
    try:
        due = time.monotonic()
        while True:
            metrics.put("heartbeat", int(time.monotonic()))
            if load is not None:
                metrics.put("lag_us", max(0, int((time.monotonic() - due) * 1e6)))  # a loop may wake a little early
                metrics.put("connections", len(load.connections))
                metrics.put("in_flight", load.in_flight)
                metrics.put("cpu_ms", time.process_time_ns() // 1_000_000)
                metrics.put("resident_bytes", _resident_bytes(statm))
            due = time.monotonic() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
    finally:
        os.close(statm)


def _resident_bytes(statm: int) -> int:
    return int(os.pread(statm, 128, 0).split()[1]) * resource.getpagesize()
