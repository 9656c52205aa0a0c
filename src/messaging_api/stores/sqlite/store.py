"""The embedded store: one SQLite file, shared by all processes of this machine.

Write-ahead log, `synchronous=FULL` (an acknowledged write survives a loss of power), `secure_delete` (removed data is
overwritten). Look-ups of one turn of the event loop are one SELECT on the loop's own thread: it costs microseconds,
less than a hand-over to another thread. Writes go to the thread of `writer.Writer`.
"""

import asyncio
import contextlib
import sqlite3
from functools import partial
from typing import Any

from messaging_api.core.ratelimit import PendingCount
from messaging_api.core.record import StoredMessage, parse
from messaging_api.core.store import Entry, Stats
from messaging_api.errors import NotExecuted
from messaging_api.stores.batching import NO_HOOKS, Batcher, PendingOperation, StoreHooks
from messaging_api.stores.coalescing import CountBatcher, CountGroup, resolve_group
from messaging_api.stores.sqlite import statements
from messaging_api.stores.sqlite.capacity import Capacity
from messaging_api.stores.sqlite.confirmed_clock import ConfirmedClock
from messaging_api.stores.sqlite.database import SqliteFile, connect, opening, set_up, store_error
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.stores.sqlite.sweeper import Sweeper
from messaging_api.stores.sqlite.transactions import Write
from messaging_api.stores.sqlite.write_timeout import WriteTimeout
from messaging_api.stores.sqlite.writer import Writer

_MAX_LOOKS = 32
"""Look-ups in one statement: SQLite keeps a prepared statement for each number of them, and more gain nothing."""
_LOCK_SHARE = 0.1
"""The share of the store's timeout that a read waits for the lock of another process."""


class SqliteStore:
    """A Store in one SQLite file; see `core/store.py`.

    `timeout` is in seconds, and `counters` are shared by all processes.
    """

    def __init__(
        self,
        file: SqliteFile,
        clock: ConfirmedClock,
        timeout: float,
        counters: SharedCounters,
        hooks: StoreHooks = NO_HOOKS,
    ) -> None:
        self._clock = clock.current
        self._file = file
        self._counters = counters
        self._lock_timeout = timeout * _LOCK_SHARE
        with set_up(file), contextlib.ExitStack() as opened:
            self._reader = opened.enter_context(contextlib.closing(connect(file, self._lock_timeout)))
            self._capacity = opened.enter_context(contextlib.closing(Capacity(file)))
            self._writer = Writer(file, self._capacity, timeout, asyncio.get_running_loop(), hooks.on_failure)
            opened.pop_all()
        self._write_timeout = WriteTimeout(timeout, self._writer.time_out)
        self._counts = CountBatcher(self._run_counts)
        self._looks: Batcher[bytes, bytes | None] = hooks.batcher(self._run_looks)
        self._writes: Batcher[Write, Any] = hooks.batcher(self._run_writes)
        self._sweeper = Sweeper(self._any_expired, self._writes.submit, clock, self._check_files, hooks)

    def count(self, pending: PendingCount) -> None:
        self._counts.count(pending)

    async def create(self, message: Entry, receipt: Entry, idempotency_record: Entry | None = None) -> bytes | None:
        entries, now = (message, receipt), self._clock()
        operation = partial(statements.create, self._capacity.grow, now, entries, idempotency_record)
        earlier: bytes | None = await self._writes.submit(operation)
        return earlier

    async def look(self, locator: bytes) -> StoredMessage | None:
        return parse(await self._looks.submit(locator))

    async def take(self, locator: bytes, resume_record: Entry | None = None) -> StoredMessage | None:
        return parse(await self._writes.submit(partial(statements.take, self._clock, locator, resume_record)))

    async def resume(self, message: bytes, locator: bytes) -> StoredMessage | None:
        try:
            return parse(statements.look_up_resume_record(self._clock(), message, locator, self._reader))
        except sqlite3.Error as error:
            raise store_error(error) from None

    async def burn(self, locator: bytes) -> StoredMessage | None:
        return parse(await self._writes.submit(partial(statements.burn, self._clock, locator)))

    async def receipt(self, locator: bytes) -> bytes | None:
        return await self._looks.submit(locator)

    async def ping(self) -> None:
        """Write a page, so that a read-only or full disk, a missing file and a stuck writer are noticed."""
        await self._writes.submit(partial(statements.touch, self._capacity.check_disk))

    async def sweep(self) -> int:
        """Remove all expired records now and return their number. Raises NotExecuted."""
        return await self._sweeper.sweep()

    async def stats(self) -> Stats:
        return await asyncio.to_thread(self._read_stats)

    async def aclose(self) -> None:
        await self._sweeper.stop()
        await asyncio.to_thread(self._writer.stop)
        self._reader.close()

    def _read_stats(self) -> Stats:
        try:
            (records,) = self._reader.execute("SELECT count(*) FROM records").fetchone()
            names = ("page_size", "page_count", "freelist_count")
            size, pages, free_pages = (self._reader.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
            used, free = (pages - free_pages) * size, free_pages * size + self._capacity.free_disk()
            if self._file.max_bytes:
                free = min(free, max(0, self._capacity.free_bytes(self._reader)))
        except sqlite3.Error as error:
            raise store_error(error) from None
        return Stats(used / (used + free), used, records)

    def _any_expired(self, now: int) -> bool:
        try:
            return statements.any_expired(self._reader, now)
        except sqlite3.Error as error:
            raise store_error(error) from None

    def _check_files(self) -> None:
        """Read the file that is at the path now, and restore the reserve of the disk.

        Raises NotExecuted if the file cannot be opened; then look-ups fail too.
        """
        if self._reader.replaced():
            self._reader.close()
            with opening(self._file.path):
                self._reader = connect(self._file, self._lock_timeout)
        if not self._capacity.intact():
            self._writes.submit(lambda _: self._capacity.restore())

    def _run_counts(self, groups: list[CountGroup]) -> None:
        try:
            results = self._counters.count([(group[0].request, len(group)) for group in groups])
        except NotExecuted as error:
            for group in groups:
                resolve_group(group, error)
        else:
            for group, counts in zip(groups, results, strict=True):
                resolve_group(group, counts)

    def _run_looks(self, batch: list[PendingOperation[bytes, bytes | None]]) -> None:
        for start in range(0, len(batch), _MAX_LOOKS):
            looks = batch[start : start + _MAX_LOOKS]
            try:
                found = statements.look_up(self._reader, [pending.operation for pending in looks])
            except sqlite3.Error as error:
                for pending in looks:
                    pending.resolve(store_error(error))
            else:
                for pending in looks:
                    pending.resolve(found.get(pending.operation))

    def _run_writes(self, group: list[PendingOperation[Write, Any]]) -> None:
        self._write_timeout.add(group)
        self._writer.submit(group)
