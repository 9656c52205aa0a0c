"""A queue of processes for one resource, in the kernel.

SQLite's own lock is polled for, with ever longer pauses: under load some processes would wait for seconds while others
go in again and again. Here they sleep until it is their turn, and whoever comes out queues behind those who wait (if
the turn took longer than waking up takes, as a commit does).
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator

_flock = struct.Struct("hhqqi")
"""`struct flock` of Linux on 64 bits (fcntl(2)): type, whence, start, length, pid."""
_DOOR, _ROOM = 0, 1
"""One byte each. Whoever waits for the room holds the door, so that nobody overtakes at the room."""


class FairLock:
    """`path` names an empty file that all processes share. A process that dies leaves by itself."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for it, however long; then nobody else has it until the block ends."""
        self._lock(_DOOR, fcntl.F_WRLCK)
        self._lock(_ROOM, fcntl.F_WRLCK)
        self._lock(_DOOR, fcntl.F_UNLCK)
        try:
            yield
        finally:
            self._lock(_ROOM, fcntl.F_UNLCK)

    def close(self) -> None:
        """Leave for good."""
        os.close(self._file)

    def _lock(self, byte: int, kind: int) -> None:
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLKW, _flock.pack(kind, os.SEEK_SET, byte, 1, 0))
