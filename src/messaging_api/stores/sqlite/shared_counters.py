"""Counters in memory that the processes of this machine share, for a store that is a file.

Counters on disk would cost one fsync for each read. So they are in a table of fixed size that is made before the
processes are forked, and they are lost when all processes have ended:

    slot = client 9 bytes, 7 unused, then for each kind: count, end of its window (8 bytes each, ms of the clock)

The slot of a client is one of the `PROBES` that follow the hash of its key. A slot without an open window is free. If
all are taken, the one whose windows end first is reused, and its client starts again: the table never grows. A file
lock, which the kernel releases when its holder dies, makes each count atomic. A count is written before the end of its
window, so that a window left half written by a dying process is one that has ended.
"""

import fcntl
import mmap
import os
import struct
import time
import weakref
from collections.abc import Callable

from messaging_api.core.ratelimit import KINDS, WINDOW_MS, CountRequest, Kind, WindowCounts
from messaging_api.errors import NotExecuted

SLOTS = 65_536
PROBES = 16
LOCK_TIMEOUT = 0.1
"""Seconds to wait for the lock: its holder needs microseconds, or on a busy machine some turns of the scheduler."""

_slot = struct.Struct("<9s7x" + "QQ" * len(KINDS))
_pair = struct.Struct("<QQ")
_KEY = 16
_OFFSETS: dict[Kind, int] = {kind: _KEY + n * _pair.size for n, kind in enumerate(KINDS)}
_EMPTY = bytes(9)


def monotonic_ms() -> int:
    """Return monotonic ms, which are the same in all processes of this machine."""
    return time.monotonic_ns() // 1_000_000


class SharedCounters:
    """A table of counters, shared with the processes forked from this one afterwards, which hash alike.

    `clock` returns monotonic ms.
    """

    def __init__(self, slots: int = SLOTS, clock: Callable[[], int] = monotonic_ms) -> None:
        self._slots = slots
        self._clock = clock
        self._file = os.memfd_create("messaging_api-limits")
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, slots * _slot.size)
        self._table = mmap.mmap(self._file, slots * _slot.size)

    def count(self, requests: list[tuple[CountRequest, int]]) -> list[WindowCounts]:
        """Count each request so many times. Raises NotExecuted when another process keeps the lock."""
        self._lock()
        try:
            now = self._clock()
            return [self._count(request, times, now) for request, times in requests]
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _lock(self) -> None:
        deadline = None
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                deadline = deadline or time.monotonic() + LOCK_TIMEOUT
                if time.monotonic() > deadline:
                    raise NotExecuted("Another process holds the counters.") from None
                os.sched_yield()
            else:
                return

    def _count(self, request: CountRequest, times: int, now: int) -> WindowCounts:
        client, add, look = request
        offset = self._find(client, now)
        looked, looked_left = self._look(offset + _OFFSETS[look], now) if look else (0, 0)
        if add is None:
            return WindowCounts(0, 0, looked, looked_left)
        counter = offset + _OFFSETS[add]
        count, left = self._look(counter, now)
        left = left or WINDOW_MS
        _pair.pack_into(self._table, counter, count + times, now + left)
        return WindowCounts(count + times, left, looked, looked_left)

    def _look(self, counter: int, now: int) -> tuple[int, int]:
        """Return the count at an offset and the ms left of its window; zeros if the window has ended."""
        count, end = _pair.unpack_from(self._table, counter)
        return (count, end - now) if end > now else (0, 0)

    def _find(self, client: bytes, now: int) -> int:
        """Return the offset of the client's slot; assign one if it has none."""
        key = client.ljust(9, b"\0")
        first = hash(key)
        free: tuple[int, int] | None = None  # end of its last window, offset
        for probe in range(PROBES):
            offset = (first + probe) % self._slots * _slot.size
            owner, *pairs = _slot.unpack_from(self._table, offset)
            if owner == key:
                return offset
            end = max(now, *pairs[1::2])
            if free is None or end < free[0]:
                free = (end, offset)
            if owner == _EMPTY:  # never used, so no slot behind it was ever assigned
                break
        assert free is not None  # noqa: S101 there is at least one probe
        _slot.pack_into(self._table, free[1], key, *(0, 0) * len(KINDS))
        return free[1]
