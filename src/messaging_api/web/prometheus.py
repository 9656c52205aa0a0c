"""The response of /metrics: the sums over all processes, and the current stats of the store."""

import itertools
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from messaging_api import __version__
from messaging_api.core.store import Stats, Store
from messaging_api.errors import StoreError, StoreFull
from messaging_api.observability.metrics import BATCH_SIZE_BUCKETS, LATENCY_BUCKETS, SharedMetrics, counters
from messaging_api.web.routes import LABELS

STALE = 10.0
"""Seconds without a heartbeat after which a process counts as stuck."""


class PrometheusExporter:
    """An exporter. `kind` is the scheme of the store's address; `clock` is the monotonic clock of heartbeats, in s."""

    def __init__(self, metrics: SharedMetrics, store: Store, kind: str, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._store = store
        self._kind = kind
        self._clock = clock
        self._started = time.time()

    def stuck(self) -> int:
        """Return the number of workers without a heartbeat."""
        return sum(self._clock() - row.get("heartbeat") > STALE for row in self._metrics.workers)

    async def text(self) -> bytes:
        """Return all metrics in Prometheus text format 0.0.4."""
        registry = CollectorRegistry()
        registry.register(_CollectedMetrics([*self._service(), *await self._of_store()]))
        return generate_latest(registry)

    def _service(self) -> Iterator[Metric]:
        total = self._metrics.total
        info = {"version": __version__, "python": platform.python_version(), "store": self._kind}
        yield InfoMetricFamily("messaging_build", "What runs here.", value=info)
        yield _gauge("messaging_start_time_seconds", "When the service started.", self._started)
        yield _gauge("messaging_draining", "1 when it is about to stop.", self._metrics.supervisor.get("draining"))
        for counter in counters(LABELS):
            family = CounterMetricFamily(counter.name, counter.meaning, labels=list(counter.labels))
            for values in itertools.product(*counter.labels.values()):
                number = total(counter.name, *values)
                if number or len(counter.labels) < 2:  # of the large family, only label values that occurred
                    family.add_metric(values, number)
            yield family
        durations = HistogramMetricFamily("messaging_request_duration_seconds", "Time to answer.", labels=["route"])
        for route in LABELS:
            _fill(durations, self._metrics, LATENCY_BUCKETS, "duration", route, unit=1e-6)
        yield durations
        batches = HistogramMetricFamily(
            "messaging_store_batch_size", "Operations in one round trip to the store, or one transaction."
        )
        _fill(batches, self._metrics, BATCH_SIZE_BUCKETS, "batch")
        yield batches
        yield _gauge("messaging_requests_in_flight", "Requests being served, seen once a second.", total("in_flight"))
        yield from self._workers()

    def _workers(self) -> Iterator[Metric]:
        families: tuple[tuple[GaugeMetricFamily | CounterMetricFamily, str, float], ...] = (
            (_by_worker("messaging_worker_connections", "Open connections."), "connections", 1),
            (_by_worker("messaging_worker_loop_lag_seconds", "How late its event loop was last."), "lag_us", 1e-6),
            (_by_worker("messaging_worker_resident_bytes", "Memory it holds."), "resident_bytes", 1),
            (
                CounterMetricFamily("messaging_worker_cpu_seconds", "CPU it has had.", labels=["worker"]),
                "cpu_ms",
                1e-3,
            ),
        )
        up = _by_worker("messaging_worker_up", "1 when it gives signs of life.")
        for n, row in enumerate(self._metrics.workers):
            up.add_metric([str(n)], self._clock() - row.get("heartbeat") <= STALE)
            for family, name, unit in families:
                family.add_metric([str(n)], row.get(name) * unit)
        yield up
        yield from (family for family, _, _ in families)

    async def _of_store(self) -> list[Metric]:
        told: list[Metric] = []
        begin = time.perf_counter()
        with suppress(StoreError):
            with suppress(StoreFull):  # it has answered, and its figures tell that it is full
                await self._store.ping()
            seconds = time.perf_counter() - begin
            told.append(_gauge("messaging_store_ping_seconds", "How long the store took to answer, just now.", seconds))
            told.extend(_stats(await self._store.stats()))
        return [_gauge("messaging_store_up", "1 when the store answers.", bool(told)), *told]


class _CollectedMetrics:
    """Metrics that have already been collected."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _stats(stats: Stats) -> Iterator[Metric]:
    yield _gauge("messaging_store_used_bytes", "Bytes the store uses.", stats.used_bytes)
    yield _gauge("messaging_store_records", "Records kept: messages, traces, receipts, answers.", stats.records)
    if stats.full is not None:
        yield _gauge("messaging_store_full_ratio", "Used share of the store's capacity.", stats.full)
    if stats.expired is not None:
        yield CounterMetricFamily("messaging_store_expired", "Records of any kind that expired.", value=stats.expired)
    if stats.evicted is not None:
        yield CounterMetricFamily(
            "messaging_store_evicted", "Records thrown out before their time: must be 0.", value=stats.evicted
        )


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=value)


def _by_worker(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=["worker"])


def _fill(
    family: HistogramMetricFamily, metrics: SharedMetrics, upper_limits: Iterable[float], *key: str, unit: float = 1
) -> None:
    """Add the histogram at `key`, whose last element is the value of the label if there is one."""
    names = [*map(str, upper_limits), "+Inf"]
    counts = [metrics.total(*key, str(bucket)) for bucket in range(len(names))]
    buckets = list(zip(names, map(float, itertools.accumulate(counts)), strict=True))
    family.add_metric(list(key[1:]), buckets, metrics.total(*key, "sum") * unit)
