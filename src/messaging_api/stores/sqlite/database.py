"""The database file: opening it, connecting to it, and the meaning of its errors."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from messaging_api.errors import NotExecuted, StoreError, StoreFull


class SqliteFile(NamedTuple):
    """The path of a database. `max_bytes` limits its size, 0 = limited by the disk only."""

    path: str
    max_bytes: int = 0


@contextlib.contextmanager
def set_up(path: str) -> Iterator[None]:
    """Create the file if it is missing, readable by its owner only, and exclude other processes during the block.

    Raises NotExecuted.
    """
    try:
        folder = Path(path).parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
            yield
        finally:
            os.close(lock)
    except (OSError, sqlite3.Error) as error:
        name = getattr(error, "sqlite_errorname", error.__class__.__name__)
        raise NotExecuted(f"The database file {path} cannot be opened: {name}.") from None


def connect(file: SqliteFile, lock_timeout: float) -> sqlite3.Connection:
    """Connect to the file; wait up to `lock_timeout` seconds for the lock of another process."""
    database = sqlite3.connect(
        file.path, timeout=lock_timeout, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        database.execute(f"PRAGMA {pragma}")
    if file.max_bytes:
        (page_size,) = database.execute("PRAGMA page_size").fetchone()
        database.execute(f"PRAGMA max_page_count={max(1, file.max_bytes // page_size)}")
    return database


def store_error(error: sqlite3.Error) -> StoreError:
    """Return the error that an error of SQLite means; only its name is kept."""
    name = getattr(error, "sqlite_errorname", "SQLITE_MISUSE")
    if name == "SQLITE_FULL":
        return StoreFull("The database is full.")
    return NotExecuted(f"The database answered {name}.")
