"""Writes that wait for replicas, and the losses without."""

import asyncio

import pytest

from messaging_api.core import record
from messaging_api.core.store import Entry, Store
from messaging_api.errors import OutcomeUnknown, StoreError
from tests.cluster.test_topology import PREFIX, has_one_reader, messages_on, succeeds_soon
from tests.faults.test_stores import fails_in_time
from tests.support.clusters import Cluster
from tests.support.redis_server import RedisServer
from tests.support.service import wait_for
from tests.support.stores import HOUR, message, on_store, opened, receipt


def reads_left(master: RedisServer, stored: Entry) -> int | None:
    """Return the reads left in the record on the master."""
    value = master.client().get(PREFIX + stored.locator)
    assert isinstance(value, bytes)
    return record.unpack(value).reads_left


def test_hanging_replica_fails_writes_and_not_reads(cluster: Cluster) -> None:
    """Without replicas nothing is delivered or counted but the commands in flight, and looks go on."""
    master = cluster.masters()[0]
    (replica,) = cluster.replicas_of(master)
    stored, burnt = messages_on(cluster, master, 2, reads=100)

    async def work(store: Store) -> None:
        for entry in (stored, burnt):
            await store.create(entry, receipt())
        with replica.suspended():
            await fails_in_time(store.take(stored.locator), OutcomeUnknown)
            left = reads_left(master, stored)
            await asyncio.gather(*(fails_in_time(store.take(stored.locator)) for _ in range(20)))
            await fails_in_time(store.burn(burnt.locator))
            assert reads_left(master, stored) == left == 99
            assert await store.look(burnt.locator) == record.unpack(burnt.value)
            await fails_in_time(store.create(messages_on(cluster, master, 1)[0], receipt()))
        await succeeds_soon(lambda: store.burn(burnt.locator))
        taken = await store.take(stored.locator)
        assert taken is not None
        assert taken.reads_left == 99

    on_store(cluster.url + "#1", work)
    wait_for(cluster.whole)


def test_unconfirmed_state_is_not_acknowledged(cluster: Cluster) -> None:
    """A request that finds the result of an unconfirmed burn or create fails as well."""
    master = cluster.masters()[0]
    (replica,) = cluster.replicas_of(master)
    (stored,) = messages_on(cluster, master, 1)
    (place,) = messages_on(cluster, master, 1)
    first, second, *_ = messages_on(cluster, cluster.masters()[1], 4)
    idempotency = Entry(place.locator, b"record", HOUR)

    async def work(store: Store) -> None:
        await store.create(stored, receipt())

        async def other(another: Store) -> None:
            await another.create(message(), receipt())
            with replica.suspended():
                burns = (store.burn(stored.locator), another.burn(stored.locator))
                creates = (one.create(first, second, idempotency) for one in (store, another))
                await asyncio.gather(*(fails_in_time(one, StoreError) for one in (*burns, *creates)))

        async with opened(cluster.url + "#1") as another:
            await other(another)

    on_store(cluster.url + "#1", work)
    wait_for(cluster.whole)


def test_missing_replica_prevents_writes(cluster: Cluster) -> None:
    """A store that starts with too few replicas writes nothing, and works once they are there."""
    master = cluster.masters()[0]
    (replica,) = cluster.replicas_of(master)
    (stored,) = messages_on(cluster, master, 1, reads=1)
    on_store(cluster.url, lambda store: store.create(stored, receipt()))
    replica.kill()

    async def work(store: Store) -> None:
        await fails_in_time(store.take(stored.locator))
        assert reads_left(master, stored) == 1
        replica.start()
        await asyncio.to_thread(wait_for, cluster.whole)
        await has_one_reader(store, stored)

    on_store(cluster.url + "#1", work)


@pytest.mark.parametrize("waits", ["", "#1"])
def test_failover_to_a_replica_that_lags(cluster: Cluster, waits: str) -> None:
    """Without waiting, acknowledged messages are lost and read ones come back; with it, they were not acknowledged."""
    master = cluster.masters()[0]
    (replica,) = cluster.replicas_of(master)
    read, late = messages_on(cluster, master, 2, reads=1)

    async def work(store: Store) -> None:
        await succeeds_soon(lambda: store.create(read, receipt()))
        with replica.suspended():
            master.client().client_kill_filter(_type="replica")  # what is written now will not reach it
            outcomes = await asyncio.gather(
                store.take(read.locator), store.create(late, receipt()), return_exceptions=True
            )
            assert [isinstance(one, OutcomeUnknown) for one in outcomes] == [bool(waits)] * 2
            master.kill()
        await asyncio.to_thread(wait_for, lambda: replica.client().role()[0] == b"master")
        master.start()
        await asyncio.to_thread(wait_for, cluster.whole)
        await succeeds_soon(lambda: store.burn(late.locator))
        assert await store.look(late.locator) is None
        assert await store.look(read.locator) is not None

    on_store(cluster.url + waits, work)
