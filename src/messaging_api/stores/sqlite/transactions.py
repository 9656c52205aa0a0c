"""Transactions of the writer: which operations are committed together, and what each of them ends with.

An operation whose caller has gone is not committed: the callers are looked at once the lock of the file is held, and
again before COMMIT. From COMMIT on the outcome of an operation that times out is unknown (`docs/adr/0020-outcomes.md`).
"""

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from messaging_api.errors import NotExecuted, OutcomeUnknown, StoreError
from messaging_api.stores.batching import PendingOperation, drop_abandoned
from messaging_api.stores.sqlite.capacity import Capacity
from messaging_api.stores.sqlite.database import FileReplaced, SqliteFile, connect, store_error

Write = Callable[[sqlite3.Connection], Any]
WriteGroup = list[PendingOperation[Write, Any]]

_CHECKPOINT_LOCK_TIMEOUT = 0.05
"""Seconds that a checkpoint waits for those who read the log; writers wait meanwhile."""


class Transactions:
    """Runs groups of operations on a connection of its own, in one thread; `time_out` belongs to the event loop.

    They close `capacity`. `lock_timeout` is in seconds. `call_on_loop` runs a function in the thread of the event loop,
    in the order of calls. Raises OSError, sqlite3.Error if the file cannot be opened.
    """

    def __init__(
        self, file: SqliteFile, capacity: Capacity, lock_timeout: float, call_on_loop: Callable[..., object]
    ) -> None:
        self._file = file
        self._capacity = capacity
        self._lock_timeout = lock_timeout
        self._call_on_loop = call_on_loop
        self._database = connect(file, lock_timeout)
        self._decision = threading.Lock()
        self._committing: deque[WriteGroup] = deque()

    def time_out(self, group: WriteGroup) -> None:
        """Fail the unresolved operations of `group`. Those whose COMMIT has not begun will not take place."""
        with self._decision:
            unknown = {pending for committing in self._committing for pending in committing}
            for pending in group:
                outcome = OutcomeUnknown if pending in unknown else NotExecuted
                pending.resolve(outcome("The database did not answer in time."))

    def run(self, gather: Callable[[], WriteGroup]) -> None:
        """Run the operations that `gather` returns, which is called once the lock is held, in one transaction.

        If one of them fails, each runs alone.
        """
        group: WriteGroup = []
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._capacity.begin()
            group = drop_abandoned(gather())
            results = [pending.operation(self._database) for pending in group]
            self._capacity.check(self._database)
            self._database.check_path()
        except Exception as error:  # noqa: BLE001 a record may be damaged in any way
            self._roll_back()
            self._handle(error, group or gather())
        else:
            self._commit(group, results)

    def checkpoint(self) -> bool:
        """Empty the write-ahead log, and return whether that was possible."""
        emptied = False
        with contextlib.suppress(sqlite3.Error):  # the next operation reports it
            self._wait_for_locks(_CHECKPOINT_LOCK_TIMEOUT)
            busy, *_ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            emptied = not busy
        self._wait_for_locks(self._lock_timeout)
        return emptied

    def close(self) -> None:
        """Close the files."""
        self._database.close()
        self._capacity.close()

    def _commit(self, group: WriteGroup, results: list[Any]) -> None:
        """Commit, unless a caller has gone: then roll back, and repeat the others."""
        with self._decision:
            wanted = drop_abandoned(group)
            if complete := len(wanted) == len(group):
                self._committing.append(group)
        if not complete:
            self._roll_back()
            self._run_again(wanted)
            return
        try:
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if _is(error, "FULL"):  # certainly not committed
                with self._decision:
                    self._committing.pop()
                self._handle(error, group)
                return
            results = [OutcomeUnknown(f"The database answered {error.sqlite_errorname} to COMMIT.")] * len(group)
        self._call_on_loop(self._resolve_committed, group, results)

    def _resolve_committed(self, group: WriteGroup, results: list[Any]) -> None:
        self._committing.popleft()
        _resolve(group, results)

    def _handle(self, error: Exception, group: WriteGroup) -> None:
        """Make good the fault if possible, else run each operation alone, to find the one that fails.

        A lone one gets the error.
        """
        replaced, full, locked = isinstance(error, FileReplaced), _is(error, "FULL"), _is(error, "BUSY")
        if replaced and self._reconnect():
            self._run_again(group)
        elif len(group) > 1 and not replaced and not locked:
            for pending in group:
                self._run_again([pending])
        elif full and self._capacity.give_up():
            self.checkpoint()
            self._run_again(group)
        else:
            self._call_on_loop(_resolve, group, [_outcome(error)] * len(group))

    def _run_again(self, group: WriteGroup) -> None:
        if group:
            self.run(lambda: group)

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            try:
                self._database.execute("ROLLBACK")
            except sqlite3.Error:
                self._reconnect()

    def _reconnect(self) -> bool:
        """Use the file that is at the path now, and return whether that was possible."""
        try:
            database = connect(self._file, self._lock_timeout)
        except (OSError, sqlite3.Error):
            return False
        self._database.close()
        self._database = database
        return True

    def _wait_for_locks(self, seconds: float) -> None:
        self._database.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def _is(error: Exception, name: str) -> bool:
    return getattr(error, "sqlite_errorname", "") == f"SQLITE_{name}"


def _outcome(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        return store_error(error)
    return NotExecuted(f"The operation failed with {type(error).__name__}.")


def _resolve(group: WriteGroup, results: list[Any]) -> None:
    for pending, result in zip(group, results, strict=True):
        pending.resolve(result)
