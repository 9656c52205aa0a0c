"""The Store protocol: what a place that keeps messages must do. `tests/contract/test_stores.py` proves it of each.

A store maps locators (16 bytes) to values (bytes) with a life. It cannot open what it keeps and decides only who is
first. Every operation is atomic where the data lives, whatever the number of processes and nodes. One that fails leaves
nothing behind that anyone could find: of a `create`, whose records may lie on several nodes, no answer, and so nobody
who knows of the rest. All raise StoreUnavailable, within `timeout` seconds, when the store does not answer, and only
then is it unknown whether the operation took place; `create` may raise StoreFull. A store that comes back is used
again without a restart. Operations of one turn of the event loop share one round trip or transaction, and one that
fails does not fail the others.
"""

from typing import NamedTuple, Protocol

from messaging_api.core.ratelimit import Counters
from messaging_api.core.record import StoredMessage


class Entry(NamedTuple):
    """A value to keep at `locator` until it is `ttl` milliseconds old."""

    locator: bytes
    value: bytes
    ttl: int


class Stats(NamedTuple):
    """What a store tells of itself; None where it cannot know.

    `full` is the share of its room that is used, 0 to 1, of the fullest node where there are many. `records` counts
    messages, traces, receipts and answers alike; `expired` and `evicted` those that went since the store's start, by
    their time or against our will.
    """

    full: float | None
    used_bytes: int
    records: int
    expired: int | None = None
    evicted: int | None = None


class Store(Counters, Protocol):
    """See the module's text for what all operations promise. It also counts requests; see `ratelimit.Counters`."""

    async def create(self, message: Entry, receipt: Entry, idempotency_record: Entry | None = None) -> bytes | None:
        """Keep all entries and give None; or, if the answer's place is taken, keep none and give what lies there."""

    async def look(self, locator: bytes) -> StoredMessage | None:
        """The message as it is; counts nothing. May be given past its expiry: the caller looks at the time."""

    async def take(self, locator: bytes) -> StoredMessage | None:
        """Count one read and give the message as it was before; None if no read was left or nothing was there.

        The last read removes the text in the same step. A message with unlimited reads is given uncounted.
        """

    async def burn(self, locator: bytes) -> StoredMessage | None:
        """Remove the text and give the message as it was before; None if nothing was there."""

    async def receipt(self, locator: bytes) -> bytes | None:
        """The value of a receipt."""

    async def ping(self) -> None:
        """Really touch the store."""

    async def stats(self) -> Stats:
        """How it stands. May take long: for those who watch, not for those who ask."""

    async def aclose(self) -> None:
        """Finish what was begun and let go. Further operations are errors of the caller."""
