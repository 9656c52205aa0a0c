"""Failovers by sentinels under an open store."""

import asyncio
import contextlib
import time

import pytest

from messaging_api.core.store import Store
from messaging_api.errors import OutcomeUnknown, StoreError
from tests.cluster.test_topology import has_one_reader, succeeds_soon
from tests.integration.test_store_faults import fails_in_time
from tests.support.clusters import NAME, Trio, hosts, steady_port
from tests.support.service import wait_for
from tests.support.stores import locator, message, on_store, receipt


@pytest.mark.parametrize("waits", ["", "#1"])
def test_sentinel_failover_is_followed(trio: Trio, waits: str) -> None:
    """After SENTINEL FAILOVER an open store finds the new master, and nothing is lost."""
    master = trio.master()
    stored = message(reads=1)

    async def work(store: Store) -> None:
        await store.create(stored, receipt())
        trio.sentinels[0].client().execute_command("SENTINEL", "FAILOVER", NAME)
        await asyncio.to_thread(wait_for, lambda: trio.master() is not master, 20)
        await asyncio.to_thread(wait_for, lambda: master.client().role()[0] == b"slave", 20)
        await asyncio.to_thread(wait_for, trio.whole, 60)
        await succeeds_soon(lambda: store.create(message(), receipt()))
        await has_one_reader(store, stored)

    on_store(trio.url + waits, work)


def test_hanging_master_fails_in_time(trio: Trio) -> None:
    """SIGSTOP: operations fail in time; the new master is found, and the old one is not used after SIGCONT."""
    master = trio.master()

    async def work(store: Store) -> None:
        stored = message(reads=1)
        await store.create(stored, receipt())
        with master.suspended():
            await fails_in_time(store.take(locator()), OutcomeUnknown)
            await asyncio.to_thread(wait_for, lambda: trio.master() is not master, 20)
            await succeeds_soon(lambda: store.create(message(), receipt()))
            await has_one_reader(store, stored)
        await asyncio.to_thread(wait_for, trio.whole, 60)
        await succeeds_soon(lambda: store.create(message(), receipt()))

    on_store(trio.url + "#1", work)


def test_one_reachable_sentinel_is_enough(trio: Trio) -> None:
    """Dead sentinels in the address cost some time only; if all are dead, operations fail in time."""
    dead = [f"127.0.0.1:{steady_port()}" for _ in range(2)]
    on_store(f"redis+sentinel://{','.join(dead)},{hosts(trio.sentinels[1])}/{NAME}", lambda store: store.ping())
    on_store(f"redis+sentinel://{','.join(dead)}/{NAME}", lambda store: fails_in_time(store.ping()))


def test_hanging_sentinel_delays_little(trio: Trio) -> None:
    """A hanging sentinel delays an operation by less than half of the store's timeout."""
    with trio.sentinels[2].suspended():
        begin = time.monotonic()
        on_store(trio.url, lambda store: store.ping())
        agreed = time.monotonic() - begin
    assert agreed < 0.6  # of the store's timeout of 1.5


def test_unknown_master_name_fails_in_time(trio: Trio) -> None:
    """Operations fail in time; the service can start before its servers are set up."""
    on_store(trio.url + "x", lambda store: fails_in_time(store.ping()))


def test_replica_named_as_master_is_not_used(trio: Trio) -> None:
    """A sentinel that is behind may name a replica: its own ROLE shows that it is no master."""
    replica = next(server for server in trio.servers if server is not trio.master())
    liar = trio.sentinels[0].client()
    liar.execute_command("SENTINEL", "MONITOR", "other", "127.0.0.1", replica.port, "2")
    try:
        on_store(f"redis+sentinel://{hosts(trio.sentinels[0])}/other", lambda store: fails_in_time(store.ping()))
    finally:
        liar.execute_command("SENTINEL", "REMOVE", "other")


def test_old_master_is_not_used(trio: Trio) -> None:
    """An old master that is back and empty is not used before the sentinels have reconfigured it."""
    master = trio.master()
    stored = message(reads=1)

    async def work(store: Store) -> None:
        await store.create(stored, receipt())
        await asyncio.to_thread(trio.fail_over)
        while master.client().role()[0] == b"master":
            with contextlib.suppress(StoreError):
                assert await store.look(stored.locator) is not None
            await asyncio.sleep(0.05)
        await succeeds_soon(lambda: store.create(message(), receipt()))
        await has_one_reader(store, stored)

    on_store(trio.url, work)
    wait_for(trio.whole, 60)
