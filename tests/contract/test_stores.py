"""The contract of a store (`core/store.py`), verified for every store."""

import asyncio
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from messaging_api.core import record
from messaging_api.core.message import RECEIPT_EXTRA_MS
from messaging_api.core.store import Entry, Store
from tests.support.redis_server import RedisServer
from tests.support.stores import HOUR, Clock, locator, message, on_store, receipt

PROCESSES = 4
READERS = 16
ROUNDS = 100


def head(value: bytes) -> record.StoredMessage:
    """Return what a take returns of a message that has this record."""
    return record.unpack(record.tombstone(value))


def test_created_records_are_returned_unchanged(store_url: str) -> None:
    """A message and its receipt are returned byte for byte, with odd bytes too."""
    stored, receipt_entry = message(bytes(range(256)) * 300, reads=3), receipt(b"\x00\r\n" * 9)

    async def work(store: Store) -> None:
        assert await store.create(stored, receipt_entry) is None
        assert await store.look(stored.locator) == record.unpack(stored.value)
        assert await store.receipt(receipt_entry.locator) == receipt_entry.value

    on_store(store_url, work)


def test_stats_count_records_and_used_bytes(store_url: str) -> None:
    """A create adds two records, a message and a receipt; `full` is a share of the capacity."""

    async def work(store: Store) -> None:
        before = await store.stats()
        for _ in range(5):
            await store.create(message(bytes(10_000)), receipt())
        after = await store.stats()
        assert after.records - before.records == 10
        assert after.used_bytes > before.used_bytes
        assert after.full is not None
        assert 0 < after.full < 1

    on_store(store_url, work)


def test_absent_records_are_none(store_url: str) -> None:
    """Every operation returns None at a locator without a record."""

    async def work(store: Store) -> None:
        assert await store.look(locator()) is None
        assert await store.take(locator()) is None
        assert await store.burn(locator()) is None
        assert await store.receipt(locator()) is None

    on_store(store_url, work)


def test_takes_count_down_to_a_tombstone(store_url: str) -> None:
    """A take returns the head of the message as it was before; the last one leaves nothing but the head."""
    stored = message(reads=2)

    async def work(store: Store) -> None:
        await store.create(stored, receipt())
        value = stored.value
        for _ in range(2):
            assert await store.take(stored.locator) == head(value)
            value = record.after_read(value)
            assert await store.look(stored.locator) == record.unpack(value)
        assert await store.take(stored.locator) is None
        tombstone = await store.look(stored.locator)
        assert tombstone is not None
        assert (tombstone.state, tombstone.box) == ("read", b"")

    on_store(store_url, work)


def test_unlimited_messages_are_not_counted(store_url: str) -> None:
    """A take of a message with unlimited reads changes nothing."""
    stored = message()

    async def work(store: Store) -> None:
        await store.create(stored, receipt())
        assert [await store.take(stored.locator) for _ in range(3)] == [head(stored.value)] * 3

    on_store(store_url, work)


def test_a_repeated_take_is_not_counted(store_url: str) -> None:
    """Each reader with a resume record spends one read, however often it asks; burning removes the records."""
    stored = message(reads=3)
    resumes = [Entry(locator(), b"box %d" % n, HOUR) for n in range(3)]

    async def work(store: Store) -> None:
        await store.create(stored, receipt())
        value = stored.value
        for resume in resumes:
            assert await store.resume(stored.locator, resume.locator) is None
            assert await store.take(stored.locator, resume) == head(value)
            repeated = record.unpack(record.resume_record(value, resume.value))
            assert [await store.take(stored.locator, resume) for _ in range(2)] == [repeated] * 2
            assert await store.resume(stored.locator, resume.locator) == repeated
            value = record.after_read(value)
        assert await store.look(stored.locator) == record.unpack(value)
        assert await store.take(stored.locator, Entry(locator(), b"late", HOUR)) is None
        await store.burn(stored.locator)
        assert [await store.resume(stored.locator, resume.locator) for resume in resumes] == [None] * 3
        assert await store.take(stored.locator, resumes[0]) is None

    on_store(store_url, work)


def test_burn_removes_records_that_outlive_later_ones(store_url: str) -> None:
    """A burn finds each resume record, also after a later one with a shorter life has expired."""
    stored = message(reads=3)
    long, short = Entry(locator(), b"box", HOUR), Entry(locator(), b"box", 50)

    async def work(store: Store) -> None:
        await store.create(stored, receipt())
        for resume in (long, short):
            assert await store.take(stored.locator, resume) is not None
        while await store.resume(stored.locator, short.locator) is not None:
            await asyncio.sleep(0.01)
        assert await store.resume(stored.locator, long.locator) is not None
        await store.burn(stored.locator)
        assert await store.resume(stored.locator, long.locator) is None

    on_store(store_url, work)


