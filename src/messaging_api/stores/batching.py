"""One turn of the event loop, one batch: what is submitted together is handed over together.

The first submission of a turn asks the loop to flush after what is already due, so a lone request waits for
nothing, and all requests that arrived in the same poll of the sockets share one round trip or one transaction.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

Operation = TypeVar("Operation")
Answer = TypeVar("Answer")


class Ticket(NamedTuple, Generic[Operation, Answer]):
    """An operation and the future of its answer."""

    operation: Operation
    answer: "asyncio.Future[Answer]"

    def settle(self, outcome: Answer | BaseException) -> None:
        """Answer, unless whoever asked has gone."""
        if self.answer.done():
            return
        if isinstance(outcome, BaseException):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


def still_wanted(tickets: "list[Ticket[Operation, Answer]]") -> "list[Ticket[Operation, Answer]]":
    """Those that someone waits for: what nobody would hear the answer of is better not done."""
    return [ticket for ticket in tickets if not ticket.answer.done()]


class Batcher(Generic[Operation, Answer]):
    """Collects operations and hands each turn's lot to `run`, which must settle every ticket and never raise.

    `observe` hears the size of each lot.
    """

    def __init__(
        self, run: Callable[[list[Ticket[Operation, Answer]]], None], observe: Callable[[int], None] = lambda _: None
    ) -> None:
        self._run = run
        self._observe = observe
        self._batch: list[Ticket[Operation, Answer]] = []
        self._loop = asyncio.get_running_loop()  # which asks the kernel for the process: not with each operation

    def submit(self, operation: Operation, *, ahead: bool = False) -> "asyncio.Future[Answer]":
        """The future answer of `operation`, which goes behind what this turn has submitted, or `ahead` of it."""
        ticket: Ticket[Operation, Answer] = Ticket(operation, self._loop.create_future())
        if not self._batch:
            self._loop.call_soon(self._flush)
        if ahead:
            self._batch.insert(0, ticket)
        else:
            self._batch.append(ticket)
        return ticket.answer

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        self._observe(len(batch))
        self._run(batch)


class Instruments(NamedTuple):
    """How a store is watched: what makes its batchers, and who hears how many messages for few expired unread."""

    batcher: Callable[..., Batcher[Any, Any]] = Batcher
    expired_unread: Callable[[int], None] = lambda _: None


UNWATCHED = Instruments()


class Watchdog:
    """One lazy timer for many waits: calls `bark` when the oldest of them is older than `timeout` seconds.

    `oldest` gives when the oldest wait began, in the loop's time, None when nothing waits. `bark` must end that wait.
    """

    def __init__(self, timeout: float, oldest: Callable[[], float | None], bark: Callable[[], None]) -> None:
        self._timeout = timeout
        self._oldest = oldest
        self._bark = bark
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Something waits."""
        if self._timer is None:
            self._check()

    def _check(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while (since := self._oldest()) is not None:
            if since + self._timeout > loop.time():
                self._timer = loop.call_at(since + self._timeout, self._check)
                return
            self._bark()
