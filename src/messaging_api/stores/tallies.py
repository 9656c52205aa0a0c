"""Like asks of one turn of the event loop become one call to the counters."""

from asyncio import get_running_loop
from collections.abc import Callable

from messaging_api.errors import StoreError
from messaging_api.ratelimit import Ask, Standing, Tell


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
    """Collects asks and hands each turn's lot to `run`, which must settle every tally and never raise."""

    def __init__(self, run: Callable[[list[Tally]], None]) -> None:
        self._run = run
        self._open: dict[Ask, Tally] = {}

    def count(self, ask: Ask, tell: Tell) -> None:
        """See `ratelimit.Counters`."""
        tally = self._open.get(ask)
        if tally is None:
            if not self._open:
                get_running_loop().call_soon(self._flush)
            tally = self._open[ask] = Tally(ask)
        tally.tells.append(tell)

    def _flush(self) -> None:
        tallies, self._open = [*self._open.values()], {}
        self._run(tallies)