def test_simultaneous_takes_with_one_resume_record_count_once(store_url: str) -> None:
    """Of many simultaneous takes with one resume record, one counts a read; the others get the record."""
    stored, resume = message(reads=5), Entry(locator(), b"box", HOUR)

    async def work(store: Store) -> None:
        await store.create(stored, receipt())
        taken = await asyncio.gather(*(store.take(stored.locator, resume) for _ in range(32)))
        repeated = record.unpack(record.resume_record(stored.value, resume.value))
        assert sorted(taken, key=str) == sorted([head(stored.value)] + [repeated] * 31, key=str)
        left = await store.look(stored.locator)
        assert left is not None
        assert left.reads_left == 4

    on_store(store_url, work)


@pytest.mark.parametrize("reads", [None, 1, 1000])
def test_burn_leaves_a_tombstone(store_url: str, reads: int | None) -> None:
    """A burn returns the message as it was before and leaves only its head, also for a second burn."""
    stored = message(reads=reads)

    async def work(store: Store) -> None:
        await store.create(stored, receipt())
        assert await store.burn(stored.locator) == record.unpack(stored.value)
        tombstone = record.unpack(record.tombstone(stored.value))
        assert await store.burn(stored.locator) == tombstone
        assert await store.look(stored.locator) == tombstone
        assert tombstone.state == "burned"
        assert await store.take(stored.locator) is None

    on_store(store_url, work)


@pytest.mark.parametrize("reads", [None, 1, 2])
def test_expired_messages_are_not_changed(store_url: str, reads: int | None) -> None:
    """From the millisecond of its expiry a message is neither taken nor burned, though it may still be in the store."""
    stored = message(reads=reads)
    expires_at = record.unpack(stored.value).expires_at
    now = expires_at

    async def work(store: Store) -> None:
        nonlocal now
        await store.create(stored, receipt())
        assert await store.take(stored.locator) is None
        assert await store.burn(stored.locator) is None
        assert await store.look(stored.locator) == record.unpack(stored.value)
        now = expires_at - 1
        assert await store.take(stored.locator) == head(stored.value)
        assert await store.burn(stored.locator) is not None

    on_store(store_url, work, lambda: now)


def test_an_idempotency_record_is_stored_once(store_url: str) -> None:
    """Of many simultaneous creates under one idempotency key, one stores its entries; the others get its record."""
    shared = locator()

    async def work(store: Store) -> None:
        messages = [message() for _ in range(32)]
        records = [Entry(shared, b"record %d" % n, HOUR) for n in range(32)]
        earlier = await asyncio.gather(
            *(store.create(stored, receipt(), entry) for stored, entry in zip(messages, records, strict=True))
        )
        (winner,) = (n for n, box in enumerate(earlier) if box is None)
        assert {box for box in earlier if box is not None} == {records[winner].value}
        found = [n for n, stored in enumerate(messages) if await store.look(stored.locator) is not None]
        assert found == [winner]

    on_store(store_url, work)


def test_ping_succeeds(store_url: str) -> None:
    """A store that works answers a ping."""
    on_store(store_url, lambda store: store.ping())


def _race(url: str, locators: list[bytes], barrier: "multiprocessing.synchronize.Barrier", wins: list[int]) -> None:
    async def work(store: Store) -> None:
        for n, target in enumerate(locators):
            barrier.wait(60)
            results = await asyncio.gather(*(store.take(target) for _ in range(READERS)))
            with wins.get_lock():  # type: ignore[attr-defined]
                wins[n] += sum(stored is not None for stored in results)

    on_store(url, work)


