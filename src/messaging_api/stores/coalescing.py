"""Like asks that come together become one call to the counters."""

from collections.abc import Callable

from messaging_api.core.ratelimit import CountRequest, OnCounted, WindowCounts
from messaging_api.errors import StoreError
from messaging_api.stores.batching import TurnScheduler


class PendingCount:
    """Like asks, counted together: the first that came is the first in the count."""

    __slots__ = ("ask", "tells")

    def __init__(self, ask: CountRequest) -> None:
        self.ask = ask
        self.tells: list[OnCounted] = []

    def resolve(self, outcome: WindowCounts | StoreError) -> None:
        """Tell all of them how it stands after the last, or why nobody knows."""
        behind = len(self.tells)
        for tell in self.tells:
            behind -= 1
            tell(outcome, behind)


class CountBatcher:
    """Collects asks and hands each lot to `run`, which must settle every tally and never raise."""

    def __init__(self, run: Callable[[list[PendingCount]], None]) -> None:
        self._run = run
        self._open: dict[CountRequest, PendingCount] = {}
        self._gathering = TurnScheduler(self._flush)

    def count(self, ask: CountRequest, tell: OnCounted) -> None:
        """See `ratelimit.Counters`."""
        tally = self._open.get(ask)
        if tally is None:
            tally = self._open[ask] = PendingCount(ask)
        tally.tells.append(tell)
        self._gathering.add()

    def _flush(self) -> None:
        tallies, self._open = [*self._open.values()], {}
        self._run(tallies)
