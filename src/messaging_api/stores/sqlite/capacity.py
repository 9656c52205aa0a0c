"""The space of a database, with a reserve for everything but creates: a full store can still be read and emptied.

- Of `max_bytes` creates may use all but a tenth, at least 1 MiB, but not more than a quarter. Resume records may exceed
  it.
- Of the disk, a file beside the database takes the reserve. It is given up when the disk is full, and made again when
  there is room; creates are rejected in between. It is larger than the write-ahead log usually gets, so that the log
  can be emptied, which makes room in turn.
"""

import contextlib
import os
import sqlite3

from messaging_api.errors import StoreFull
from messaging_api.stores.sqlite.database import SqliteFile

_DISK_RESERVE = 8 * 2**20
"""Bytes of the disk that are kept free; on a small disk a quarter of it."""
_MIN_RESERVE = 2**20


class Capacity:
    """The capacity of the database `file`. Raises OSError if the file of the reserve cannot be opened."""

    def __init__(self, file: SqliteFile) -> None:
        self._growing = False
        most = file.max_bytes
        self._create_bytes = most - min(max(most // 10, _MIN_RESERVE), most // 4)
        self._reserve = os.open(f"{file.path}-reserve", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        disk = os.fstatvfs(self._reserve)
        self._reserve_bytes = min(_DISK_RESERVE, disk.f_blocks * disk.f_frsize // 4)
        self.restore()

    def begin(self) -> None:
        """Begin a transaction."""
        self._growing = False

    def grow(self) -> None:
        """Note that this transaction stores new entries, which must not use the reserve."""
        self._growing = True

    def check(self, database: sqlite3.Connection) -> None:
        """Raise StoreFull if this transaction stores new entries and is using the reserve."""
        if not self._growing:
            return
        self.check_disk()
        if self._create_bytes and self.free_bytes(database) < 0:
            raise StoreFull("The database is full.")

    def check_disk(self) -> None:
        """Raise StoreFull if the reserve of the disk is in use."""
        if not self.intact():
            raise StoreFull("The disk is full.")

    def free_bytes(self, database: sqlite3.Connection) -> int:
        """Return how many bytes of `max_bytes` creates may still use."""
        size, pages, free = (_pragma(database, name) for name in ("page_size", "page_count", "freelist_count"))
        return self._create_bytes - (pages - free) * size

    def intact(self) -> bool:
        """Tell whether the reserve of the disk is there."""
        return os.fstat(self._reserve).st_size >= self._reserve_bytes

    def give_up(self) -> bool:
        """Give the reserve of the disk up if there is one and the disk is full; return whether that made room."""
        if self.free_disk() >= self._reserve_bytes or not self.intact():
            return False
        os.ftruncate(self._reserve, 0)
        return True

    def restore(self) -> bool:
        """Make the reserve of the disk if there is room for it, and return whether it is there."""
        if not self.intact():
            try:
                os.posix_fallocate(self._reserve, 0, self._reserve_bytes)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._reserve, 0)
        return self.intact()

    def free_disk(self) -> int:
        """Return how many bytes of the disk are free for creates."""
        disk = os.fstatvfs(self._reserve)
        return disk.f_bavail * disk.f_frsize if self.intact() else 0

    def close(self) -> None:
        """Close the file of the reserve, which stays on the disk."""
        os.close(self._reserve)


def _pragma(database: sqlite3.Connection, name: str) -> int:
    (number,) = database.execute(f"PRAGMA {name}").fetchone()
    return int(number)