def test_exactly_n_readers_from_several_processes(store_url: str) -> None:
    """Of 64 readers in 4 processes exactly N get a message with N reads, in each of 100 rounds."""
    messages = [message(reads=1 + n % 8) for n in range(ROUNDS)]

    async def fill(store: Store) -> None:
        await asyncio.gather(*(store.create(stored, receipt()) for stored in messages))

    on_store(store_url, fill)
    context = multiprocessing.get_context("spawn")
    barrier, wins = context.Barrier(PROCESSES), context.Array("i", ROUNDS)
    locators = [stored.locator for stored in messages]
    processes = [context.Process(target=_race, args=(store_url, locators, barrier, wins)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert wins[:] == [1 + n % 8 for n in range(ROUNDS)]


class TestExpiry:
    """Expiry: SQLite follows the clock of the test; Redis has its own, so the tests read its TTLs instead."""

    def test_sqlite_keeps_a_tombstone_longer_than_its_receipt(self, tmp_path: Path) -> None:
        """When the receipt is removed, the tombstone is still there: no receipt ever forgets what it told."""
        read, burned = message(reads=1, ttl=10_000), message(ttl=10_000)
        frozen = record.unpack(read.value).expires_at - 10_000

        async def work(store: Store) -> None:
            nonlocal frozen
            receipts = [receipt(ttl=10_000) for _ in range(2)]
            for entries in zip((read, burned), receipts, strict=True):
                await store.create(*entries)
            await store.take(read.locator)
            await store.burn(burned.locator)
            frozen += 10_000 + RECEIPT_EXTRA_MS
            assert await store.sweep() == 2  # type: ignore[attr-defined]
            assert [await store.receipt(entry.locator) for entry in receipts] == [None, None]
            assert [(await store.look(one.locator)).state for one in (read, burned)] == ["read", "burned"]  # type: ignore[union-attr]

        on_store(f"sqlite://{tmp_path}/m.db", work, lambda: frozen, steady_clock=lambda: frozen)

    def test_redis_keeps_a_tombstone_longer_than_its_receipt(self, redis_server: RedisServer) -> None:
        """The TTL of a tombstone is longer than that of its receipt, by far more than Redis needs to store both."""
        read, burned = message(reads=1, ttl=10_000), message(ttl=10_000)
        receipts = [receipt(ttl=10_000) for _ in range(2)]

        async def work(store: Store) -> None:
            for entries in zip((read, burned), receipts, strict=True):
                await store.create(*entries)
            await store.take(read.locator)
            await store.burn(burned.locator)

        on_store(redis_server.url, work)
        client = redis_server.client()
        for tombstone, entry in zip((read, burned), receipts, strict=True):
            ttls = [client.pttl(b"messaging_api:" + one.locator) for one in (tombstone, entry)]
            assert ttls[0] - ttls[1] > HOUR - 60_000

    def test_sqlite_sweep_removes_expired_records(self, tmp_path: Path) -> None:
        """A sweep removes a record at its expiry, and not a millisecond before."""
        clock = Clock()
        stored, expired = message(ttl=10_000), message(ttl=9_000)
        start = clock()
        clock.ahead, frozen = 0, start

        async def work(store: Store) -> None:
            nonlocal frozen
            await store.create(stored, receipt())
            await store.create(expired, receipt())
            frozen = start + 8_999
            assert await store.sweep() == 0  # type: ignore[attr-defined]
            frozen = start + 9_000
            assert await store.sweep() == 1  # type: ignore[attr-defined]
            assert await store.look(expired.locator) is None
            assert await store.look(stored.locator) is not None

        on_store(f"sqlite://{tmp_path}/m.db", work, lambda: frozen, steady_clock=lambda: frozen)

    def test_sqlite_resume_records_expire_and_are_swept(self, tmp_path: Path) -> None:
        """A resume record is returned until its last millisecond, and its text leaves the file with the next sweep."""
        start = frozen = Clock()()
        stored, resume = message(reads=1), Entry(locator(), os.urandom(64), 60_000)

        async def work(store: Store) -> None:
            nonlocal frozen
            await store.create(stored, receipt())
            await store.take(stored.locator, resume)
            frozen = start + 59_999
            await store.sweep()  # type: ignore[attr-defined]
            assert await store.resume(stored.locator, resume.locator) is not None
            frozen = start + 60_000
            assert await store.resume(stored.locator, resume.locator) is None
            await store.sweep()  # type: ignore[attr-defined]

        on_store(f"sqlite://{tmp_path}/m.db", work, lambda: frozen, steady_clock=lambda: frozen)
        assert resume.value not in (tmp_path / "m.db").read_bytes()

    def test_redis_records_get_their_ttl(self, redis_server: RedisServer) -> None:
        """Message, receipt, idempotency record and resume record have a TTL, a tombstone 24 h more."""
        stored, receipt_entry, idempotency = message(ttl=10_000), receipt(ttl=10_000), Entry(locator(), b"x", 5_000)

        async def work(store: Store) -> None:
            await store.create(stored, receipt_entry, idempotency)

        on_store(redis_server.url, work)
        client = redis_server.client()
        ttls = [client.pttl(b"messaging_api:" + entry.locator) for entry in (stored, receipt_entry, idempotency)]
        assert [10_000 - ttls[0] < 2_000, 10_000 + RECEIPT_EXTRA_MS - ttls[1] < 2_000, 5_000 - ttls[2] < 2_000] == [
            True
        ] * 3
        once, resume = message(reads=1), Entry(locator(), b"box", 3_000)

        async def read(store: Store) -> None:
            await store.create(once, receipt())
            await store.take(once.locator, resume)

        on_store(redis_server.url, read)
        assert 3_000 - client.pttl(b"messaging_api:resume:" + resume.locator) < 2_000
        assert 3_000 - client.pttl(b"messaging_api:resume:" + once.locator) < 2_000
        on_store(redis_server.url, lambda store: store.burn(stored.locator))
        assert 10_000 + RECEIPT_EXTRA_MS - client.pttl(b"messaging_api:" + stored.locator) < 4_000

    def test_redis_message_expires_on_time(self, redis_server: RedisServer) -> None:
        """A message with a TTL of one second is there before it and absent after it."""
        stored = message(ttl=1_000)

        async def work(store: Store) -> None:
            await store.create(stored, receipt())
            begin = time.monotonic()
            while await store.look(stored.locator) is not None:
                assert time.monotonic() - begin < 1.5
            assert time.monotonic() - begin > 0.9

        on_store(redis_server.url, work)
