"""One turn of the event loop, one batch: what is submitted together is handed over together.

A lone request waits for nothing, and all requests that arrived in the same poll of the sockets share one round trip or
one transaction, with those of the next poll, if they are several.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

Operation = TypeVar("Operation")
Answer = TypeVar("Answer")


class PendingOperation(NamedTuple, Generic[Operation, Answer]):
    """An operation and the future of its answer."""

    operation: Operation
    answer: "asyncio.Future[Answer]"

    def resolve(self, outcome: Answer | BaseException) -> None:
        """Answer, unless whoever asked has gone."""
        if self.answer.done():
            return
        if isinstance(outcome, BaseException):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


def drop_abandoned(tickets: "list[PendingOperation[Operation, Answer]]") -> "list[PendingOperation[Operation, Answer]]":
    """Those that someone waits for: what nobody would hear the answer of is better not done."""
    return [ticket for ticket in tickets if not ticket.answer.done()]


class TurnScheduler:
    """When what gathers is let go: one piece after what is already due, several a turn of the loop later.

    Under load the answers of a batch bring the next requests a few at a time. One more poll of the sockets makes few
    large batches of many small ones, and so fewer system calls, fewer transactions, and code that stays in the caches.
    """

    def __init__(self, let_go: Callable[[], None]) -> None:
        self._let_go = let_go
        self._pieces = 0
        self._loop = asyncio.get_running_loop()  # which asks the kernel for the process: not with each piece

    def add(self) -> None:
        """One more piece."""
        self._pieces += 1
        if self._pieces == 1:
            self._loop.call_soon(self._ripen)

    def _ripen(self) -> None:
        if self._pieces == 1:
            self._end()
        else:
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._pieces = 0
        self._let_go()


class Batcher(Generic[Operation, Answer]):
    """Collects operations and hands each lot to `run`, which must settle every ticket and never raise.

    `observe` hears the size of each lot.
    """

    def __init__(
        self,
        run: Callable[[list[PendingOperation[Operation, Answer]]], None],
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._run = run
        self._observe = observe
        self._batch: list[PendingOperation[Operation, Answer]] = []
        self._gathering = TurnScheduler(self._flush)
        self._loop = asyncio.get_running_loop()

    def submit(self, operation: Operation, *, ahead: bool = False) -> "asyncio.Future[Answer]":
        """The future answer of `operation`, which goes behind what has gathered, or `ahead` of it."""
        ticket: PendingOperation[Operation, Answer] = PendingOperation(operation, self._loop.create_future())
        self._gathering.add()
        if ahead:
            self._batch.insert(0, ticket)
        else:
            self._batch.append(ticket)
        return ticket.answer

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        self._observe(len(batch))
        self._run(batch)


class StoreHooks(NamedTuple):
    """How a store is watched: what makes its batchers, and who hears how many messages for few expired unread."""

    batcher: Callable[..., Batcher[Any, Any]] = Batcher
    expired_unread: Callable[[int], None] = lambda _: None


NO_HOOKS = StoreHooks()


class OldestFirstTimeout:
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
