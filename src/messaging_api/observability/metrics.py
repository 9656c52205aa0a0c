"""Counters that are right across processes: one row of 64-bit numbers a process, in memory they all share.

A process writes its own row only, so nothing is locked and counting costs one dictionary look-up. Rows live in the
supervisor's memory and outlast a worker that dies. A scrape adds the rows up: `web/prometheus.py`.
"""

import itertools
import mmap
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

ROUTES = ("/", "/msg", "/receipt", "/openapi.json", "/docs", "/assets", "other")
METHODS = ("GET", "HEAD", "POST", "DELETE", "other")
STATUSES = (200, 400, 401, 403, 404, 405, 408, 413, 415, 422, 428, 429, 431, 500, 501, 503, 507)
REJECTION_REASONS = (
    *("invalid", "too_large", "no_message", "name_a_format", "key_reused", "token", "unknown_address"),
    *(
        "limit_create",
        "limit_read",
        "limit_miss",
        "method_not_allowed",
        "overloaded",
        "unavailable",
        "full",
        "unexpected",
    ),
    *("connections", "pipelined", "bodies", "malformed", "incomplete", "head_too_large"),
    *("slow_head", "slow_body", "slow_reader", "tls_failed", "plain_http", "https_required"),
    *("content_encoding", "transfer_coding", "client_gone"),
)
"""Why requests and connections are turned away."""
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the latency buckets, in seconds."""
BATCH_SIZE_BUCKETS = tuple(2**n for n in range(11))
"""Upper bounds of the buckets for operations in a batch."""


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
    Counter(
        "messaging_messages", "What became of messages.", {"event": ("created", "read", "burned", "expired_unread")}
    ),
    Counter("messaging_store_failures", "Operations the store failed.", {"reason": ("unavailable", "full")}),
    Counter("messaging_refusals", "Requests and connections turned away.", {"reason": REJECTION_REASONS}),
    Counter("messaging_uncounted", "Requests let through because the counters of limits gave no answer.", {}),
    Counter("messaging_log_failures", "Writes to the log file that failed.", {}),
    Counter("messaging_process_restarts", "Processes that died and were started again.", {}),
)
GAUGES = ("heartbeat", "draining", "connections", "in_flight", "lag_us", "cpu_ms", "resident_bytes")
"""Numbers that are set, not counted. Times: monotonic seconds, microseconds late, milliseconds of CPU."""

_Key = tuple[str, ...]


def _slots() -> Iterator[_Key]:
    for counter in COUNTERS:
        for values in itertools.product(*counter.labels.values()):
            yield (counter.name, *values)
    for route in ROUTES:
        for bucket in range(len(LATENCY_BUCKETS) + 1):
            yield ("duration", route, str(bucket))
        yield ("duration", route, "sum")
    for bucket in range(len(BATCH_SIZE_BUCKETS) + 1):
        yield ("batch", str(bucket))
    yield ("batch", "sum")
    for gauge in GAUGES:
        yield (gauge,)


SLOT: dict[_Key, int] = {key: slot for slot, key in enumerate(_slots())}
_DURATION = {route: SLOT["duration", route, "0"] for route in ROUTES}
_REQUEST = {
    (route, method, status): SLOT["messaging_requests", route, method, str(status)]
    for route, method, status in itertools.product(ROUTES, METHODS, STATUSES)
}
_BATCH = SLOT["batch", "0"]
_EXPIRED_UNREAD = SLOT["messaging_messages", "expired_unread"]


class ProcessMetrics:
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
        numbers[first + bisect_left(LATENCY_BUCKETS, seconds)] += 1
        numbers[first + len(LATENCY_BUCKETS) + 1] += int(seconds * 1e6)

    def expired_unread(self, messages: int) -> None:
        """So many messages expired that nobody had read."""
        self._numbers[_EXPIRED_UNREAD] += messages

    def batch(self, size: int) -> None:
        """So many operations went to the store in one round trip or transaction."""
        self._numbers[_BATCH + min((size - 1).bit_length(), len(BATCH_SIZE_BUCKETS))] += 1
        self._numbers[_BATCH + len(BATCH_SIZE_BUCKETS) + 1] += size

    def put(self, name: str, value: int) -> None:
        """Set a gauge."""
        self._numbers[SLOT[(name,)]] = value

    def get(self, *key: str) -> int:
        """The number as it stands."""
        number: int = self._numbers[SLOT[key]]
        return number


class SharedMetrics:
    """The rows of all processes, made before they are forked: `rows` of the workers, `parent` of the supervisor."""

    def __init__(self, workers: int) -> None:
        width = len(SLOT)
        numbers = memoryview(mmap.mmap(-1, (workers + 2) * width * 8)).cast("Q")
        self._all = [ProcessMetrics(numbers[at : at + width]) for at in range(0, len(numbers), width)]
        self.parent, self.ops, *self.rows = self._all

    def total(self, *key: str) -> int:
        """The sum over all processes."""
        return sum(row.get(*key) for row in self._all)
