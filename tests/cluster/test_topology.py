"""Changes of a cluster under an open store: migrated slots, failovers, unreachable nodes."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from messaging_api.core import record
from messaging_api.core.store import Entry, Store
from messaging_api.errors import OutcomeUnknown, StoreError, StoreFull
from messaging_api.stores.redis.hash_slot import slot_of
from tests.integration.test_store_faults import fails_in_time, recovers
from tests.support.clusters import Cluster, cluster_running, steady_port
from tests.support.redis_server import RedisServer
from tests.support.service import wait_for
from tests.support.stores import HOUR, locator, message, on_store, receipt

PREFIX = b"messaging_api:"


def slot(entry: Entry) -> int:
    return slot_of(PREFIX + entry.locator)


def owner(cluster: Cluster, entry: Entry) -> RedisServer:
    """Return the master that serves the slot of an entry."""
    return next(node for node in cluster.masters() if slot(entry) in cluster.slots_of(node))


def messages_on(cluster: Cluster, node: RedisServer, count: int, reads: int | None = None) -> list[Entry]:
    """Return messages in slots of this node."""
    slots = cluster.slots_of(node)
    some = (message(reads=reads) for _ in itertools.count())
    return list(itertools.islice((stored for stored in some if slot(stored) in slots), count))


def beside(entry: Entry, reads: int | None = None) -> Entry:
    """Return another message in the same slot."""
    while slot(stored := message(reads=reads)) != slot(entry):
        pass
    return stored


def node_id(node: RedisServer) -> str:
    name: str = node.client().cluster("myid").decode()
    return name


async def succeeds_soon(operation: Callable[[], Awaitable[object]]) -> None:
    """Repeat an operation until it succeeds, for a few seconds at most."""
    deadline = time.monotonic() + 5
    while True:
        try:
            await operation()
            break
        except StoreError:
            assert time.monotonic() < deadline, "the store did not recover"


async def has_one_reader(store: Store, stored: Entry) -> None:
    """Check that a message is there, for exactly one reader."""
    assert await store.look(stored.locator) == record.unpack(stored.value)
    assert await store.take(stored.locator) == record.unpack(record.tombstone(stored.value))
    assert await store.take(stored.locator) is None


@pytest.mark.parametrize("waits", ["", "#1"])
def test_slot_migration_follows_redirects(cluster: Cluster, waits: str) -> None:
    """During a migration each key is found at its node (ASK), after it all at the new node (MOVED)."""
    cluster.flush()  # the keys in the slot are counted
    here = message(reads=1)
    gone, fresh, late = (beside(here, reads=1) for _ in range(3))
    source = owner(cluster, here)
    target = next(node for node in cluster.masters() if node is not source)

    async def work(store: Store) -> None:
        for stored in (here, gone):
            await store.create(stored, receipt())
        target.client().execute_command("CLUSTER SETSLOT", slot(here), "IMPORTING", node_id(source))
        source.client().execute_command("CLUSTER SETSLOT", slot(here), "MIGRATING", node_id(target))
        source.client().migrate("127.0.0.1", target.port, PREFIX + gone.locator, 0, 1000)
        await store.create(fresh, receipt())
        assert [node.client().cluster("countkeysinslot", slot(here)) for node in (source, target)] == [1, 2]
        for stored in (gone, fresh, here):
            await has_one_reader(store, stored)
        source.client().migrate("127.0.0.1", target.port, PREFIX + here.locator, 0, 1000)
        for node in (target, source):
            node.client().execute_command("CLUSTER SETSLOT", slot(here), "NODE", node_id(target))
        await store.create(late, receipt())
        await has_one_reader(store, late)
        assert await store.take(here.locator) is None

    on_store(cluster.url + waits, work)
    wait_for(cluster.whole)


def test_manual_failover_fails_no_request(cluster: Cluster) -> None:
    """CLUSTER FAILOVER, as before maintenance, fails no request under load, and none is counted twice."""
    master = cluster.masters()[0]
    (heir,) = cluster.replicas_of(master)
    here = messages_on(cluster, master, 2000, reads=1)

    async def work(store: Store) -> None:
        await asyncio.gather(*(store.create(stored, receipt()) for stored in here[:1000]))
        heir.client().execute_command("CLUSTER FAILOVER")
        handed_over, count = False, 0
        while not handed_over or count % 100:
            handed_over = handed_over or heir.client().role()[0] == b"master"
            await store.create(here[1000 + count], receipt())
            await has_one_reader(store, here[count])
            count += 1
        await asyncio.gather(*(has_one_reader(store, stored) for stored in here[count : 1000 + count]))

    on_store(cluster.url, work)
    wait_for(cluster.whole)


def test_killed_master_fails_only_its_slots(cluster: Cluster) -> None:
    """kill -9: only its slots fail; the new master is found without a restart, and nothing is lost."""
    master = cluster.masters()[0]
    lost, other = messages_on(cluster, master, 1, reads=1)[0], messages_on(cluster, cluster.masters()[1], 1, reads=1)[0]

    async def work(store: Store) -> None:
        for stored in (lost, other):
            await store.create(stored, receipt())
        failing = asyncio.create_task(asyncio.to_thread(cluster.fail_over, master))
        await asyncio.to_thread(wait_for, lambda: master.process is None or master.process.poll() is not None)
        await fails_in_time(store.take(lost.locator))
        await store.ping()
        await has_one_reader(store, other)
        await failing
        await asyncio.to_thread(wait_for, cluster.whole)
        await succeeds_soon(lambda: store.create(beside(lost), receipt()))
        await has_one_reader(store, lost)

    on_store(cluster.url + "#1", work)


def test_hanging_master_fails_in_time(cluster: Cluster) -> None:
    """SIGSTOP: commands fail in time and are not retried; after SIGCONT the master is used again."""
    master = cluster.masters()[0]

    async def work(store: Store) -> None:
        twice = messages_on(cluster, master, 1, reads=2)[0]
        await store.create(twice, receipt())
        with master.suspended():
            await fails_in_time(store.take(twice.locator), OutcomeUnknown)
        await recovers(store)
        looked = await store.look(twice.locator)
        assert looked is not None
        assert looked.reads_left in (1, 2)

    on_store(cluster.url, work)
    wait_for(cluster.whole)


def test_unreachable_cluster_fails_in_time() -> None:
    """If no node listens at the address, every operation fails in time."""

    async def work(store: Store) -> None:
        await asyncio.gather(
            fails_in_time(store.ping()),
            fails_in_time(store.look(locator())),
            fails_in_time(store.create(message(), receipt(), receipt())),
            fails_in_time(store.stats()),
        )

    on_store(f"redis+cluster://127.0.0.1:{steady_port()}", work)


def test_one_reachable_node_of_the_address_is_enough(cluster: Cluster) -> None:
    """Dead nodes in the address delay nothing."""
    dead = ",".join(f"127.0.0.1:{steady_port()}" for _ in range(2))
    on_store(f"redis+cluster://{dead},127.0.0.1:{cluster.nodes[3].port}", lambda store: store.ping())


def test_redis_without_cluster_mode_is_rejected(redis_server: RedisServer) -> None:
    """A Redis without cluster mode makes operations fail in time."""
    on_store(redis_server.url.replace("redis:", "redis+cluster:"), lambda store: fails_in_time(store.ping()))


def test_flushed_scripts_are_sent_again(cluster: Cluster) -> None:
    """After SCRIPT FLUSH the next call sends the text of the script, and waits for replicas as usual."""

    async def work(store: Store) -> None:
        for _ in range(2):
            stored, idempotency = message(reads=1), Entry(locator(), b"record", HOUR)
            assert await store.create(stored, receipt(), idempotency) is None
            assert await store.create(message(), receipt(), idempotency) == b"record"
            await has_one_reader(store, stored)
            for node in cluster.masters():
                node.client().script_flush()

    on_store(cluster.url + "#1", work)


def test_failed_create_leaves_no_records(tmp_path: Path) -> None:
    """If one node is full, the records of a create on other nodes are removed, with and without idempotency record."""
    with cluster_running(tmp_path, "--maxmemory-policy", "noeviction") as cluster:
        full, *others = cluster.masters()

        async def work(store: Store) -> None:
            await store.ping()
            full.client().config_set("maxmemory", 1)
            fits, does_not = messages_on(cluster, others[0], 1)[0], messages_on(cluster, full, 1)[0]
            also_fits = messages_on(cluster, others[1], 1)[0]
            for entries in ((fits, does_not), (does_not, fits), (fits, also_fits, does_not)):
                with pytest.raises(StoreFull):
                    await store.create(*entries)
                assert [await store.receipt(entry.locator) for entry in entries] == [None] * len(entries)
            assert await store.create(fits, also_fits) is None

        on_store(cluster.url, work)


def test_stats_add_up_all_nodes(cluster: Cluster) -> None:
    """Stats are the sums of all nodes."""
    cluster.flush()

    async def work(store: Store) -> None:
        await asyncio.gather(*(store.create(message(), receipt()) for _ in range(50)))
        stats = await store.stats()
        assert stats.records == 100
        assert stats.full is not None
        assert stats.used_bytes > max(node.client().info("memory")["used_memory"] for node in cluster.masters())

    on_store(cluster.url, work)
