"""Batching: operations submitted in one turn of the event loop are handed over together.

A lone operation does not wait. Operations of requests that arrived in the same poll of the sockets share one round trip
or one transaction; if there are several, those of the next poll join them.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from messaging_api.core.background import OnFailure, raise_failure
from messaging_api.core.pending import UNRESOLVED, Pending
from messaging_api.errors import StoreError

Item = TypeVar("Item")
Result = TypeVar("Result")


class PendingOperation(Pending[Result], Generic[Item, Result]):
    """An operation and its result to come."""

    __slots__ = ("operation",)

    def __init__(self, operation: Item) -> None:  # as the base class: a call of its own would cost a tenth of a read
        self._callback = None
        self._outcome = UNRESOLVED
        self.operation = operation


def drop_abandoned(operations: "list[PendingOperation[Item, Result]]") -> "list[PendingOperation[Item, Result]]":
    """Return the operations that a caller still waits for; the others need not be carried out."""
    return [pending for pending in operations if pending.wanted]


class TurnScheduler:
    """A scheduler that calls `flush` for what was added: a single piece in the next turn, several one turn later.

    Under load the responses to a batch bring the next requests a few at a time. One more poll of the sockets merges
    many small batches into few large ones: fewer system calls, fewer transactions, and warm caches.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._waiting = 0
        self._loop = asyncio.get_running_loop()  # looked up once: each look-up calls getpid(2)

    def add(self) -> None:
        """Note one more piece, and schedule the flush with the first."""
        self._waiting += 1
        if self._waiting == 1:
            self._loop.call_soon(self._flush_or_wait)

    def _flush_or_wait(self) -> None:
        if self._waiting == 1:
            self._end_turn()
        else:
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._waiting = 0
        self._flush()


class Batcher(Generic[Item, Result]):
    """A collector that passes each batch to `run`, which must resolve every operation and never raise.

    `observe` is called with the size of each batch, `begin` makes the pending operation of what is submitted.
    """

    def __init__(
        self,
        run: Callable[[list[PendingOperation[Item, Result]]], None],
        observe: Callable[[int], None] = lambda _: None,
        begin: Callable[[Item], PendingOperation[Item, Result]] = PendingOperation,
    ) -> None:
        self._run = run
        self._begin = begin
        self._observe = observe
        self._batch: list[PendingOperation[Item, Result]] = []
        self._scheduler = TurnScheduler(self._flush)

    def submit(self, operation: Item, *, ahead: bool = False) -> PendingOperation[Item, Result]:
        """Add `operation` at the end of the batch, or `ahead` of it, and return its result to come."""
        pending: PendingOperation[Item, Result] = self._begin(operation)
        self._scheduler.add()
        if ahead:
            self._batch.insert(0, pending)
        else:
            self._batch.append(pending)
        return pending

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        self._observe(len(batch))
        self._run(batch)


class StoreHooks(NamedTuple):
    """Hooks to observe a store.

    `batcher` makes its batchers. `expired_unread` is called with the number of messages with limited reads that expired
    without a single read. `on_failure` is called when a task or thread of the store ends by itself. `sweeping` is
    called with the error when the sweeper cannot remove expired records, and with None when it can again.
    """

    batcher: Callable[..., Batcher[Any, Any]] = Batcher
    expired_unread: Callable[[int], None] = lambda _: None
    on_failure: OnFailure = raise_failure
    sweeping: Callable[[StoreError | None], None] = lambda _: None


NO_HOOKS = StoreHooks()


class OldestFirstTimeout:
    """One lazy timer for many waits: calls `on_timeout` when the oldest of them is older than `timeout` seconds.

    `oldest` returns the start of the oldest wait, in the loop's time, or None when nothing waits. `on_timeout` must end
    that wait.
    """

    def __init__(self, timeout: float, oldest: Callable[[], float | None], on_timeout: Callable[[], None]) -> None:
        self._timeout = timeout
        self._oldest = oldest
        self._on_timeout = on_timeout
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer if it is not running: a wait has begun."""
        if self._timer is None:
            self._check()

    def _check(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while (since := self._oldest()) is not None:
            if since + self._timeout > loop.time():
                self._timer = loop.call_at(since + self._timeout, self._check)
                return
            self._on_timeout()
