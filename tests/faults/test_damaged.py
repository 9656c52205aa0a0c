"""Damaged data: a damaged record costs that record, and a damaged page what lies on it."""

import asyncio
import contextlib
import os
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging_api.core import record
from messaging_api.core.store import Entry, Store
from messaging_api.errors import NotExecuted
from messaging_api.stores.batching import StoreHooks
from tests.faults.test_stores import fails_in_time
from tests.support.redis_server import RedisServer
from tests.support.stores import Clock, locator, message, on_store, receipt, taken

HEADS = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**64 - 1)).map(
    lambda head: record._head.pack(*head)
)
VALUES = st.one_of(st.binary(max_size=40), st.builds(bytes.__add__, HEADS, st.binary(max_size=3)))
"""Any bytes; often with a head that is nearly right."""
OTHER_TYPES = st.one_of(st.text(max_size=20), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
"""What a column of SQLite can hold besides bytes."""


async def others_are_unaffected(store: Store, damaged: bytes) -> None:
    """Check that each operation on a damaged record ends, and that those of the same batch work."""
    good, burned, new = message(reads=1), message(), message()
    await asyncio.gather(store.create(good, receipt()), store.create(burned, receipt()))
    outcomes = await asyncio.gather(
        *(operation(damaged) for operation in (store.look, store.receipt)),
        *(operation(damaged) for operation in (store.take, store.take, store.burn, store.take)),
        store.take(good.locator),
        store.burn(burned.locator),
        store.create(new, receipt()),
        return_exceptions=True,
    )
    assert {type(one) for one in outcomes[:6]} <= {type(None), bytes, record.StoredMessage, NotExecuted}
    assert outcomes[6:] == [taken(good), record.unpack(burned.value), None]
    assert await store.look(new.locator) == record.unpack(new.value)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.one_of(VALUES, OTHER_TYPES), min_size=5, max_size=5))
def test_any_value_in_sqlite(tmp_path_factory: pytest.TempPathFactory, values: list[object]) -> None:
    """Whatever a record holds, each operation on it ends, others are unaffected, and it is swept."""
    path, clock = tmp_path_factory.mktemp("damaged") / "m.db", Clock()

    async def work(store: Store) -> None:
        damaged = [message() for _ in values]
        for one, value in zip(damaged, values, strict=True):
            await store.create(one, receipt())
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("UPDATE records SET value = ? WHERE locator = ?", (value, one.locator))
            await others_are_unaffected(store, one.locator)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("UPDATE records SET gone_at = 1")
        assert await store.sweep() >= 4 * len(values)  # type: ignore[attr-defined]
        assert await asyncio.gather(*(store.look(one.locator) for one in damaged)) == [None] * len(damaged)

    on_store(f"sqlite://{path}", work, clock)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(VALUES, min_size=5, max_size=5))
def test_any_value_in_redis(redis_server: RedisServer, values: list[bytes]) -> None:
    """Whatever a record holds, each operation on it ends, and others are unaffected."""

    async def work(store: Store) -> None:
        for value in values:
            place = locator()
            redis_server.client().set(b"messaging_api:" + place, value, px=60_000)
            await others_are_unaffected(store, place)

    on_store(redis_server.url, work)


def test_value_of_another_type_in_redis(redis_server: RedisServer) -> None:
    """A record that is a list fails its operations, and others are unaffected."""

    async def work(store: Store) -> None:
        place = locator()
        redis_server.client().lpush(b"messaging_api:" + place, "x")
        await others_are_unaffected(store, place)
        for operation in (store.look, store.take, store.burn):
            await fails_in_time(operation(place))
        with pytest.raises(NotExecuted):
            await store.create(message(), receipt(), Entry(place, b"answer", 1000))

    on_store(redis_server.url, work)


@pytest.mark.parametrize("reads_left", [0, 7])
def test_box_without_reads_left_is_not_read(store_url: str, reads_left: int) -> None:
    """A record with text and no reads left, which none of our writes makes, is absent for a take."""
    box = record._head.pack(5, reads_left, 2**42) + b"box"

    async def work(store: Store) -> None:
        kept = Entry(locator(), box, 60_000)
        await store.create(kept, receipt())
        found = [await store.take(kept.locator) is not None for _ in range(9)]
        assert found == [True] * reads_left + [False] * (9 - reads_left)

    on_store(store_url, work)


