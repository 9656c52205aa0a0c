"""Full stores: what is there can be read, burned and swept; only new messages are rejected."""

import asyncio
import random
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from messaging_api.core import record
from messaging_api.core.store import Entry, Store
from messaging_api.errors import NotExecuted, StoreError, StoreFull
from messaging_api.stores.batching import StoreHooks
from tests.faults.test_stores import recovers
from tests.support.disks import fill, small_disk
from tests.support.redis_server import redis_running
from tests.support.service import sample, serving, wait_for
from tests.support.stores import HOUR, locator, message, on_store, receipt, taken

SMALL = b"x" * 88
"""A box of a message of 60 bytes."""
AT_ONCE = 200


async def until_full(store: Store, ttl: int = HOUR) -> list[Entry]:
    """Create small messages with one read each until the store is full; return those that were acknowledged."""
    created: list[Entry] = []
    for _ in range(1000):
        batch = [message(SMALL, reads=1, ttl=ttl) for _ in range(AT_ONCE)]
        outcomes = await asyncio.gather(
            *(store.create(one, receipt(b"t" * 54)) for one in batch), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} <= {type(None), StoreFull}
        created += [one for one, outcome in zip(batch, outcomes, strict=True) if outcome is None]
        if None not in outcomes:
            return created
    pytest.fail("the store did not become full")


