"""The store on a Redis (7.0 or later): flat keys with a prefix, values as in core/record.py, expiry by PX.

Redis must not evict (`maxmemory-policy noeviction`): a message is kept until it expires, or is rejected at once.
"""

from collections.abc import Callable

from messaging_api.core.message import TOMBSTONE_EXTRA_MS
from messaging_api.core.ratelimit import PendingCount
from messaging_api.core.record import StoredMessage, parse
from messaging_api.core.store import Entry, Stats
from messaging_api.stores.coalescing import CountBatcher
from messaging_api.stores.redis.counters import RedisCounters
from messaging_api.stores.redis.node import CommandChannel
from messaging_api.stores.redis.replies import value, written_value
from messaging_api.stores.redis.scripts import Script
from messaging_api.stores.redis.stats import parse_info

CREATE, TAKE, RESUME, BURN = map(Script, ("create.lua", "take.lua", "resume.lua", "burn.lua"))

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
        key, now = self._prefix + locator, str(self._clock())
        if resume_record is None:
            return parse(written_value(await self._writes.submit(TAKE.call(1, key, _EXTRA, now))))
        prefix = self._resume_prefix(key)
        keys = (key, prefix + resume_record.locator, prefix + locator)
        arguments = (_EXTRA, now, resume_record.value, str(resume_record.ttl))
        return parse(written_value(await self._writes.submit(TAKE.call(3, *keys, *arguments))))

    async def resume(self, message: bytes, locator: bytes) -> StoredMessage | None:
        # a write: the read that left the record may still wait for replicas, and a failover may undo it
        key = self._resume_prefix(self._prefix + message) + locator
        return parse(written_value(await self._writes.submit(RESUME.call(1, key))))

    async def burn(self, locator: bytes) -> StoredMessage | None:
        key = self._prefix + locator
        command = BURN.call(2, key, self._resume_prefix(key) + locator, _EXTRA, str(self._clock()))
        return parse(written_value(await self._writes.submit(command)))

    async def receipt(self, locator: bytes) -> bytes | None:
        return value(await self._reads.submit(("GET", self._prefix + locator)))

    async def ping(self) -> None:
        await self._reads.submit(("PING",))

    async def stats(self) -> Stats:
        return parse_info(await self._reads.submit(("INFO",)), self._db)

    def _resume_prefix(self, _message_key: bytes) -> bytes:
        """Return the beginning of the keys of a message's resume records, and of the key that lists them."""
        return self._prefix + b"resume:"

    async def aclose(self) -> None:
        await self._reads.aclose()
        if self._writes is not self._reads:
            await self._writes.aclose()
