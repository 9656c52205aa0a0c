"""The only writer of a process: a thread that commits in groups.

Operations that arrive while a commit is on its way to the disk form the next group: under load many operations share
one fsync, and a lone one is committed at once. The writers of several processes queue for a lock (`fair_lock.py`).
"""

import contextlib
import queue
import sqlite3
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from messaging_api.stores.batching import PendingOperation, drop_abandoned
from messaging_api.stores.sqlite.database import store_error
from messaging_api.stores.sqlite.fair_lock import FairLock

Write = Callable[[sqlite3.Connection], Any]
WriteGroup = list[PendingOperation[Write, Any]]

CHECKPOINT_AFTER = 1.0
"""Seconds without work after which the write-ahead log is emptied, so that no removed text stays in it."""


class Writer(threading.Thread):
    """A thread that runs operations on a connection of its own and resolves them on `loop`.

    `lock` is the path of the file that the writers of all processes lock.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], lock: str, loop: AbstractEventLoop) -> None:
        super().__init__(name="sqlite-writer", daemon=True)
        self._database = connect()
        self._lock = FairLock(lock)
        self._loop = loop
        self._groups: queue.SimpleQueue[WriteGroup | None] = queue.SimpleQueue()
        self._log_in_use = True
        self.start()

    def submit(self, group: WriteGroup) -> None:
        """Run the operations in one transaction, together with others that are waiting."""
        self._groups.put(group)

    def stop(self) -> None:
        """Finish the submitted operations, then end the thread. Blocks."""
        self._groups.put(None)
        self.join()

    def run(self) -> None:
        while True:
            try:
                group = self._groups.get(timeout=CHECKPOINT_AFTER if self._log_in_use else None)
            except queue.Empty:
                self._checkpoint()
                continue
            if group is None:
                break
            with self._lock.hold():
                self._run(self._gather(group))
        self._checkpoint()
        self._database.close()
        self._lock.close()

    def _gather(self, group: WriteGroup) -> WriteGroup:
        """Return `group` with the groups behind it, without abandoned operations; put the end marker back."""
        gathered = [*group]
        with contextlib.suppress(queue.Empty):
            while (more := self._groups.get_nowait()) is not None:
                gathered += more
            self._groups.put(None)
        return drop_abandoned(gathered)

    def _run(self, group: WriteGroup) -> None:
        results = self._commit(group)
        self._log_in_use = True
        self._loop.call_soon_threadsafe(_resolve, group, results)

    def _commit(self, group: WriteGroup) -> list[Any]:
        """Return the result or error of each operation; if one breaks the transaction, run each by itself."""
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            results = [pending.operation(database) for pending in group]
            database.execute("COMMIT")
        except sqlite3.Error as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            if len(group) == 1 or error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                return [store_error(error)] * len(group)
            return [result for pending in group for result in self._commit([pending])]
        return results

    def _checkpoint(self) -> None:
        try:
            with self._lock.hold():
                busy, *_ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return  # a full or failing disk: the next operation reports it, and the next idle moment tries again
        self._log_in_use = bool(busy)


def _resolve(group: WriteGroup, results: list[Any]) -> None:
    for pending, result in zip(group, results, strict=True):
        pending.resolve(result)
