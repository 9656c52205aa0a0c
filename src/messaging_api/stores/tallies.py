"""Like asks of one turn of the event loop become one call to the counters."""

import asyncio
from collections.abc import Callable

from messaging_api.errors import StoreError
from messaging_api.ratelimit import Ask, Standing

Answer = Standing | StoreError


class Tally:
    """Like asks, counted together and answered one by one: the first that came is the first in the count."""

    __slots__ = ("answers", "ask")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.answers: list[asyncio.Future[Answer]] = []

    def settle(self, outcome: Answer) -> None:
        """Answer all, unless whoever asked has gone. `outcome` is how it stands after the last of them."""
        last = len(self.answers) - 1
        for place, answer in enumerate(self.answers):
            if answer.done():
                continue
            if place < last and self.ask.add and isinstance(outcome, Standing):
                answer.set_result(outcome._replace(added=outcome.added - last + place))
            else:
                answer.set_result(outcome)


class Tallies:
    """Collects asks and hands each turn's lot to `run`, which must settle every tally and never raise."""

    def __init__(self, run: Callable[[list[Tally]], None]) -> None:
        self._run = run
        self._open: dict[Ask, Tally] = {}

    def submit(self, ask: Ask) -> "asyncio.Future[Answer]":
        """See `ratelimit.Counters`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        tally = self._open.get(ask)
        if tally is None:
            if not self._open:
                loop.call_soon(self._flush)
            tally = self._open[ask] = Tally(ask)
        tally.answers.append(answer)
        return answer

    def _flush(self) -> None:
        tallies, self._open = [*self._open.values()], {}
        self._run(tallies)