async def everything_else_works(store: Store, at_least: int, *, keyed: bool = False) -> None:
    """Fill the store; check that a rejected create stores nothing, and that all its messages can be read or burned.

    `keyed`: each read leaves a resume record.
    """
    created = await until_full(store)
    assert len(created) >= at_least
    refused, ticket, answer = message(SMALL * 1000), receipt(), Entry(locator(), b"answer", HOUR)
    with pytest.raises(StoreFull):
        await store.create(refused, ticket, answer)
    assert [await store.receipt(entry.locator) for entry in (refused, ticket, answer)] == [None] * 3
    random.Random(1).shuffle(created)
    for start in range(0, len(created), AT_ONCE):
        part = created[start : start + AT_ONCE]
        read, burned = part[: AT_ONCE // 2], part[AT_ONCE // 2 :]
        resume = [Entry(locator(), SMALL, 60_000) if keyed else None for _ in read]
        takes = (store.take(one.locator, entry) for one, entry in zip(read, resume, strict=True))
        assert await asyncio.gather(*takes) == [taken(one) for one in read]
        assert None not in await asyncio.gather(*(store.burn(one.locator) for one in burned))
    assert await asyncio.gather(*(store.take(one.locator) for one in created[:AT_ONCE])) == [None] * AT_ONCE


@pytest.mark.parametrize("max_bytes", [1_000_000, 12_000_000])
def test_full_sqlite_file(tmp_path: Path, max_bytes: int) -> None:
    """At its maximum size, a file with thousands of small messages can be read and burned as a whole."""
    at_least = max_bytes // 1_000
    on_store(f"sqlite://{tmp_path}/m.db?max_bytes={max_bytes}", lambda store: everything_else_works(store, at_least))
    assert (tmp_path / "m.db").stat().st_size <= max_bytes


def test_full_sqlite_file_with_resume_records(tmp_path: Path) -> None:
    """A full file can be read as a whole within a minute, also if each read leaves a resume record."""
    url = f"sqlite://{tmp_path}/m.db?max_bytes=2000000"
    on_store(url, lambda store: everything_else_works(store, 2_000, keyed=True))


def test_full_redis(tmp_path: Path) -> None:
    """At maxmemory, a Redis with thousands of small messages can be read and burned as a whole."""
    with redis_running(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        on_store(server.url, lambda store: everything_else_works(store, 1_000))
        assert server.client().dbsize() % 2 == 0


def test_full_disk(tmp_path: Path) -> None:
    """On a full disk, a file with thousands of small messages can be read and burned as a whole."""
    with small_disk(tmp_path, "48m") as disk:

        async def work(store: Store) -> None:
            fill(disk, spare=1_000_000)
            await everything_else_works(store, 1_000)

        on_store(f"sqlite://{disk}/m.db", work)


def test_full_disk_without_room_for_a_reserve(tmp_path: Path) -> None:
    """Where the disk was full before there was a reserve, creates and reads are rejected, and no read is spent."""
    with small_disk(tmp_path, "16m") as disk:
        kept = message(b"x" * 1000, reads=1)
        on_store(f"sqlite://{disk}/m.db", lambda store: store.create(kept, receipt()))
        (disk / "m.db-reserve").unlink()
        filler = fill(disk, spare=100_000)

        async def work(store: Store) -> None:
            with pytest.raises(StoreFull):
                await store.create(message(), receipt())
            await asyncio.to_thread(store._writer._checkpoint)  # type: ignore[attr-defined]  # an empty log
            fill(disk, name="rest")
            for operation in (store.take, store.burn):
                with pytest.raises(StoreFull):
                    await operation(kept.locator)
            assert await store.look(kept.locator) == record.unpack(kept.value)
            filler.unlink()
            await recovers(store)
            assert await store.take(kept.locator) == taken(kept)

        on_store(f"sqlite://{disk}/m.db", work)


def test_ready_tells_a_full_disk(tmp_path: Path) -> None:
    """A ping writes: on a full disk it fails, and once there is room again it succeeds."""
    with small_disk(tmp_path, "16m") as disk:

        async def work(store: Store) -> None:
            await store.ping()
            await asyncio.to_thread(store._writer._checkpoint)  # type: ignore[attr-defined]  # an empty log
            filler = fill(disk)
            with pytest.raises(StoreFull):
                await store.ping()
            filler.unlink()
            await recovers(store)
            await store.create(message(), receipt())

        on_store(f"sqlite://{disk}/m.db", work)


def test_pings_do_not_grow_the_file(tmp_path: Path) -> None:
    """A thousand pings leave a file of the same size, and a log that is emptied."""

    async def work(store: Store) -> int:
        for _ in range(1000):
            await store.ping()
        return (await store.stats()).used_bytes

    url = f"sqlite://{tmp_path}/m.db"
    size = on_store(url, store_size)
    assert on_store(url, work) == size


async def store_size(store: Store) -> int:
    """Return the bytes that a store uses."""
    return (await store.stats()).used_bytes


def test_sweeping_goes_on_on_a_full_disk(tmp_path: Path) -> None:
    """Expired records are removed while the disk is full, and creates work again once there is room."""
    with small_disk(tmp_path, "16m") as disk:

        async def work(store: Store) -> None:
            for _ in range(30):
                await store.create(message(ttl=1500), receipt(ttl=-86_400_000 + 1500))
            filler = fill(disk)
            deadline = time.monotonic() + 20
            while (await store.stats()).records:
                assert time.monotonic() < deadline, "the records were not removed"
                await asyncio.sleep(0.05)
            filler.unlink()
            await recovers(store)
            await store.create(message(), receipt())

        on_store(f"sqlite://{disk}/m.db", work)


def test_sweeping_survives_errors_and_tells_them_once(tmp_path: Path) -> None:
    """While sweeping fails, that is told once; it goes on when the fault is over, and the store closes all the time."""
    told: list[StoreError | None] = []

    async def work(store: Store) -> None:
        gone = message(ttl=1)
        await store.create(gone, receipt())
        failing = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
        failing.execute("CREATE TRIGGER fault BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'fault'); END")
        with pytest.raises(NotExecuted):
            await store.sweep()  # type: ignore[attr-defined]
        await until(lambda: len(told) == 1)
        sweeps = store._sweeper  # type: ignore[attr-defined]
        for _ in range(3):
            with pytest.raises(NotExecuted):
                await sweeps.sweep()
        failing.execute("DROP TRIGGER fault")
        failing.close()
        await until(lambda: len(told) == 2)
        assert await store.look(gone.locator) is None

    on_store(f"sqlite://{tmp_path}/m.db", work, hooks=StoreHooks(sweeping=told.append))
    assert [type(error) for error in told] == [NotExecuted, type(None)]


async def until(condition: object) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def test_service_on_a_full_disk(tmp_path: Path) -> None:
    """On a full disk a post gets 507 and /ready 503; reads go on; SIGTERM ends the service with exit code 0."""
    with small_disk(tmp_path, "24m") as disk, serving(tmp_path, f"sqlite://{disk}/m.db", "--workers", "2") as service:
        post = {"message": "x" * 60, "reads": 1}
        links = [httpx.post(service.url, json=post).json()["url"] for _ in range(50)]
        filler = fill(disk)
        wait_for(lambda: httpx.post(service.url, json={"message": "x" * 60_000}, timeout=10).status_code == 507)
        wait_for(lambda: httpx.get(f"{service.ops_url}/ready", timeout=10).status_code == 503)
        read = {httpx.get(link, headers={"accept": "text/plain"}, timeout=10).status_code for link in links}
        assert read == {200}
        filler.unlink()
        wait_for(lambda: httpx.get(f"{service.ops_url}/ready", timeout=10).status_code == 200)
        wait_for(lambda: httpx.post(service.url, json=post, timeout=10).status_code == 200)
        fill(disk)
        wait_for(lambda: sample(service.ops_url, "messaging_store_full_ratio") == 1)
        assert service.stop() == 0
