"""The schema and the statements on it.

    records(locator BLOB PRIMARY KEY, gone_at ms, value BLOB)
    resume_records(message BLOB, locator BLOB, gone_at ms, value BLOB), unique by message and locator

`message` is the locator of the message that a resume record belongs to. A row is removed by the first sweep after
`gone_at`. The functions run inside a transaction of the writer.
"""

import sqlite3
from collections.abc import Callable, Sequence

from messaging_api.core.message import TOMBSTONE_EXTRA_MS
from messaging_api.core.record import HEAD, after_read, parse, resume_record, tombstone
from messaging_api.core.store import Entry

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (locator BLOB PRIMARY KEY, gone_at INTEGER NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS records_gone_at ON records (gone_at);
CREATE TABLE IF NOT EXISTS resume_records (
    message BLOB NOT NULL, locator BLOB NOT NULL, gone_at INTEGER NOT NULL, value BLOB NOT NULL,
    UNIQUE (message, locator)
);
CREATE INDEX IF NOT EXISTS resume_records_gone_at ON resume_records (gone_at);
"""
APPLICATION_ID = 0x6D736761
"""Names the application of a database file: "msga"."""
SWEEP_STEP = 50
"""Records removed in one transaction: so few that a sweep never delays a request for long."""

_VALUE = "CAST(value AS BLOB)"
"""The value as bytes, also where a damaged record holds something else."""
_LOOK = f"SELECT locator, {_VALUE} FROM records WHERE locator = ?"  # noqa: S608 constant
_DUMMY_LOOK = "SELECT zeroblob(16), zeroblob(12)"
"""Takes as long as the look-up of a tombstone, so that the time does not reveal that there is no record."""


def look_up(database: sqlite3.Connection, locators: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the values at `locators`, without the absent ones, in one statement."""
    query = " UNION ALL ".join([_LOOK] * len(locators))  # IN (…) would first sort its list into a temporary table
    found = dict(database.execute(query, locators).fetchall())
    if len(found) < len(locators):
        database.execute(_DUMMY_LOOK).fetchall()
    return found


def any_expired(database: sqlite3.Connection, now: int) -> bool:
    """Tell whether there is a record to remove at `now`, in ms since the epoch."""
    tables = ("records", "resume_records")
    queries = (f"SELECT 1 FROM {table} WHERE gone_at <= ? LIMIT 1" for table in tables)  # noqa: S608 constants
    return any(database.execute(query, (now,)).fetchone() for query in queries)


def create(
    note_growth: Callable[[], None],
    now: int,
    entries: Sequence[Entry],
    idempotency_record: Entry | None,
    database: sqlite3.Connection,
) -> bytes | None:
    """Store the entries and return None; if there is an unexpired idempotency record, return its value instead.

    `note_growth` is called when they are stored.
    """
    if idempotency_record is not None:
        earlier = database.execute(f"{_LOOK} AND gone_at > ?", (idempotency_record.locator, now)).fetchone()
        if earlier is not None:
            value: bytes = earlier[1]
            return value
        entries = [*entries, idempotency_record]
    rows = [(entry.locator, now + entry.ttl, entry.value) for entry in entries]
    database.executemany("REPLACE INTO records VALUES (?, ?, ?)", rows)
    note_growth()
    return None


def take(clock: Callable[[], int], locator: bytes, resume: Entry | None, database: sqlite3.Connection) -> bytes | None:
    """Count one read; return the head of the value as it was before, None if absent, expired or a tombstone.

    If there is an unexpired resume record at the locator of `resume`, return that and count nothing; else store it.
    """
    now = clock()
    if resume is not None and (earlier := look_up_resume_record(now, locator, resume.locator, database)) is not None:
        return earlier
    value = _value(database, locator)
    message = parse(value)
    if value is None or message is None or not message.box or message.reads_left == 0 or message.expires_at <= now:
        return None
    if message.reads is not None:
        _update(database, locator, after_read(value), last=message.reads_left == 1)
        if resume is not None:
            row = (locator, resume.locator, now + resume.ttl, resume_record(value, resume.value))
            database.execute("REPLACE INTO resume_records VALUES (?, ?, ?, ?)", row)
    return tombstone(value)


def look_up_resume_record(now: int, message: bytes, locator: bytes, database: sqlite3.Connection) -> bytes | None:
    """Return the unexpired resume record at `locator` of a reader of `message`, None if absent."""
    query = f"SELECT {_VALUE} FROM resume_records WHERE message = ? AND locator = ? AND gone_at > ?"  # noqa: S608 constant
    row = database.execute(query, (message, locator, now)).fetchone()
    return row[0] if row else None


def burn(clock: Callable[[], int], locator: bytes, database: sqlite3.Connection) -> bytes | None:
    """Remove the text and all resume records; return the value as it was before, None if absent or expired."""
    database.execute("DELETE FROM resume_records WHERE message = ?", (locator,))
    value = _value(database, locator)
    message = parse(value)
    if value is None or message is None:
        return value
    if message.box:
        if message.expires_at <= clock():
            return None
        _update(database, locator, tombstone(value), last=True)
    return value


def touch(check_disk: Callable[[], None], database: sqlite3.Connection) -> None:
    """Write one page without changing it; `check_disk` raises StoreFull if that used the reserve of the disk."""
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    check_disk()


def sweep(now: int, database: sqlite3.Connection) -> list[tuple[int, bytes]]:
    """Remove expired records and resume records, `SWEEP_STEP` of each at most.

    Of the records return `gone_at` and the beginning of each value: its head and one byte of the box.
    """
    step = "SELECT rowid FROM resume_records WHERE gone_at <= ? ORDER BY gone_at LIMIT ?"
    database.execute(f"DELETE FROM resume_records WHERE rowid IN ({step})", (now, SWEEP_STEP))  # noqa: S608 constant
    step = "SELECT rowid FROM records WHERE gone_at <= ? ORDER BY gone_at LIMIT ?"
    head = f"ifnull(substr({_VALUE}, 1, {HEAD + 1}), x'')"  # of an empty value, substr is NULL
    query = f"DELETE FROM records WHERE rowid IN ({step}) RETURNING gone_at, {head}"  # noqa: S608 constant
    return database.execute(query, (now, SWEEP_STEP)).fetchall()


def _value(database: sqlite3.Connection, locator: bytes) -> bytes | None:
    row = database.execute(_LOOK, (locator,)).fetchone()
    return row[1] if row else None


def _update(database: sqlite3.Connection, locator: bytes, value: bytes, *, last: bool) -> None:
    """Replace a value; after the last read, its tombstone outlives the message."""
    extra = TOMBSTONE_EXTRA_MS if last else 0
    database.execute("UPDATE records SET value = ?, gone_at = gone_at + ? WHERE locator = ?", (value, extra, locator))
