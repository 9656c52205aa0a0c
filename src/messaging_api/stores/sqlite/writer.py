"""The only writer of a process: a thread that commits in groups.

Operations that arrive while a commit is on its way to the disk form the next group: under load many operations share
one fsync, and a lone one is committed at once. The writers of several processes queue for a lock (`fair_lock.py`).
"""

import contextlib
import queue
import threading
import time
from asyncio import AbstractEventLoop

from messaging_api.core.background import OnFailure
from messaging_api.stores.sqlite.capacity import Capacity
from messaging_api.stores.sqlite.database import SqliteFile
from messaging_api.stores.sqlite.fair_lock import FairLock
from messaging_api.stores.sqlite.transactions import Transactions, WriteGroup

CHECKPOINT_AFTER = 1.0
"""Seconds from a write until the write-ahead log is emptied, so that no removed text stays in it."""
_LOCK_SHARE = 0.8
"""The share of the timeout that a write waits for the lock of another process."""
_STOP_TIMEOUTS = 2
"""Timeouts after which a writer that is stuck is left behind: its operations have failed by then."""


class Writer(threading.Thread):
    """A thread that runs operations and resolves them on `loop`.

    The operations of a group must be passed to `time_out` after `timeout` seconds. `on_failure` is called on `loop` if
    the thread ends by itself. Raises OSError, sqlite3.Error if the file cannot be opened.
    """

    def __init__(
        self, file: SqliteFile, capacity: Capacity, timeout: float, loop: AbstractEventLoop, on_failure: OnFailure
    ) -> None:
        super().__init__(name="sqlite-writer", daemon=True)
        self._timeout = timeout
        self._loop = loop
        self._on_failure = on_failure
        self._transactions = Transactions(file, capacity, timeout * _LOCK_SHARE, loop.call_soon_threadsafe)
        self._lock = FairLock(f"{file.path}-queue")
        self._groups: queue.SimpleQueue[WriteGroup | None] = queue.SimpleQueue()
        self._checkpoint_at: float | None = time.monotonic()
        self.time_out = self._transactions.time_out
        self.start()

    def submit(self, group: WriteGroup) -> None:
        """Run the operations in one transaction, together with others that are waiting."""
        self._groups.put(group)

    def stop(self) -> None:
        """Finish the submitted operations, then end the thread. Blocks, but not for ever."""
        self._groups.put(None)
        self.join(_STOP_TIMEOUTS * self._timeout)

    def run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 whoever owns the process gets it
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._on_failure, self.name, error)

    def _serve(self) -> None:
        while True:
            group: WriteGroup | None = []
            with contextlib.suppress(queue.Empty):
                group = self._groups.get(timeout=self._until_checkpoint())
            if group is None:
                break
            with self._lock.hold():
                if group:
                    self._write(group)
                if self._until_checkpoint() == 0:
                    self._checkpoint()
        with self._lock.hold():
            self._checkpoint()
        self._transactions.close()
        self._lock.close()

    def _write(self, group: WriteGroup) -> None:
        gathered = [*group]
        self._transactions.run(lambda: self._gather(gathered))
        if self._checkpoint_at is None:
            self._checkpoint_at = time.monotonic() + CHECKPOINT_AFTER

    def _gather(self, gathered: WriteGroup) -> WriteGroup:
        """Add the groups that are waiting, and return all; put the end marker back."""
        with contextlib.suppress(queue.Empty):
            while (more := self._groups.get_nowait()) is not None:
                gathered += more
            self._groups.put(None)
        return gathered

    def _until_checkpoint(self) -> float | None:
        return None if self._checkpoint_at is None else max(0.0, self._checkpoint_at - time.monotonic())

    def _checkpoint(self) -> None:
        emptied = self._transactions.checkpoint()
        self._checkpoint_at = None if emptied else time.monotonic() + CHECKPOINT_AFTER
