"""The sweeper: it removes expired records once a second, in small steps."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from messaging_api.core.record import unread
from messaging_api.errors import StoreError
from messaging_api.stores.sqlite import statements
from messaging_api.stores.sqlite.database import store_error
from messaging_api.stores.sqlite.writer import Write

_INTERVAL = 1.0
"""Seconds between two sweeps."""
_PAUSE_FACTOR = 4
"""The pause after a step, as a multiple of its duration, so that requests get most of the processor."""


class Sweeper:
    """A background task that removes expired records until it is stopped.

    `reader` finds out whether there are any, `write` carries out a removal, and `clock` returns ms since the epoch.
    `expired_unread` is called with the number of removed messages with limited reads and no read.
    """

    def __init__(
        self,
        reader: sqlite3.Connection,
        write: Callable[[Write], Awaitable[Any]],
        clock: Callable[[], int],
        expired_unread: Callable[[int], None],
    ) -> None:
        self._reader = reader
        self._write = write
        self._clock = clock
        self._expired_unread = expired_unread
        self._task = asyncio.create_task(self._run())

    async def sweep(self) -> int:
        """Remove all expired records and return their number. Raises StoreError."""
        now, removed = self._clock(), 0
        loop = asyncio.get_running_loop()
        while self._any_expired(now):
            begin = loop.time()
            records: list[tuple[int, bytes]] = await self._write(partial(statements.sweep, now))
            removed += len(records)
            self._expired_unread(sum(unread(head, gone_at) for gone_at, head in records))
            await asyncio.sleep(_PAUSE_FACTOR * (loop.time() - begin))
        return removed

    async def stop(self) -> None:
        """Cancel the task and wait for its end."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            with contextlib.suppress(StoreError):  # the next request reports it, the next sweep tries again
                await self.sweep()

    def _any_expired(self, now: int) -> bool:
        try:
            return statements.any_expired(self._reader, now)
        except sqlite3.Error as error:
            raise store_error(error) from None
