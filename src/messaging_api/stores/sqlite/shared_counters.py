"""Counters in memory that the processes of this machine share, for a store that is a file.

A count on disk would cost an fsync a read. So they lie in a table of fixed size that is made before the processes are
forked, and are gone when all of them are:

    slot = client 9 bytes, 7 unused, then for each kind: count, end of its window (8 bytes each, ms of the clock)

A client's slot is one of `PROBES` that follow the hash of its key. One whose windows are all over is free; when all are
taken, the one that ends first gives way, and its client begins anew: the table never grows. A lock of the file, which
the kernel lets go when its holder dies, makes each count atomic; a count is written before its window's end, so that
what a dying process leaves half written is a window that is over.
"""

import fcntl
import mmap
import os
import struct
import time
import weakref
from collections.abc import Callable

from messaging_api.core.ratelimit import KINDS, WINDOW_MS, CountRequest, Kind, WindowCounts
from messaging_api.errors import StoreUnavailable

SLOTS = 65_536
PROBES = 16
PATIENCE = 0.02
"""Seconds to wait for the lock: its holder needs microseconds, unless it stands still."""

_slot = struct.Struct("<9s7x" + "QQ" * len(KINDS))
_pair = struct.Struct("<QQ")
_KEY = 16
_AT: dict[Kind, int] = {kind: _KEY + n * _pair.size for n, kind in enumerate(KINDS)}
_EMPTY = bytes(9)


def monotonic_ms() -> int:
    """Milliseconds that no setting of the clock changes; the same in all processes of this machine."""
    return time.monotonic_ns() // 1_000_000


class SharedCounters:
    """Make it before forking: only the processes forked from this one share it, and they hash alike."""

    def __init__(self, slots: int = SLOTS, clock: Callable[[], int] = monotonic_ms) -> None:
        self._slots = slots
        self._clock = clock
        self._file = os.memfd_create("messaging_api-limits")
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, slots * _slot.size)
        self._table = mmap.mmap(self._file, slots * _slot.size)

    def count(self, asks: list[tuple[CountRequest, int]]) -> list[WindowCounts]:
        """Count so many of each. Raises StoreUnavailable when another process holds the lock and stands still."""
        self._lock()
        try:
            now = self._clock()
            return [self._count(ask, more, now) for ask, more in asks]
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _lock(self) -> None:
        deadline = None
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                deadline = deadline or time.monotonic() + PATIENCE
                if time.monotonic() > deadline:
                    raise StoreUnavailable("Another process holds the counters.") from None
                os.sched_yield()
            else:
                return

    def _count(self, ask: CountRequest, more: int, now: int) -> WindowCounts:
        client, add, look = ask
        offset = self._find(client, now)
        looked, looked_left = self._look(offset + _AT[look], now) if look else (0, 0)
        if add is None:
            return WindowCounts(0, 0, looked, looked_left)
        at = offset + _AT[add]
        count, left = self._look(at, now)
        left = left or WINDOW_MS
        _pair.pack_into(self._table, at, count + more, now + left)
        return WindowCounts(count + more, left, looked, looked_left)

    def _look(self, at: int, now: int) -> tuple[int, int]:
        """A counter and the rest of its window; nothing when that is over."""
        count, end = _pair.unpack_from(self._table, at)
        return (count, end - now) if end > now else (0, 0)

    def _find(self, client: bytes, now: int) -> int:
        """The offset of the client's slot, which it gets now if it has none."""
        key = client.ljust(9, b"\0")
        first = hash(key)
        free: tuple[int, int] | None = None  # when its last window ends, where it is
        for probe in range(PROBES):
            offset = (first + probe) % self._slots * _slot.size
            owner, *pairs = _slot.unpack_from(self._table, offset)
            if owner == key:
                return offset
            end = max(now, *pairs[1::2])
            if free is None or end < free[0]:
                free = (end, offset)
            if owner == _EMPTY:  # never used, so nobody was ever put behind it
                break
        assert free is not None  # noqa: S101 there is at least one probe
        _slot.pack_into(self._table, free[1], key, *(0, 0) * len(KINDS))
        return free[1]