def test_error_in_an_operation_leaves_the_writer_running(tmp_path: Path) -> None:
    """An operation that fails with any exception fails alone; the writer goes on, and the file is not locked."""

    async def work(store: Store) -> None:
        def fault(_: object) -> None:
            raise ZeroDivisionError

        kept = message()
        failing = store._writes.submit(fault)  # type: ignore[attr-defined]
        created = asyncio.ensure_future(store.create(kept, receipt()))
        with pytest.raises(NotExecuted, match="ZeroDivisionError"):
            await failing
        assert await created is None
        with contextlib.closing(sqlite3.connect(tmp_path / "m.db", timeout=1)) as other:
            other.execute("BEGIN IMMEDIATE")

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_writer_or_sweeper_that_ends_is_reported(tmp_path: Path) -> None:
    """A thread or task of the store that ends by itself is passed to the owner of the process, which ends it."""
    ended: list[tuple[str, str]] = []
    hooks = StoreHooks(on_failure=lambda name, error: ended.append((name, type(error).__name__)))

    async def work(store: Store) -> None:
        store._sweeper._prepare = lambda: 1 / 0  # type: ignore[attr-defined]
        os.close(store._writer._lock._file)  # type: ignore[attr-defined]  # the system rejects to lock it
        await fails_in_time(store.create(message(), receipt()))
        deadline = time.monotonic() + 5
        while len(ended) < 2:
            assert time.monotonic() < deadline, f"only these were reported: {ended}"
            await asyncio.sleep(0.01)

    on_store(f"sqlite://{tmp_path}/m.db", work, hooks=hooks)
    assert sorted(ended) == [("sqlite-writer", "OSError"), ("sweeper", "ZeroDivisionError")]


def test_damaged_page_costs_what_lies_on_it(tmp_path: Path) -> None:
    """Operations on a damaged page fail in time; those on other pages, of the same batch too, and pings work."""
    path = tmp_path / "m.db"

    async def work(store: Store) -> None:
        kept = [message(b"%d" % n * 50_000, reads=1) for n in range(3)]
        for one in kept:
            await store.create(one, receipt())
        await asyncio.to_thread(store._writer._checkpoint)  # type: ignore[attr-defined]  # from the log into the file
        content = path.read_bytes()
        at = content.index(b"1" * 4000)
        with path.open("r+b") as file:
            file.seek((at + 4095) // 4096 * 4096)
            file.write(b"\xff" * 4096)
        for database in (store._reader, store._writer._transactions._database):  # type: ignore[attr-defined]
            database.execute("PRAGMA shrink_memory")
        outcomes = await asyncio.gather(*(store.take(one.locator) for one in kept), return_exceptions=True)
        assert [outcomes[0], outcomes[2]] == [taken(kept[n]) for n in (0, 2)]
        assert outcomes[1] == taken(kept[1]) or isinstance(outcomes[1], NotExecuted)
        await store.ping()
        await store.create(message(), receipt())

    on_store(f"sqlite://{path}", work)


def test_corrupted_file_fails_looks(tmp_path: Path) -> None:
    """When the whole file is corrupted while it is open, operations fail as not executed, and the store closes."""

    async def work(store: Store) -> None:
        kept = message(b"x" * 50_000)
        await store.create(kept, receipt())
        await asyncio.to_thread(store._writer._checkpoint)  # type: ignore[attr-defined]
        size = (tmp_path / "m.db").stat().st_size
        with (tmp_path / "m.db").open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        for database in (store._reader, store._writer._transactions._database):  # type: ignore[attr-defined]
            database.execute("PRAGMA shrink_memory")
        operations = (store.look(kept.locator), store.take(kept.locator), store.create(message(), receipt()))
        await asyncio.gather(*map(fails_in_time, operations))

    begin = time.monotonic()
    on_store(f"sqlite://{tmp_path}/m.db", work)
    assert time.monotonic() - begin < 5
