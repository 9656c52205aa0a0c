"""The database file: opening it, connecting to it, and the meaning of its errors."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

from messaging_api.errors import NotExecuted, StoreError, StoreFull
from messaging_api.stores.sqlite.statements import SCHEMA

_RESUME_FACTOR = 2
"""The file may have this many times `max_bytes`, if all messages of a full store are read within a minute: a read takes
a message out and may leave a resume record of the same size."""


class SqliteFile(NamedTuple):
    """The path of a database.

    `max_bytes` limits its size, 0 = limited by the disk only; see `Capacity`. `create` says whether a missing file is
    created.
    """

    path: str
    max_bytes: int = 0
    create: bool = True


class FileReplaced(NotExecuted):
    """The database file was deleted, or another file is at its path."""


class Database(sqlite3.Connection):
    """A connection to a database file, which knows whether the file is still at its path."""

    path: str
    identity: tuple[int, int]

    @classmethod
    def open(cls, path: str, lock_timeout: float) -> Self:
        """Open an existing file; wait up to `lock_timeout` seconds for the lock of another process.

        Raises OSError, sqlite3.Error.
        """
        identity = _identity(path)  # before it is opened: if it is replaced in between, the difference shows
        name = quote(path.lstrip("/"))  # a path may begin with two slashes
        database = sqlite3.connect(
            f"file:///{name}?mode=rw",
            uri=True,
            timeout=lock_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=cls,
        )
        database.path, database.identity = path, identity
        return database

    def check_path(self) -> None:
        """Raise FileReplaced if `replaced`."""
        if self.replaced():
            raise FileReplaced("The database file was deleted or replaced.")

    def replaced(self) -> bool:
        """Tell whether the file was deleted, or another file is at its path."""
        try:
            return _identity(self.path) != self.identity
        except OSError:
            return True


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 Path.stat takes twice as long
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def set_up(file: SqliteFile) -> Iterator[None]:
    """Create the file if it is missing, readable by its owner only, and exclude other processes during the block.

    Raises NotExecuted.
    """
    folder = Path(file.path).parent
    with opening(file.path):
        if file.create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if file.create:
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(file.path, os.O_CREAT | os.O_EXCL, 0o600))
            yield
        finally:
            os.close(lock)


@contextlib.contextmanager
def opening(path: str) -> Iterator[None]:
    """Raise NotExecuted for an error of the system or of SQLite while the file is opened."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        name = getattr(error, "sqlite_errorname", error.__class__.__name__)
        raise NotExecuted(f"The database file {path} cannot be opened: {name}.") from None


def connect(file: SqliteFile, lock_timeout: float) -> Database:
    """Connect to the existing file; see `Database.open`."""
    database = Database.open(file.path, lock_timeout)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            database.execute(f"PRAGMA {pragma}")
        if file.max_bytes:
            (page_size,) = database.execute("PRAGMA page_size").fetchone()
            most = _RESUME_FACTOR * file.max_bytes  # creates stop earlier, see Capacity
            database.execute(f"PRAGMA max_page_count={max(1, most // page_size)}")
        database.executescript(SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database


def store_error(error: sqlite3.Error) -> StoreError:
    """Return the error that an error of SQLite before COMMIT means; only its name is kept."""
    name = getattr(error, "sqlite_errorname", "SQLITE_MISUSE")
    if name == "SQLITE_FULL":
        return StoreFull("The database is full.")
    return NotExecuted(f"The database answered {name}.")
