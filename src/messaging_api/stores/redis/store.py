"""The store on a Redis (7.0 or later): flat keys with a prefix, values as in core/record.py, expiry by PX.

Redis must not evict (`maxmemory-policy noeviction`): a message is kept until it expires, or is rejected at once.
"""

import contextlib
from collections.abc import Callable, Iterator

from messaging_api.core.message import TOMBSTONE_EXTRA_MS
from messaging_api.core.ratelimit import PendingCount
from messaging_api.core.record import StoredMessage, parse
from messaging_api.core.store import Entry, Stats
from messaging_api.errors import NotExecuted, OutcomeUnknown, StoreFull
from messaging_api.stores.coalescing import CountBatcher
from messaging_api.stores.redis.counters import RedisCounters
from messaging_api.stores.redis.node import CommandChannel
from messaging_api.stores.redis.replies import value, written_value
from messaging_api.stores.redis.scripts import Script
from messaging_api.stores.redis.stats import parse_info

CREATE, BURN, RESUME, PING = map(Script, ("create.lua", "burn.lua", "resume.lua", "ping.lua"))
TAKE, TAKE_RESUMABLE = (Script(name, "count_read.lua") for name in ("take.lua", "take_resumable.lua"))

_EXTRA = str(TOMBSTONE_EXTRA_MS)


class RedisStore:
    """A Store on one Redis; see `core/store.py`.

    `writes` is a channel of its own if writes wait for replicas, else the same as `reads`. `clock` returns ms since
    the epoch.
    """

    def __init__(
        self, reads: CommandChannel, writes: CommandChannel, clock: Callable[[], int], prefix: bytes, db: int = 0
    ) -> None:
        self._reads = reads
        self._writes = writes
        self._clock = clock
        self._prefix = prefix
        self._db = db
        self._counts = CountBatcher(RedisCounters(prefix, reads).run)

    def count(self, pending: PendingCount) -> None:
        self._counts.count(pending)

    async def create(self, message: Entry, receipt: Entry, idempotency_record: Entry | None = None) -> bytes | None:
        entries = (message, receipt) if idempotency_record is None else (message, receipt, idempotency_record)
        keys = [self._prefix + entry.locator for entry in entries]
        values = [part for entry in entries for part in (entry.value, str(entry.ttl))]
        return written_value(await self._writes.submit(CREATE.call(len(keys), *keys, *values)))

    async def look(self, locator: bytes) -> StoredMessage | None:
        return parse(value(await self._reads.submit(("GET", self._prefix + locator))))

    async def take(self, locator: bytes, resume_record: Entry | None = None) -> StoredMessage | None:
        if resume_record is not None:
            with contextlib.suppress(StoreFull):
                return await self._take_resumable(locator, resume_record)
            repeated = await self.resume(locator, resume_record.locator)
            if repeated is not None:
                return repeated  # else reading goes on without a record, for which there is no space
        command = TAKE.call(1, self._prefix + locator, _EXTRA, str(self._clock()))
        return parse(written_value(await self._writes.submit(command)))

    async def _take_resumable(self, locator: bytes, resume_record: Entry) -> StoredMessage | None:
        key = self._prefix + locator
        prefix = self._resume_prefix(key)
        keys = (key, prefix + resume_record.locator, prefix + locator)
        arguments = (_EXTRA, str(self._clock()), resume_record.value, str(resume_record.ttl))
        return parse(written_value(await self._writes.submit(TAKE_RESUMABLE.call(3, *keys, *arguments))))

    async def resume(self, message: bytes, locator: bytes) -> StoredMessage | None:
        # a write: the read that left the record may still wait for replicas, and a failover may undo it
        prefix = self._resume_prefix(self._prefix + message)
        with _changing_nothing():
            return parse(written_value(await self._writes.submit(RESUME.call(2, prefix + locator, prefix + message))))

    async def burn(self, locator: bytes) -> StoredMessage | None:
        key = self._prefix + locator
        command = BURN.call(2, key, self._resume_prefix(key) + locator, _EXTRA, str(self._clock()))
        return parse(written_value(await self._writes.submit(command)))

    async def receipt(self, locator: bytes) -> bytes | None:
        return value(await self._reads.submit(("GET", self._prefix + locator)))

    async def ping(self) -> None:
        """Write, so that a server that is no master is noticed. One that is full works: it can still be read."""
        with _changing_nothing():
            await self._reads.submit(PING.call(1, self._prefix + b"ping"))

    async def stats(self) -> Stats:
        return parse_info(await self._reads.submit(("INFO",)), self._db)

    def _resume_prefix(self, _message_key: bytes) -> bytes:
        """Return the beginning of the keys of a message's resume records, and of the key that lists them."""
        return self._prefix + b"resume:"

    async def aclose(self) -> None:
        await self._reads.aclose()
        if self._writes is not self._reads:
            await self._writes.aclose()


@contextlib.contextmanager
def _changing_nothing() -> Iterator[None]:
    """Run a script that has no effect that anyone sees: whatever became of it, it counts as not executed."""
    try:
        yield
    except OutcomeUnknown as error:
        raise NotExecuted(str(error)) from None
