"""Coalescing: equal count requests of one turn of the event loop become one call to the counters."""

from collections.abc import Callable

from messaging_api.core.pending import Pending
from messaging_api.core.ratelimit import Counted, CountRequest, WindowCounts
from messaging_api.errors import StoreError
from messaging_api.stores.batching import TurnScheduler


class PendingCount:
    """Equal count requests that are counted together, in their order of arrival."""

    __slots__ = ("request", "waiters")

    def __init__(self, request: CountRequest) -> None:
        self.request = request
        self.waiters: list[Pending[Counted]] = []

    def resolve(self, outcome: WindowCounts | StoreError) -> None:
        """Give each request the counts after the last one, or the error."""
        behind = len(self.waiters)
        for waiter in self.waiters:
            behind -= 1
            waiter.resolve(outcome if isinstance(outcome, StoreError) else (outcome, behind))


class CountBatcher:
    """A collector that passes the counts of each turn to `run`, which must resolve every count and never raise."""

    def __init__(self, run: Callable[[list[PendingCount]], None]) -> None:
        self._run = run
        self._open: dict[CountRequest, PendingCount] = {}
        self._scheduler = TurnScheduler(self._flush)

    def count(self, request: CountRequest) -> Pending[Counted]:
        """Count a request; see `ratelimit.Counters`."""
        together = self._open.get(request)
        if together is None:
            together = self._open[request] = PendingCount(request)
        waiter: Pending[Counted] = Pending()
        together.waiters.append(waiter)
        self._scheduler.add()
        return waiter

    def _flush(self) -> None:
        counts, self._open = [*self._open.values()], {}
        self._run(counts)
