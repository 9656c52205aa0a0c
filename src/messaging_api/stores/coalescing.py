"""Coalescing: equal count requests of one turn of the event loop become one call to the counters."""

from collections.abc import Callable

from messaging_api.core.ratelimit import CountRequest, PendingCount, WindowCounts
from messaging_api.errors import StoreError
from messaging_api.stores.batching import TurnScheduler

CountGroup = list[PendingCount]
"""Equal count requests that are counted together, in their order of arrival."""


def resolve_group(group: CountGroup, outcome: WindowCounts | StoreError) -> None:
    """Give each request the counts after the last one, or the error."""
    behind = len(group)
    for pending in group:
        behind -= 1
        pending.resolve(outcome if isinstance(outcome, StoreError) else (outcome, behind))


class CountBatcher:
    """A collector that passes the counts of each turn to `run`, which must resolve every group and never raise."""

    def __init__(self, run: Callable[[list[CountGroup]], None]) -> None:
        self._run = run
        self._groups: dict[CountRequest, CountGroup] = {}
        self._scheduler = TurnScheduler(self._flush)

    def count(self, pending: PendingCount) -> None:
        """Count a request; see `ratelimit.Counters`."""
        group = self._groups.get(pending.request)
        if group is None:
            self._groups[pending.request] = [pending]
        else:
            group.append(pending)
        self._scheduler.add()

    def _flush(self) -> None:
        groups, self._groups = [*self._groups.values()], {}
        self._run(groups)
