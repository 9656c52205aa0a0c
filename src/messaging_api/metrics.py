"""Counters that are right across processes: one row of 64-bit numbers a process, in memory they all share.

A process writes its own row only, so nothing is locked and counting costs one dictionary look-up. Rows live in the
supervisor's memory and outlast a worker that dies. A scrape adds the rows up.
"""

import itertools
import mmap
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

ROUTES = ("/", "/msg", "/receipt", "/openapi.json", "/docs", "/assets", "other")
METHODS = ("GET", "HEAD", "POST", "DELETE", "other")
STATUSES = (200, 400, 404, 405, 413, 422, 428, 500, 503, 507)
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the latency buckets, in seconds."""


class Counter(NamedTuple):
    """A counter, or a family of them: one for each combination of label values."""

    name: str
    meaning: str
    labels: dict[str, tuple[str, ...]]


COUNTERS = (
    Counter(
        "messaging_requests",
        "Requests answered.",
        {"route": ROUTES, "method": METHODS, "status": tuple(map(str, STATUSES))},
    ),
    Counter("messaging_messages", "What became of messages.", {"event": ("created", "read", "burned")}),
    Counter("messaging_store_failures", "Operations the store failed.", {"reason": ("unavailable", "full")}),
    Counter("messaging_log_failures", "Writes to the log file that failed.", {}),
)

_Key = tuple[str, ...]


def _slots() -> Iterator[_Key]:
    for counter in COUNTERS:
        for values in itertools.product(*counter.labels.values()):
            yield (counter.name, *values)
    for route in ROUTES:
        for bucket in range(len(BOUNDS) + 1):
            yield ("duration", route, str(bucket))
        yield ("duration", route, "sum")
    yield ("heartbeat",)
    yield ("in_flight",)
    yield ("draining",)


SLOT: dict[_Key, int] = {key: slot for slot, key in enumerate(_slots())}
_DURATION = {route: SLOT["duration", route, "0"] for route in ROUTES}
_REQUEST = {
    (route, method, status): SLOT["messaging_requests", route, method, str(status)]
    for route, method, status in itertools.product(ROUTES, METHODS, STATUSES)
}


class Row:
    """The numbers of one process."""

    def __init__(self, numbers: memoryview) -> None:
        self._numbers = numbers

    def count(self, *key: str) -> None:
        """Add one; `key` is the counter's name and its label values in order."""
        self._numbers[SLOT[key]] += 1

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered and took so long. The sum is kept in microseconds."""
        numbers, first = self._numbers, _DURATION[route]
        numbers[_REQUEST[route, method, status]] += 1
        numbers[first + bisect_left(BOUNDS, seconds)] += 1
        numbers[first + len(BOUNDS) + 1] += int(seconds * 1e6)

    def put(self, name: str, value: int) -> None:
        """Set a number that is not a counter: heartbeat, in_flight, draining."""
        self._numbers[SLOT[(name,)]] = value

    def get(self, *key: str) -> int:
        """The number as it stands."""
        number: int = self._numbers[SLOT[key]]
        return number


class Board:
    """The rows of all processes, made before they are forked: `rows` of the workers, `parent` of the supervisor."""

    def __init__(self, workers: int) -> None:
        width = len(SLOT)
        numbers = memoryview(mmap.mmap(-1, (workers + 2) * width * 8)).cast("Q")
        self._all = [Row(numbers[at : at + width]) for at in range(0, len(numbers), width)]
        self.parent, self.ops, *self.rows = self._all

    def total(self, *key: str) -> int:
        """The sum over all processes."""
        return sum(row.get(*key) for row in self._all)

    def text(self) -> bytes:
        """Prometheus text format 0.0.4."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client: one family of samples for each metric."""
        for counter in COUNTERS:
            family = CounterMetricFamily(counter.name, counter.meaning, labels=list(counter.labels))
            for values in itertools.product(*counter.labels.values()):
                number = self.total(counter.name, *values)
                if number or len(counter.labels) < 2:  # of the large family only what occurred
                    family.add_metric(values, number)
            yield family
        yield self._durations()
        in_flight = self.total("in_flight")
        yield GaugeMetricFamily("messaging_requests_in_flight", "Requests being served.", value=in_flight)

    def _durations(self) -> Metric:
        family = HistogramMetricFamily("messaging_request_duration_seconds", "Time to answer.", labels=["route"])
        bounds = [*map(str, BOUNDS), "+Inf"]
        for route in ROUTES:
            counts = [self.total("duration", route, str(bucket)) for bucket in range(len(bounds))]
            buckets = list(zip(bounds, map(float, itertools.accumulate(counts)), strict=True))
            family.add_metric([route], buckets, self.total("duration", route, "sum") / 1e6)
        return family
