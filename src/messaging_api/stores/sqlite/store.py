"""The embedded store: one SQLite file, shared by all processes of this machine.

Write-ahead log, `synchronous=FULL` (an acknowledged write survives a loss of power), `secure_delete` (removed data is
overwritten). Look-ups of one turn of the event loop are one SELECT on the loop's own thread: it costs microseconds,
less than a hand-over to another thread. Writes go to the thread of `writer.Writer`.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

from messaging_api.core.ratelimit import PendingCount
from messaging_api.core.record import StoredMessage, parse
from messaging_api.core.store import Entry, Stats
from messaging_api.errors import NotExecuted
from messaging_api.stores.batching import NO_HOOKS, Batcher, PendingOperation, StoreHooks
from messaging_api.stores.coalescing import CountBatcher, CountGroup, resolve_group
from messaging_api.stores.sqlite import statements
from messaging_api.stores.sqlite.database import SqliteFile, connect, set_up, store_error
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.stores.sqlite.sweeper import Sweeper
from messaging_api.stores.sqlite.write_timeout import WriteTimeout
from messaging_api.stores.sqlite.writer import Write, Writer

_MAX_LOOKS = 32
"""Look-ups in one statement: SQLite keeps a prepared statement for each number of them, and more gain nothing."""
_READ_LOCK_SHARE, _WRITE_LOCK_SHARE = 0.1, 0.8
"""The shares of the store's timeout that a read and a write wait for the lock of another process."""


class SqliteStore:
    """A Store in one SQLite file; see `core/store.py`.

    `clock` returns ms since the epoch, `timeout` is in seconds, and `counters` are shared by all processes.
    """

    def __init__(
        self,
        file: SqliteFile,
        clock: Callable[[], int],
        timeout: float,
        counters: SharedCounters,
        hooks: StoreHooks = NO_HOOKS,
    ) -> None:
        self._clock = clock
        self._file = file
        self._counters = counters
        with set_up(file.path):
            self._reader = connect(file, timeout * _READ_LOCK_SHARE)
            self._reader.executescript(statements.SCHEMA)
            connect_writer = partial(connect, file, timeout * _WRITE_LOCK_SHARE)
            self._writer = Writer(connect_writer, f"{file.path}-queue", asyncio.get_running_loop())
        self._write_timeout = WriteTimeout(timeout)
        self._counts = CountBatcher(self._run_counts)
        self._looks: Batcher[bytes, bytes | None] = hooks.batcher(self._run_looks)
        self._writes: Batcher[Write, Any] = hooks.batcher(self._run_writes)
        self._sweeper = Sweeper(self._reader, self._writes.submit, clock, hooks.expired_unread)

    def count(self, pending: PendingCount) -> None:
        self._counts.count(pending)

    async def create(self, message: Entry, receipt: Entry, idempotency_record: Entry | None = None) -> bytes | None:
        operation = partial(statements.create, self._clock(), message, receipt, idempotency_record)
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
        """Begin and end a write, so that a read-only or full disk and a stuck writer are noticed."""
        await self._writes.submit(statements.touch)

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
            disk = os.statvfs(self._file.path)
        except sqlite3.Error as error:
            raise store_error(error) from None
        used, free = (pages - free_pages) * size, free_pages * size + disk.f_bavail * disk.f_frsize
        if self._file.max_bytes:
            free = min(free, max(0, self._file.max_bytes - used))
        return Stats(used / (used + free), used, records)

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
