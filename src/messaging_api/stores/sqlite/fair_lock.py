"""A fair lock between processes: they queue for it in the kernel.

SQLite polls for its own lock, with ever longer pauses: under load some processes would wait for seconds while others
take it again and again. Here they sleep until their turn comes. A process that releases the lock queues behind those
that wait, provided that it held the lock for longer than a wake-up takes, as it does for a commit.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator

_flock = struct.Struct("hhqqi")
"""`struct flock` of Linux on 64 bits (fcntl(2)): type, whence, start, length, pid."""
_QUEUE, _LOCK = 0, 1
"""Offsets of one byte each. A process that waits for the lock holds the queue, so that no other can overtake it."""


class FairLock:
    """A lock on `path`, an empty file that all processes share. The kernel releases the lock of a process that dies."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for the lock without a timeout, and hold it during the block."""
        self._set_lock(_QUEUE, fcntl.F_WRLCK)
        self._set_lock(_LOCK, fcntl.F_WRLCK)
        self._set_lock(_QUEUE, fcntl.F_UNLCK)
        try:
            yield
        finally:
            self._set_lock(_LOCK, fcntl.F_UNLCK)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _set_lock(self, byte: int, kind: int) -> None:
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLKW, _flock.pack(kind, os.SEEK_SET, byte, 1, 0))
