"""What every store promises (`core/store.py`), proven of each."""

import asyncio
import multiprocessing
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


def test_what_is_created_lies_there(store_url: str) -> None:
    """A message and its receipt are given back byte for byte, empty and odd bytes too."""
    kept, ticket = message(bytes(range(256)) * 300, reads=3), receipt(b"\x00\r\n" * 9)

    async def work(store: Store) -> None:
        assert await store.create(kept, ticket) is None
        assert await store.look(kept.locator) == record.unpack(kept.value)
        assert await store.receipt(ticket.locator) == ticket.value

    on_store(store_url, work)


def test_how_it_stands(store_url: str) -> None:
    """Each create adds a message and a receipt to the records; the room that is used is a share of all there is."""

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


def test_what_was_not_created_does_not(store_url: str) -> None:
    """An empty place is None for every operation."""

    async def work(store: Store) -> None:
        assert await store.look(locator()) is None
        assert await store.take(locator()) is None
        assert await store.burn(locator()) is None
        assert await store.receipt(locator()) is None

    on_store(store_url, work)


def test_takes_count_down_to_a_trace(store_url: str) -> None:
    """Each take gives the message as it was before; after the last one only its head is left."""
    kept = message(reads=2)

    async def work(store: Store) -> None:
        await store.create(kept, receipt())
        value = kept.value
        for _ in range(2):
            assert await store.take(kept.locator) == record.unpack(value)
            value = record.after_read(value)
            assert await store.look(kept.locator) == record.unpack(value)
        assert await store.take(kept.locator) is None
        trace = await store.look(kept.locator)
        assert trace is not None
        assert (trace.state, trace.box) == ("read", b"")

    on_store(store_url, work)


def test_unlimited_messages_are_taken_uncounted(store_url: str) -> None:
    """A take of a message without limit changes nothing."""
    kept = message()

    async def work(store: Store) -> None:
        await store.create(kept, receipt())
        assert [await store.take(kept.locator) for _ in range(3)] == [record.unpack(kept.value)] * 3

    on_store(store_url, work)


@pytest.mark.parametrize("reads", [None, 1, 1000])
def test_burning_leaves_a_trace(store_url: str, reads: int | None) -> None:
    """A burn gives the message as it was; then only its head is left, for a second burn too."""
    kept = message(reads=reads)

    async def work(store: Store) -> None:
        await store.create(kept, receipt())
        assert await store.burn(kept.locator) == record.unpack(kept.value)
        tombstone = record.unpack(record.tombstone(kept.value))
        assert await store.burn(kept.locator) == tombstone
        assert await store.look(kept.locator) == tombstone
        assert tombstone.state == "burned"
        assert await store.take(kept.locator) is None

    on_store(store_url, work)


def test_an_answer_place_is_taken_once(store_url: str) -> None:
    """Of many creates at once with one answer place, one keeps its entries; all others get its answer."""
    place = locator()

    async def work(store: Store) -> None:
        messages = [message() for _ in range(32)]
        answers = [Entry(place, b"answer %d" % n, HOUR) for n in range(32)]
        known = await asyncio.gather(
            *(store.create(kept, receipt(), answer) for kept, answer in zip(messages, answers, strict=True))
        )
        (winner,) = (n for n, box in enumerate(known) if box is None)
        assert {box for box in known if box is not None} == {answers[winner].value}
        there = [n for n, kept in enumerate(messages) if await store.look(kept.locator) is not None]
        assert there == [winner]

    on_store(store_url, work)


def test_ping_touches_the_store(store_url: str) -> None:
    """A store that is up answers."""
    on_store(store_url, lambda store: store.ping())


def _race(url: str, places: list[bytes], barrier: "multiprocessing.synchronize.Barrier", wins: list[int]) -> None:
    async def work(store: Store) -> None:
        for n, place in enumerate(places):
            barrier.wait(60)
            got = await asyncio.gather(*(store.take(place) for _ in range(READERS)))
            with wins.get_lock():  # type: ignore[attr-defined]
                wins[n] += sum(kept is not None for kept in got)

    on_store(url, work)


def test_exactly_n_readers_from_several_processes(store_url: str) -> None:
    """Of 64 readers in 4 processes exactly N get a message with N reads, in each of 100 rounds."""
    messages = [message(reads=1 + n % 8) for n in range(ROUNDS)]

    async def fill(store: Store) -> None:
        await asyncio.gather(*(store.create(kept, receipt()) for kept in messages))

    on_store(store_url, fill)
    context = multiprocessing.get_context("spawn")
    barrier, wins = context.Barrier(PROCESSES), context.Array("i", ROUNDS)
    places = [kept.locator for kept in messages]
    racers = [context.Process(target=_race, args=(store_url, places, barrier, wins)) for _ in range(PROCESSES)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    assert list(wins) == [1 + n % 8 for n in range(ROUNDS)]


class TestExpiry:
    """SQLite follows our clock; Redis has its own, so there the lives are read back instead of waited for."""

    def test_sqlite_removes_what_has_expired(self, tmp_path: Path) -> None:
        """A sweep removes each row once its life is over, and not a millisecond before."""
        clock = Clock()
        kept, gone = message(ttl=10_000), message(ttl=9_000)
        start = clock()
        clock.ahead, frozen = 0, start

        async def work(store: Store) -> None:
            nonlocal frozen
            await store.create(kept, receipt())
            await store.create(gone, receipt())
            frozen = start + 8_999
            assert await store.sweep() == 0  # type: ignore[attr-defined]
            frozen = start + 9_000
            assert await store.sweep() == 1  # type: ignore[attr-defined]
            assert await store.look(gone.locator) is None
            assert await store.look(kept.locator) is not None

        on_store(f"sqlite://{tmp_path}/m.db", work, lambda: frozen)

    def test_redis_is_given_each_life(self, redis_server: RedisServer) -> None:
        """Message, receipt and answer expire by themselves; the trace of a burned message 24 h after it would have."""
        kept, ticket, answer = message(ttl=10_000), receipt(ttl=10_000), Entry(locator(), b"x", 5_000)

        async def work(store: Store) -> None:
            await store.create(kept, ticket, answer)

        on_store(redis_server.url, work)
        client = redis_server.client()
        lives = [client.pttl(b"messaging_api:" + entry.locator) for entry in (kept, ticket, answer)]
        assert [10_000 - lives[0] < 2_000, 10_000 + RECEIPT_EXTRA_MS - lives[1] < 2_000, 5_000 - lives[2] < 2_000] == [
            True
        ] * 3
        on_store(redis_server.url, lambda store: store.burn(kept.locator))
        assert 10_000 + RECEIPT_EXTRA_MS - client.pttl(b"messaging_api:" + kept.locator) < 4_000

    def test_redis_forgets_on_time(self, redis_server: RedisServer) -> None:
        """A message of one second is there before and gone after it."""
        kept = message(ttl=1_000)

        async def work(store: Store) -> None:
            await store.create(kept, receipt())
            begin = time.monotonic()
            while await store.look(kept.locator) is not None:
                assert time.monotonic() - begin < 1.5
            assert time.monotonic() - begin > 0.9

        on_store(redis_server.url, work)
