"""Resume records in a Redis that is full or has forgotten its scripts."""

import asyncio
import contextlib
from pathlib import Path

from messaging_api.core.store import Entry, Store
from messaging_api.errors import StoreFull
from tests.support.redis_server import RedisServer, redis_running
from tests.support.stores import HOUR, locator, message, on_store, receipt

LIMIT = 8 * 2**20
SIZE = 30_000


def test_full_redis_takes_reads_without_records(tmp_path: Path) -> None:
    """In a full Redis reads with a key go on, resume records do not fill it further, and those there still serve."""
    with redis_running(tmp_path, "--maxmemory", str(LIMIT), "--maxmemory-policy", "noeviction") as server:

        async def work(store: Store) -> None:
            read = message(b"x" * SIZE, reads=300)
            await store.create(read, receipt())
            first = Entry(locator(), b"y" * SIZE, HOUR)
            taken = await store.take(read.locator, first)
            with contextlib.suppress(StoreFull):
                while True:
                    await store.create(message(b"x" * SIZE), receipt())
            with contextlib.suppress(StoreFull):
                while True:
                    await store.create(message(b"x" * 500), receipt())
            before = server.client().info("memory")["used_memory"]
            for _ in range(200):
                assert await store.take(read.locator, Entry(locator(), b"y" * SIZE, HOUR)) is not None
            assert server.client().info("memory")["used_memory"] - before < 10 * SIZE
            again = await store.take(read.locator, first)
            assert taken is not None
            assert again == taken._replace(box=first.value)
            left = await store.look(read.locator)
            assert left is not None
            assert left.reads_left == 99

        on_store(server.url, work)


def test_unknown_script_is_not_sent_again_for_a_caller_that_has_gone(redis_server: RedisServer) -> None:
    """A take whose caller has gone while Redis was about to answer NOSCRIPT does not take place."""

    async def work(store: Store) -> None:
        stored = message(reads=1)
        await store.create(stored, receipt())
        client = redis_server.client()
        client.script_flush()
        client.client_pause(5_000, all=False)
        take = asyncio.create_task(store.take(stored.locator))
        while not client.info("clients")["blocked_clients"]:
            await asyncio.sleep(0.01)
        take.cancel()
        await asyncio.wait([take])
        client.client_unpause()
        await store.ping()
        after = await store.look(stored.locator)
        assert after is not None
        assert after.reads_left == 1

    on_store(redis_server.url, work)
