"""The embedded store: one SQLite file, shared by all processes of this machine.

    records(locator BLOB PRIMARY KEY, gone_at ms, value BLOB)

Write-ahead log, `synchronous=FULL` (what was acknowledged survives a loss of power), `secure_delete` (what was removed
is overwritten). Looks of one turn of the loop are one SELECT on the loop's own thread: it costs microseconds, less
than a hand-over to another thread. Writes go to `sqlite_writer.Writer`.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from messaging_api.core.message import RECEIPT_EXTRA_MS
from messaging_api.core.record import HEAD, StoredMessage, after_read, parse, tombstone, unpack, unread
from messaging_api.core.store import Entry, Stats
from messaging_api.errors import StoreUnavailable
from messaging_api.stores.batching import NO_HOOKS, Batcher, OldestFirstTimeout, PendingOperation, StoreHooks
from messaging_api.stores.coalescing import CountBatcher, PendingCount
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.stores.sqlite.writer import WriteGroup, WriteOperation, Writer, failure

SWEEP_EVERY = 1.0
SWEEP_STEP = 50
"""Rows removed in one transaction: small, so that a sweep never holds up a request for long."""
SWEEP_PAUSE_FACTOR = 4
"""How many times as long as a step took is waited before the next, so that requests have most of the processor."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (locator BLOB PRIMARY KEY, gone_at INTEGER NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS records_gone_at ON records (gone_at);
"""
_MAX_LOOKS = 32
"""In one statement; each number of looks is a statement that SQLite keeps prepared, and more gain nothing."""
_LOOK = "SELECT locator, value FROM records WHERE locator = ?"
_AS_LONG = "SELECT zeroblob(16), zeroblob(12)"
"""Takes as long as to fetch the trace of a message: the time must not tell that nothing lies there."""

_Look = PendingOperation[bytes, bytes | None]


class SqliteFile(NamedTuple):
    """Where the database is. `max_bytes` bounds its size, 0 = by the disk alone."""

    path: str
    max_bytes: int = 0


class SqliteStore:
    """A Store; see `core/store.py`."""

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
        self._expired_unread = hooks.expired_unread
        self._counters = counters
        with _opening(file.path):
            self._reader = _connect(file, timeout / 10)
            self._reader.executescript(_SCHEMA)
            self._writer = Writer(
                partial(_connect, file, timeout * 0.8), f"{file.path}-queue", asyncio.get_running_loop()
            )
        self.count = CountBatcher(self._count).count
        self._looks: Batcher[bytes, bytes | None] = hooks.batcher(self._look_up)
        self._writes: Batcher[WriteOperation, Any] = hooks.batcher(self._write)
        self._unsettled: deque[tuple[float, WriteGroup]] = deque()
        self._timer = OldestFirstTimeout(timeout, self._oldest, self._give_up)
        self._sweeping = asyncio.create_task(self._keep_sweeping())

    async def create(self, message: Entry, receipt: Entry, idempotency_record: Entry | None = None) -> bytes | None:
        known: bytes | None = await self._writes.submit(
            partial(_create, self._clock(), message, receipt, idempotency_record)
        )
        return known

    async def look(self, locator: bytes) -> StoredMessage | None:
        return parse(await self._looks.submit(locator))

    async def take(self, locator: bytes) -> StoredMessage | None:
        return parse(await self._writes.submit(partial(_take, locator)))

    async def burn(self, locator: bytes) -> StoredMessage | None:
        return parse(await self._writes.submit(partial(_burn, locator)))

    async def receipt(self, locator: bytes) -> bytes | None:
        return await self._looks.submit(locator)

    def _count(self, batch: list[PendingCount]) -> None:
        try:
            results = self._counters.count([(pending.request, len(pending.callbacks)) for pending in batch])
        except StoreUnavailable as error:
            for pending in batch:
                pending.resolve(error)
        else:
            for pending, counts in zip(batch, results, strict=True):
                pending.resolve(counts)

    async def ping(self) -> None:
        """Begins and ends a write, so that a read-only or full disk and a stuck writer show."""
        await self._writes.submit(_touch)

    async def sweep(self) -> int:
        """Remove what has expired, in small steps; the number of rows removed. Raises StoreUnavailable."""
        now, swept = self._clock(), 0
        loop = asyncio.get_running_loop()
        while await self._looks_expired(now):
            begun = loop.time()
            gone: list[tuple[int, bytes]] = await self._writes.submit(partial(_sweep, now))
            swept += len(gone)
            self._expired_unread(sum(unread(head, gone_at) for gone_at, head in gone))
            await asyncio.sleep(SWEEP_PAUSE_FACTOR * (loop.time() - begun))
        return swept

    async def stats(self) -> Stats:
        return await asyncio.to_thread(self._stats)

    async def aclose(self) -> None:
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping
        await asyncio.to_thread(self._writer.stop)
        self._reader.close()

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            with contextlib.suppress(StoreUnavailable):  # the next request says so, the next sweep tries again
                await self.sweep()

    def _stats(self) -> Stats:
        try:
            (records,) = self._reader.execute("SELECT count(*) FROM records").fetchone()
            names = ("page_size", "page_count", "freelist_count")
            size, pages, free = (self._reader.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
            disk = os.statvfs(self._file.path)
        except sqlite3.Error as error:
            raise failure(error) from None
        used, room = (pages - free) * size, free * size + disk.f_bavail * disk.f_frsize
        if self._file.max_bytes:
            room = min(room, max(0, self._file.max_bytes - used))
        return Stats(used / (used + room), used, records)

    async def _looks_expired(self, now: int) -> bool:
        query = "SELECT 1 FROM records WHERE gone_at <= ? LIMIT 1"
        try:
            return self._reader.execute(query, (now,)).fetchone() is not None
        except sqlite3.Error as error:
            raise failure(error) from None

    def _look_up(self, batch: list[_Look]) -> None:
        for start in range(0, len(batch), _MAX_LOOKS):
            some = batch[start : start + _MAX_LOOKS]
            query = " UNION ALL ".join([_LOOK] * len(some))  # IN (…) would sort its list into a table of its own first
            try:
                found = dict(self._reader.execute(query, [pending.operation for pending in some]).fetchall())
                if len(found) < len(some):
                    self._reader.execute(_AS_LONG).fetchall()
            except sqlite3.Error as error:
                for pending in some:
                    pending.resolve(failure(error))
            else:
                for pending in some:
                    pending.resolve(found.get(pending.operation))

    def _write(self, group: WriteGroup) -> None:
        self._oldest()
        self._unsettled.append((asyncio.get_running_loop().time(), group))
        self._timer.start()
        self._writer.submit(group)

    def _oldest(self) -> float | None:
        """When the oldest group without an outcome was submitted; forgets those before it."""
        while self._unsettled and all(pending.result.done() for pending in self._unsettled[0][1]):
            self._unsettled.popleft()
        return self._unsettled[0][0] if self._unsettled else None

    def _give_up(self) -> None:
        for pending in self._unsettled.popleft()[1]:
            pending.resolve(StoreUnavailable("The database did not answer in time."))


@contextlib.contextmanager
def _opening(path: str) -> Iterator[None]:
    """One process at a time sets the file up; it is readable by its owner alone."""
    try:
        folder = Path(path).parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
            yield
        finally:
            os.close(lock)
    except (OSError, sqlite3.Error) as error:
        name = getattr(error, "sqlite_errorname", error.__class__.__name__)
        raise StoreUnavailable(f"The database file {path} cannot be opened: {name}.") from None


def _connect(file: SqliteFile, timeout: float) -> sqlite3.Connection:
    """`timeout`, in seconds: how long to wait for the lock of another process."""
    database = sqlite3.connect(
        file.path, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        database.execute(f"PRAGMA {pragma}")
    if file.max_bytes:
        (page_size,) = database.execute("PRAGMA page_size").fetchone()
        database.execute(f"PRAGMA max_page_count={max(1, file.max_bytes // page_size)}")
    return database


def _value(database: sqlite3.Connection, locator: bytes) -> bytes | None:
    row = database.execute("SELECT value FROM records WHERE locator = ?", (locator,)).fetchone()
    return row[0] if row else None


def _create(
    now: int, message: Entry, receipt: Entry, idempotency_record: Entry | None, database: sqlite3.Connection
) -> bytes | None:
    entries = [message, receipt]
    if idempotency_record is not None:
        query = "SELECT value FROM records WHERE locator = ? AND gone_at > ?"
        known: tuple[bytes] | None = database.execute(query, (idempotency_record.locator, now)).fetchone()
        if known is not None:
            return known[0]
        entries.append(idempotency_record)
    rows = [(entry.locator, now + entry.ttl, entry.value) for entry in entries]
    database.executemany("REPLACE INTO records VALUES (?, ?, ?)", rows)
    return None


def _take(locator: bytes, database: sqlite3.Connection) -> bytes | None:
    value = _value(database, locator)
    if value is None:
        return None
    kept = unpack(value)
    if not kept.box:
        return None
    if kept.reads is not None:
        _put(database, locator, after_read(value), gone=kept.reads_left == 1)
    return value


def _burn(locator: bytes, database: sqlite3.Connection) -> bytes | None:
    value = _value(database, locator)
    if value is not None and unpack(value).box:
        _put(database, locator, tombstone(value), gone=True)
    return value


def _put(database: sqlite3.Connection, locator: bytes, value: bytes, *, gone: bool) -> None:
    extra = RECEIPT_EXTRA_MS if gone else 0
    database.execute("UPDATE records SET value = ?, gone_at = gone_at + ? WHERE locator = ?", (value, extra, locator))


def _touch(database: sqlite3.Connection) -> None:
    database.execute("UPDATE records SET gone_at = gone_at WHERE locator = x''")


def _sweep(now: int, database: sqlite3.Connection) -> list[tuple[int, bytes]]:
    """Of each record removed its `gone_at` and the beginning of its value: the head and one byte of the box."""
    step = "SELECT rowid FROM records WHERE gone_at <= ? ORDER BY gone_at LIMIT ?"
    query = f"DELETE FROM records WHERE rowid IN ({step}) RETURNING gone_at, substr(value, 1, {HEAD + 1})"  # noqa: S608 constant
    return database.execute(query, (now, SWEEP_STEP)).fetchall()
