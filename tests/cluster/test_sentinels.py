"""Servers that change under an open store while sentinels watch them."""

import asyncio
import contextlib
import signal
import time

import pytest

from messaging_api.core.store import Store
from messaging_api.errors import StoreUnavailable
from tests.cluster.test_topology import read_out, works
from tests.integration.test_store_faults import refused_in_time
from tests.support.clusters import NAME, Trio, hosts, steady_port
from tests.support.service import wait_for
from tests.support.stores import locator, message, on_store, receipt


@pytest.mark.parametrize("waits", ["", "#1"])
def test_a_master_that_is_asked_to_hand_over(trio: Trio, waits: str) -> None:
    """SENTINEL FAILOVER: an open store finds the new master without a restart, and what was kept is there."""
    master = trio.master()
    kept = message(reads=1)

    async def work(store: Store) -> None:
        await store.create(kept, receipt())
        trio.sentinels[0].client().execute_command("SENTINEL", "FAILOVER", NAME)
        await asyncio.to_thread(wait_for, lambda: trio.master() is not master, 20)
        await asyncio.to_thread(wait_for, lambda: master.client().role()[0] == b"slave", 20)
        await asyncio.to_thread(wait_for, trio.whole, 60)
        await works(lambda: store.create(message(), receipt()))
        await read_out(store, kept)

    on_store(trio.url + waits, work)


def test_a_master_that_hangs(trio: Trio) -> None:
    """SIGSTOP: refused in time; who takes its place is found, and the old one, when it goes on, is not believed."""
    master = trio.master()
    assert master.process is not None

    async def work(store: Store) -> None:
        kept = message(reads=1)
        await store.create(kept, receipt())
        assert master.process is not None
        master.process.send_signal(signal.SIGSTOP)
        try:
            await refused_in_time(store.take(locator()))
            await asyncio.to_thread(wait_for, lambda: trio.master() is not master, 20)
            await works(lambda: store.create(message(), receipt()))
            await read_out(store, kept)
        finally:
            master.process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(wait_for, trio.whole, 60)
        await works(lambda: store.create(message(), receipt()))

    on_store(trio.url + "#1", work)


def test_one_sentinel_of_three_is_enough_to_be_asked(trio: Trio) -> None:
    """Dead sentinels in the address cost some time at most; where there is none, operations fail in time."""
    dead = [f"127.0.0.1:{steady_port()}" for _ in range(2)]
    on_store(f"redis+sentinel://{','.join(dead)},{hosts(trio.sentinels[1])}/{NAME}", lambda store: store.ping())
    on_store(f"redis+sentinel://{','.join(dead)}/{NAME}", lambda store: refused_in_time(store.ping()))


def test_a_sentinel_that_hangs(trio: Trio) -> None:
    """It is waited for a little, and then done without."""
    process = trio.sentinels[2].process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        on_store(trio.url, lambda store: store.ping())
        agreed = time.monotonic() - begin
    finally:
        process.send_signal(signal.SIGCONT)
    assert agreed < 0.6  # of the store's timeout of 1.5


def test_a_name_that_no_sentinel_knows(trio: Trio) -> None:
    """Operations fail in time; the service can start before its servers are set up."""
    on_store(trio.url + "x", lambda store: refused_in_time(store.ping()))


def test_a_server_that_is_no_master_is_not_used(trio: Trio) -> None:
    """A sentinel that has not heard of anything may name a replica: it says itself that it is none."""
    replica = next(server for server in trio.servers if server is not trio.master())
    liar = trio.sentinels[0].client()
    liar.execute_command("SENTINEL", "MONITOR", "other", "127.0.0.1", replica.port, "2")
    try:
        on_store(f"redis+sentinel://{hosts(trio.sentinels[0])}/other", lambda store: refused_in_time(store.ping()))
    finally:
        liar.execute_command("SENTINEL", "REMOVE", "other")


def test_an_old_master_that_believes_it_still_is(trio: Trio) -> None:
    """Back, empty, and not yet put right by the sentinels: it is not used, also by whoever had found it already."""
    master = trio.master()
    kept = message(reads=1)

    async def work(store: Store) -> None:
        await store.create(kept, receipt())
        await asyncio.to_thread(trio.fail_over)
        while master.client().role()[0] == b"master":
            with contextlib.suppress(StoreUnavailable):
                assert await store.look(kept.locator) is not None
            await asyncio.sleep(0.05)
        await works(lambda: store.create(message(), receipt()))
        await read_out(store, kept)

    on_store(trio.url, work)
    wait_for(trio.whole, 60)
