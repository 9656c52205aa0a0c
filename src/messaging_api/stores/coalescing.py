"""Coalescing: equal count requests of one turn of the event loop become one call to the counters."""

from collections.abc import Callable

from messaging_api.core.ratelimit import CountRequest, OnCounted, WindowCounts
from messaging_api.errors import StoreError
from messaging_api.stores.batching import TurnScheduler


class PendingCount:
    """Equal count requests that are counted together, in their order of arrival."""

    __slots__ = ("callbacks", "request")

    def __init__(self, request: CountRequest) -> None:
        self.request = request
        self.callbacks: list[OnCounted] = []

    def resolve(self, outcome: WindowCounts | StoreError) -> None:
        """Pass each callback the counts after the last request, or the error."""
        behind = len(self.callbacks)
        for callback in self.callbacks:
            behind -= 1
            callback(outcome, behind)


class CountBatcher:
    """A collector that passes the counts of each turn to `run`, which must resolve every count and never raise."""

    def __init__(self, run: Callable[[list[PendingCount]], None]) -> None:
        self._run = run
        self._open: dict[CountRequest, PendingCount] = {}
        self._scheduler = TurnScheduler(self._flush)

    def count(self, request: CountRequest, on_counted: OnCounted) -> None:
        """Count a request; see `ratelimit.Counters`."""
        pending = self._open.get(request)
        if pending is None:
            pending = self._open[request] = PendingCount(request)
        pending.callbacks.append(on_counted)
        self._scheduler.add()

    def _flush(self) -> None:
        counts, self._open = [*self._open.values()], {}
        self._run(counts)
