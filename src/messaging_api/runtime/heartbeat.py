"""The heartbeat of a worker, with its figures, once a second."""

import asyncio
import resource
import time

from messaging_api.observability.metrics import ProcessMetrics
from messaging_api.server.load import WorkerLoad

_INTERVAL = 1.0


async def beat(metrics: ProcessMetrics, load: WorkerLoad) -> None:
    """Write the heartbeat and the figures into `metrics`, until cancelled."""
    due = time.monotonic()
    while True:
        metrics.put("lag_us", max(0, int((time.monotonic() - due) * 1e6)))  # a loop may wake a little early
        metrics.put("heartbeat", int(time.monotonic()))
        metrics.put("connections", len(load.connections))
        metrics.put("in_flight", load.in_flight)
        metrics.put("cpu_ms", time.process_time_ns() // 1_000_000)
        metrics.put("resident_bytes", _resident_bytes())
        due = time.monotonic() + _INTERVAL
        await asyncio.sleep(_INTERVAL)


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 a hundredth of a millisecond, on the loop
        return int(statm.read().split()[1]) * resource.getpagesize()
