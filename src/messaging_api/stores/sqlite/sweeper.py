"""The sweeper: once a second it checks the files and removes expired records, in small steps."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NoReturn

from messaging_api.core.background import start_endless_task
from messaging_api.core.record import unread
from messaging_api.errors import StoreError
from messaging_api.stores.batching import StoreHooks
from messaging_api.stores.sqlite import statements
from messaging_api.stores.sqlite.transactions import Write

_INTERVAL = 1.0
"""Seconds between two sweeps."""
_PAUSE_FACTOR = 4
"""The pause after a step, as a multiple of its duration, so that requests get most of the processor."""


class Sweeper:
    """A background task that removes expired records until it is stopped.

    `any_expired` finds out whether there are any at a time in ms since the epoch, which `clock` returns, and raises
    StoreError; `write` carries out a removal. `prepare` is called before each sweep, and raises StoreError. Of the
    `hooks`, it calls `expired_unread`, `sweeping` and `on_failure`.
    """

    def __init__(
        self,
        any_expired: Callable[[int], bool],
        write: Callable[[Write], Awaitable[Any]],
        clock: Callable[[], int],
        prepare: Callable[[], None],
        hooks: StoreHooks,
    ) -> None:
        self._any_expired = any_expired
        self._write = write
        self._clock = clock
        self._prepare = prepare
        self._hooks = hooks
        self._failing = False
        self._task = start_endless_task("sweeper", self._run(), hooks.on_failure)

    async def sweep(self) -> int:
        """Remove all expired records and return their number. Raises StoreError."""
        now, removed = self._clock(), 0
        loop = asyncio.get_running_loop()
        while self._any_expired(now):
            begin = loop.time()
            records: list[tuple[int, bytes]] = await self._write(partial(statements.sweep, now))
            removed += len(records)
            self._hooks.expired_unread(sum(unread(head, gone_at) for gone_at, head in records))
            await asyncio.sleep(_PAUSE_FACTOR * (loop.time() - begin))
        return removed

    async def stop(self) -> None:
        """Cancel the task and wait for its end."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> NoReturn:
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                self._prepare()
                await self.sweep()
            except StoreError as error:  # the next sweep tries again
                self._tell(error)
            else:
                self._tell(None)

    def _tell(self, error: StoreError | None) -> None:
        """Pass on the first failure and the first success after it."""
        if self._failing != (error is not None):
            self._failing = not self._failing
            self._hooks.sweeping(error)
