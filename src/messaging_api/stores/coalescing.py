"""Like asks that come together become one call to the counters."""

from collections.abc import Callable

from messaging_api.core.ratelimit import Ask, Standing, Tell
from messaging_api.errors import StoreError
from messaging_api.stores.batching import Gathering


class Tally:
    """Like asks, counted together: the first that came is the first in the count."""

    __slots__ = ("ask", "tells")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.tells: list[Tell] = []

    def settle(self, outcome: Standing | StoreError) -> None:
        """Tell all of them how it stands after the last, or why nobody knows."""
        behind = len(self.tells)
        for tell in self.tells:
            behind -= 1
            tell(outcome, behind)


class Tallies:
    """Collects asks and hands each lot to `run`, which must settle every tally and never raise."""

    def __init__(self, run: Callable[[list[Tally]], None]) -> None:
        self._run = run
        self._open: dict[Ask, Tally] = {}
        self._gathering = Gathering(self._flush)

    def count(self, ask: Ask, tell: Tell) -> None:
        """See `ratelimit.Counters`."""
        tally = self._open.get(ask)
        if tally is None:
            tally = self._open[ask] = Tally(ask)
        tally.tells.append(tell)
        self._gathering.add()

    def _flush(self) -> None:
        tallies, self._open = [*self._open.values()], {}
        self._run(tallies)
