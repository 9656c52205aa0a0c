"""The Store protocol: the interface of every store. `tests/contract/test_stores.py` verifies each implementation.

A store maps locators (16 bytes) to values (bytes) with a lifetime. It cannot decrypt them and only decides which
operation comes first. Every operation is atomic where the data is, whatever the number of processes and nodes.

A message that has expired, by the clock that the store was opened with, is never changed again: what its receipt told
once stays true.

An operation ends within `timeout` seconds in one of three ways: with its result; with NotExecuted, when it certainly
did not and will not take place; or with OutcomeUnknown, when it may have. Operations that change nothing end with a
result or NotExecuted. `create` raises StoreFull when there is no space. A create without a result leaves no record that
a client could find, since no client knows the ids, unless its outcome is unknown and it has an idempotency key. An
operation that its caller abandons before it begins does not take place.

A store that comes back is used again without a restart. Operations of one turn of the event loop share one round trip
or transaction, and an operation that fails does not fail the others.
"""

from typing import NamedTuple, Protocol

from messaging_api.core.ratelimit import Counters
from messaging_api.core.record import StoredMessage


class Entry(NamedTuple):
    """A value to store at `locator` for `ttl` ms."""

    locator: bytes
    value: bytes
    ttl: int


class Stats(NamedTuple):
    """The figures of a store; None if unknown.

    `full` is the used share of its capacity, 0 to 1, of the fullest node if there are several. `records` counts
    messages, tombstones, receipts and idempotency records together. `expired` and `evicted` count the records that
    were removed since the store's start: at their expiry, or before it for lack of space.
    """

    full: float | None
    used_bytes: int
    records: int
    expired: int | None = None
    evicted: int | None = None


class Store(Counters, Protocol):
    """A store of records that also counts requests; see the module's docstring and `ratelimit.Counters`."""

    async def create(self, message: Entry, receipt: Entry, idempotency_record: Entry | None = None) -> bytes | None:
        """Store all entries and return None.

        If there is a value at the locator of the idempotency record, store nothing and return that value.
        """

    async def look(self, locator: bytes) -> StoredMessage | None:
        """Return a message without counting a read. It may have expired: the caller compares the time."""

    async def take(self, locator: bytes, resume_record: Entry | None = None) -> StoredMessage | None:
        """Count one read and return the message as it was before, without its box.

        None if it is absent, expired or without reads left. The last read removes the text in the same step. Unlimited
        reads are not counted.

        `resume_record` is a box for the same reader, to repeat the read with. If there is a record at its locator,
        count nothing and return what `resume` returns; else store it in the same step as the count.
        """

    async def resume(self, message: bytes, locator: bytes) -> StoredMessage | None:
        """Return the resume record of a reader: the message as it was before that read, with the box of the record.

        `message` is the locator of the message, and `locator` that of the record. None if absent. A record that a
        failover may still undo is not returned, as if it were a write.
        """

    async def burn(self, locator: bytes) -> StoredMessage | None:
        """Remove the text and all resume records, and return the message as it was before; None if absent or expired.

        A message that was read or burned already is returned without its box, however long ago it expired.
        """

    async def receipt(self, locator: bytes) -> bytes | None:
        """Return the value of a receipt; None if absent."""

    async def ping(self) -> None:
        """Access the store for real, to check that it works."""

    async def stats(self) -> Stats:
        """Return the figures of the store. It may take long: for monitoring only, not on the path of a request."""

    async def aclose(self) -> None:
        """Finish the operations in flight and close. Later operations are errors of the caller."""
