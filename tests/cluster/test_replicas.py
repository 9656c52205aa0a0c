"""What waiting for replicas promises, and what is lost without."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import pytest

from messaging_api.core import record
from messaging_api.core.store import Entry, Store
from messaging_api.errors import StoreUnavailable
from tests.cluster.test_topology import PREFIX, messages_on, read_out, works
from tests.integration.test_store_faults import refused_in_time
from tests.support.clusters import Cluster
from tests.support.redis_server import RedisServer
from tests.support.service import wait_for
from tests.support.stores import HOUR, message, on_store, opened, receipt


@contextlib.contextmanager
def stopped(server: RedisServer) -> Iterator[None]:
    """SIGSTOP, as a replica far behind; SIGCONT at the end."""
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def reads_left(master: RedisServer, kept: Entry) -> int | None:
    """As the master has it."""
    return record.unpack(master.client().get(PREFIX + kept.locator)).reads_left


def test_a_replica_that_hangs(cluster: Cluster) -> None:
    """Not shown, and but for those on their way not counted either; looks go on; then all works as before."""
    master = cluster.masters()[0]
    (replica,) = cluster.replicas_of(master)
    kept, burnt = messages_on(cluster, master, 2, reads=100)

    async def work(store: Store) -> None:
        for entry in (kept, burnt):
            await store.create(entry, receipt())
        with stopped(replica):
            await refused_in_time(store.take(kept.locator))
            left = reads_left(master, kept)
            await asyncio.gather(*(refused_in_time(store.take(kept.locator)) for _ in range(20)))
            await refused_in_time(store.burn(burnt.locator))
            assert reads_left(master, kept) == left == 99
            assert await store.look(burnt.locator) == record.unpack(burnt.value)
            await refused_in_time(store.create(messages_on(cluster, master, 1)[0], receipt()))
        await works(lambda: store.burn(burnt.locator))
        taken = await store.take(kept.locator)
        assert taken is not None
        assert taken.reads_left == 99

    on_store(cluster.url + "#1", work)
    wait_for(cluster.whole)


def test_a_burn_that_was_refused_is_not_taken_for_granted(cluster: Cluster) -> None:
    """Who finds a message burned, or an answer given, by a request that was refused is refused as well."""
    master = cluster.masters()[0]
    (replica,) = cluster.replicas_of(master)
    (kept,) = messages_on(cluster, master, 1)
    (place,) = messages_on(cluster, master, 1)
    elsewhere = messages_on(cluster, cluster.masters()[1], 4)
    answer = Entry(place.locator, b"answer", HOUR)

    async def work(store: Store) -> None:
        await store.create(kept, receipt())

        async def other(another: Store) -> None:
            await another.create(message(), receipt())
            with stopped(replica):
                burns = (store.burn(kept.locator), another.burn(kept.locator))
                creates = (one.create(*elsewhere[:2], answer) for one in (store, another))
                await asyncio.gather(*map(refused_in_time, (*burns, *creates)))

        async with opened(cluster.url + "#1") as another:
            await other(another)

    on_store(cluster.url + "#1", work)
    wait_for(cluster.whole)


def test_no_replica_at_all(cluster: Cluster) -> None:
    """A store that begins while there are too few replicas writes nothing; it works once they are there."""
    master = cluster.masters()[0]
    (replica,) = cluster.replicas_of(master)
    (kept,) = messages_on(cluster, master, 1, reads=1)
    on_store(cluster.url, lambda store: store.create(kept, receipt()))
    replica.kill()

    async def work(store: Store) -> None:
        await refused_in_time(store.take(kept.locator))
        assert reads_left(master, kept) == 1
        replica.start()
        await asyncio.to_thread(wait_for, cluster.whole)
        await read_out(store, kept)

    on_store(cluster.url + "#1", work)


@pytest.mark.parametrize("waits", ["", "#1"])
def test_failover_to_a_replica_that_was_behind(cluster: Cluster, waits: str) -> None:
    """Without waiting, what was acknowledged is lost and what was read comes back; with it, nobody was told so."""
    master = cluster.masters()[0]
    (replica,) = cluster.replicas_of(master)
    read, late = messages_on(cluster, master, 2, reads=1)

    async def work(store: Store) -> None:
        await works(lambda: store.create(read, receipt()))
        with stopped(replica):
            master.client().client_kill_filter(_type="replica")  # what is written now will not reach it
            told = await asyncio.gather(store.take(read.locator), store.create(late, receipt()), return_exceptions=True)
            assert [isinstance(one, StoreUnavailable) for one in told] == [bool(waits)] * 2
            master.kill()
        await asyncio.to_thread(wait_for, lambda: replica.client().role()[0] == b"master")
        master.start()
        await asyncio.to_thread(wait_for, cluster.whole)
        await works(lambda: store.burn(late.locator))
        assert await store.look(late.locator) is None
        assert await store.take(read.locator) is not None

    on_store(cluster.url + waits, work)
