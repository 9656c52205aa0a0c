"""A log file that several processes append to, and that is renamed to its day at midnight UTC."""

import datetime as dt
import fcntl
import os
import re
import shutil
from pathlib import Path

NAME = "messaging_api.log"
_DAY = 86_400
_CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the file was moved."""


class DailyFile:
    """The file `messaging_api.log` in `folder`; files older than `keep_days` are deleted when a day ends.

    Each process notices the end of a day at its first write after it. The first process renames the file, under a lock;
    the others find it renamed and open the new one. A file that somebody else moved or deleted is noticed within a
    second, and a new one is opened. All methods raise OSError.
    """

    def __init__(self, folder: str, keep_days: int) -> None:
        self._folder = Path(folder)
        self._path = self._folder / NAME
        self._keep_days = keep_days
        self._descriptor: int | None = None
        self._day_end = 0.0
        self._checked_at = 0.0

    def write(self, lines: bytes, now: float) -> None:
        """Append whole lines; `now` is in seconds since the epoch."""
        if not 0 <= now - self._checked_at < _CHECK_INTERVAL or self._descriptor is None:
            self._check(now)
        assert self._descriptor is not None  # noqa: S101 _check opened it
        while lines:
            lines = lines[os.write(self._descriptor, lines) :]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _check(self, now: float) -> None:
        """Open the file of this day, unless it is open."""
        if self._descriptor is None or now >= self._day_end or not self._is_current(self._descriptor):
            self._rotate(now)
        self._checked_at = min(now, self._day_end - _CHECK_INTERVAL)

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self, now: float) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (ended := self._day_ended(now)) is not None:
                self._archive(self._folder / f"{NAME}.{_day(ended)}")
            self.close()
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        finally:
            os.close(lock)
        self._day_end = (now // _DAY + 1) * _DAY
        self._delete_old(now)

    def _day_ended(self, now: float) -> float | None:
        """Return a time on the day of the file's lines if that day is over and the file was not renamed yet."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        if self._descriptor is None:
            return found.st_mtime if found.st_mtime // _DAY < now // _DAY else None
        ended = now >= self._day_end and os.path.samestat(os.fstat(self._descriptor), found)
        return self._day_end - 1 if ended else None

    def _archive(self, archive: Path) -> None:
        if not archive.exists():
            self._path.rename(archive)
            return
        with self._path.open("rb") as lines, archive.open("ab") as file:  # the clock was set back: keep all lines
            shutil.copyfileobj(lines, file)
        self._path.unlink()

    def _delete_old(self, now: float) -> None:
        oldest = _day(now - self._keep_days * _DAY)
        for path in self._folder.glob(f"{NAME}.*"):
            day = path.name.removeprefix(f"{NAME}.")
            if re.fullmatch("[0-9]{6}", day, re.ASCII) and day < oldest:
                path.unlink(missing_ok=True)


def _day(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%y%m%d")
