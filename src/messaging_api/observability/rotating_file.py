"""A file that many processes append to, put aside at midnight UTC under the name of its day."""

import datetime as dt
import fcntl
import os
import re
import shutil
from pathlib import Path

NAME = "messaging_api.log"
_DAY = 86_400


class DailyFile:
    """`messaging_api.log` in `folder`; what is older than `keep_days` is deleted when a day ends.

    Each process notices the end of a day at its first write after it. The first one renames the file, under a lock;
    the others find it renamed and open the new one. Raises OSError, from writing too.
    """

    def __init__(self, folder: str, keep_days: int) -> None:
        self._folder = Path(folder)
        self._path = self._folder / NAME
        self._keep_days = keep_days
        self._descriptor: int | None = None
        self._ends = 0.0

    def write(self, lines: bytes, now: float) -> None:
        """Append whole lines; `now` is in seconds since the epoch."""
        if self._descriptor is None or now >= self._ends:
            self._turn(now)
        assert self._descriptor is not None  # noqa: S101 _turn opened it
        while lines:
            lines = lines[os.write(self._descriptor, lines) :]

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _turn(self, now: float) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (ended := self._day_ended(now)) is not None:
                self._put_aside(self._folder / f"{NAME}.{_day(ended)}")
            self.close()
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        finally:
            os.close(lock)
        self._ends = (now // _DAY + 1) * _DAY
        self._forget(now)

    def _day_ended(self, now: float) -> float | None:
        """A moment of the day whose lines the file holds, if that day is over and nobody put it aside yet."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return None
        if self._descriptor is None:
            return there.st_mtime if there.st_mtime // _DAY < now // _DAY else None
        return self._ends - 1 if os.path.samestat(os.fstat(self._descriptor), there) else None

    def _put_aside(self, kept: Path) -> None:
        if not kept.exists():
            self._path.rename(kept)
            return
        with self._path.open("rb") as more, kept.open("ab") as file:  # the clock was set back: lose nothing
            shutil.copyfileobj(more, file)
        self._path.unlink()

    def _forget(self, now: float) -> None:
        oldest = _day(now - self._keep_days * _DAY)
        for path in self._folder.glob(f"{NAME}.*"):
            day = path.name.removeprefix(f"{NAME}.")
            if re.fullmatch("[0-9]{6}", day, re.ASCII) and day < oldest:
                path.unlink(missing_ok=True)


def _day(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%y%m%d")
