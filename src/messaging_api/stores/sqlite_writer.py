"""The one writer of a process: a thread that commits in groups.

What gathers while one commit is on its way to the disk goes into the next, so under load many operations share one
fsync, and a lone one goes at once.
"""

import queue
import sqlite3
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from messaging_api.errors import StoreError, StoreFull, StoreUnavailable
from messaging_api.stores.batching import Ticket, still_wanted

Operation = Callable[[sqlite3.Connection], Any]
Group = list[Ticket[Operation, Any]]

IDLE = 1.0
"""Seconds without work after which the write-ahead log is emptied, so that no removed text stays in it."""


class Writer(threading.Thread):
    """Runs operations on a connection of its own and settles them on `loop`."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], loop: AbstractEventLoop) -> None:
        super().__init__(name="sqlite-writer", daemon=True)
        self._database = connect()
        self._loop = loop
        self._groups: queue.SimpleQueue[Group | None] = queue.SimpleQueue()
        self._unclean = True
        self.start()

    def submit(self, group: Group) -> None:
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
            closing = self._gather(group)
            if closing is None:
                break
            self._run(closing)
        self._clean()
        self._database.close()

    def _gather(self, group: Group | None) -> Group | None:
        """All that waits, as one group; None at the end, which is put back if anything came before it."""
        gathered: Group = []
        while group is not None:
            gathered += group
            try:
                group = self._groups.get_nowait()
            except queue.Empty:
                return gathered
        if gathered:
            self._groups.put(None)
        return gathered or None

    def _run(self, group: Group) -> None:
        group = still_wanted(group)
        outcomes = self._commit(group)
        self._unclean = True
        self._loop.call_soon_threadsafe(_settle, group, outcomes)

    def _commit(self, group: Group) -> list[Any]:
        """What came of each. When one spoils the transaction, each is tried by itself, so that only it fails."""
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            outcomes = [ticket.operation(database) for ticket in group]
            database.execute("COMMIT")
        except sqlite3.Error as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            if len(group) == 1 or error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                return [failure(error)] * len(group)
            return [outcome for ticket in group for outcome in self._commit([ticket])]
        return outcomes

    def _clean(self) -> None:
        try:
            busy, *_ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return  # a full or failing disk: the next operation says so, and the next idle moment tries again
        self._unclean = bool(busy)


def _settle(group: Group, outcomes: list[Any]) -> None:
    for ticket, outcome in zip(group, outcomes, strict=True):
        ticket.settle(outcome)


def failure(error: sqlite3.Error) -> StoreError:
    """What an error of SQLite means; keeps its name only."""
    name = getattr(error, "sqlite_errorname", "SQLITE_MISUSE")
    if name == "SQLITE_FULL":
        return StoreFull("The database has no room.")
    return StoreUnavailable(f"The database answered {name}.")
