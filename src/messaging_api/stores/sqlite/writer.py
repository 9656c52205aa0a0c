"""The one writer of a process: a thread that commits in groups.

What gathers while one commit is on its way to the disk goes into the next, so under load many operations share one
fsync, and a lone one goes at once. The writers of several processes queue (`process_queue.py`).
"""

import contextlib
import queue
import sqlite3
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from messaging_api.errors import StoreError, StoreFull, StoreUnavailable
from messaging_api.stores.batching import PendingOperation, drop_abandoned
from messaging_api.stores.sqlite.fair_lock import FairLock

WriteOperation = Callable[[sqlite3.Connection], Any]
WriteGroup = list[PendingOperation[WriteOperation, Any]]

IDLE = 1.0
"""Seconds without work after which the write-ahead log is emptied, so that no removed text stays in it."""


class Writer(threading.Thread):
    """Runs operations on a connection of its own and settles them on `loop`."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], lock: str, loop: AbstractEventLoop) -> None:
        super().__init__(name="sqlite-writer", daemon=True)
        self._database = connect()
        self._queue = FairLock(lock)
        self._loop = loop
        self._groups: queue.SimpleQueue[WriteGroup | None] = queue.SimpleQueue()
        self._unclean = True
        self.start()

    def submit(self, group: WriteGroup) -> None:
        """Run the operations in one transaction, together with what else waits."""
        self._groups.put(group)

    def stop(self) -> None:
        """Finish what was submitted, then end. Blocks."""
        self._groups.put(None)
        self.join()

    def run(self) -> None:
        while True:
            try:
                group = self._groups.get(timeout=IDLE if self._unclean else None)
            except queue.Empty:
                self._clean()
                continue
            if group is None:
                break
            with self._queue.hold():
                self._run(self._gather(group))
        self._clean()
        self._database.close()
        self._queue.close()

    def _gather(self, group: WriteGroup) -> WriteGroup:
        """`group` and all that waits behind it, without those who have given up. The end is put back."""
        gathered = [*group]
        with contextlib.suppress(queue.Empty):
            while (more := self._groups.get_nowait()) is not None:
                gathered += more
            self._groups.put(None)
        return drop_abandoned(gathered)

    def _run(self, group: WriteGroup) -> None:
        outcomes = self._commit(group)
        self._unclean = True
        self._loop.call_soon_threadsafe(_settle, group, outcomes)

    def _commit(self, group: WriteGroup) -> list[Any]:
        """What came of each. When one spoils the transaction, each is tried by itself, so that only it fails."""
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            outcomes = [pending.operation(database) for pending in group]
            database.execute("COMMIT")
        except sqlite3.Error as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            if len(group) == 1 or error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                return [failure(error)] * len(group)
            return [outcome for pending in group for outcome in self._commit([pending])]
        return outcomes

    def _clean(self) -> None:
        try:
            with self._queue.hold():
                busy, *_ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return  # a full or failing disk: the next operation says so, and the next idle moment tries again
        self._unclean = bool(busy)


def _settle(group: WriteGroup, outcomes: list[Any]) -> None:
    for pending, outcome in zip(group, outcomes, strict=True):
        pending.resolve(outcome)


def failure(error: sqlite3.Error) -> StoreError:
    """What an error of SQLite means; keeps its name only."""
    name = getattr(error, "sqlite_errorname", "SQLITE_MISUSE")
    if name == "SQLITE_FULL":
        return StoreFull("The database has no room.")
    return StoreUnavailable(f"The database answered {name}.")
