"""Metrics that are exact across processes: one row of 64-bit numbers per process, in shared memory.

A process writes to its own row only, so there is no lock, and counting costs one dictionary look-up. The memory belongs
to the supervisor, so the row of a worker outlasts its death. `web/prometheus.py` adds the rows up at a scrape.
"""

import itertools
import mmap
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "other")
STATUSES = (200, 308, 400, 401, 403, 404, 405, 408, 413, 415, 422, 428, 429, 431, 500, 501, 503, 504, 507)
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
    *("content_encoding", "transfer_coding", "client_gone", "outcome_unknown"),
)
"""The reasons why requests and connections are rejected."""
STORE_FAILURES = ("unavailable", "unknown", "full")
"""How operations of the store fail: not executed, with an unknown outcome, or for lack of space."""
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper limits of the latency buckets, in seconds."""
BATCH_SIZE_BUCKETS = tuple(2**n for n in range(11))
"""Upper limits of the buckets for operations in a batch."""


class Counter(NamedTuple):
    """A counter, or a family of counters: one for each combination of label values."""

    name: str
    meaning: str
    labels: dict[str, tuple[str, ...]]


def counters(routes: Sequence[str]) -> tuple[Counter, ...]:
    """Return all counters of a service with these routes."""
    requests = {"route": tuple(routes), "method": METHODS, "status": tuple(map(str, STATUSES))}
    events = ("created", "read", "resumed", "burned", "expired_unread")
    return (
        Counter("messaging_requests", "Responses sent.", requests),
        Counter("messaging_messages", "Events in the life of messages.", {"event": events}),
        Counter("messaging_store_failures", "Failed operations of the store.", {"reason": STORE_FAILURES}),
        Counter("messaging_refusals", "Rejected requests and connections.", {"reason": REJECTION_REASONS}),
        Counter("messaging_uncounted", "Requests admitted without a count, because the counters did not answer.", {}),
        Counter("messaging_log_failures", "Writes to the log file that failed.", {}),
        Counter("messaging_console_dropped", "Log lines that the console did not take at once.", {}),
        Counter("messaging_process_restarts", "Processes that died and were started again.", {}),
    )


GAUGES = ("heartbeat", "draining", "connections", "in_flight", "lag_us", "cpu_ms", "resident_bytes")
"""Numbers that are set, not counted. Units: `heartbeat` monotonic seconds, `lag_us` µs of delay, `cpu_ms` ms of CPU."""

_Key = tuple[str, ...]


class Layout:
    """The place of each number in the row of a process, for a service with these `routes`."""

    def __init__(self, routes: Sequence[str]) -> None:
        self.slots: dict[_Key, int] = {key: slot for slot, key in enumerate(_keys(routes))}
        self.responses = {
            (route, method, status): (
                self.slots["messaging_requests", route, method, str(status)],
                self.slots["duration", route, "0"],
            )
            for route, method, status in itertools.product(routes, METHODS, STATUSES)
        }
        """The slots of a response: of its counter, and of the first bucket of its route's durations."""
        self.batch = self.slots["batch", "0"]
        self.console_dropped = self.slots["messaging_console_dropped",]
        self.expired_unread = self.slots["messaging_messages", "expired_unread"]


def _keys(routes: Sequence[str]) -> Iterator[_Key]:
    for counter in counters(routes):
        for values in itertools.product(*counter.labels.values()):
            yield (counter.name, *values)
    for route in routes:
        for bucket in range(len(LATENCY_BUCKETS) + 1):
            yield ("duration", route, str(bucket))
        yield ("duration", route, "sum")
    for bucket in range(len(BATCH_SIZE_BUCKETS) + 1):
        yield ("batch", str(bucket))
    yield ("batch", "sum")
    for gauge in GAUGES:
        yield (gauge,)


_DURATION_SUM = len(LATENCY_BUCKETS) + 1
_BATCH_SUM = len(BATCH_SIZE_BUCKETS) + 1
"""Offsets of the sums, behind the buckets."""


class ProcessMetrics:
    """The metrics of one process: its row of `numbers`."""

    def __init__(self, numbers: memoryview, layout: Layout) -> None:
        self._numbers = numbers
        self._layout = layout
        self._responses = layout.responses

    def count(self, *key: str) -> None:
        """Add one to a counter; `key` is its name and its label values in order."""
        self._numbers[self._layout.slots[key]] += 1

    def console_dropped(self, lines: int) -> None:
        """Count log lines that the console did not take."""
        self._numbers[self._layout.console_dropped] += lines

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a response and its duration, which is summed up in µs."""
        numbers = self._numbers
        counter, first = self._responses[route, method, status]
        numbers[counter] += 1
        numbers[first + bisect_left(LATENCY_BUCKETS, seconds)] += 1
        numbers[first + _DURATION_SUM] += int(seconds * 1e6)

    def expired_unread(self, messages: int) -> None:
        """Count messages that expired without a read."""
        self._numbers[self._layout.expired_unread] += messages

    def batch(self, size: int) -> None:
        """Count a batch of `size` operations: one round trip to the store, or one transaction."""
        first = self._layout.batch
        self._numbers[first + min((size - 1).bit_length(), len(BATCH_SIZE_BUCKETS))] += 1
        self._numbers[first + _BATCH_SUM] += size

    def put(self, name: str, value: int) -> None:
        """Set a gauge."""
        self._numbers[self._layout.slots[(name,)]] = value

    def get(self, *key: str) -> int:
        """Return the current number; see `count` for `key`."""
        number: int = self._numbers[self._layout.slots[key]]
        return number


class SharedMetrics:
    """The metrics of all processes, made before they are forked.

    `supervisor` and `ops` belong to these two processes, `workers` to each worker. `routes` are the labels of routes.
    """

    def __init__(self, workers: int, routes: Sequence[str]) -> None:
        layout = Layout(routes)
        width = len(layout.slots)
        numbers = memoryview(mmap.mmap(-1, (workers + 2) * width * 8)).cast("Q")
        self._all = [ProcessMetrics(numbers[start : start + width], layout) for start in range(0, len(numbers), width)]
        self.supervisor, self.ops, *self.workers = self._all

    def total(self, *key: str) -> int:
        """Return the sum over all processes; see `ProcessMetrics.count` for `key`."""
        return sum(process.get(*key) for process in self._all)
