"""Stores whose servers reply what they never should: the operation fails as unavailable, and nothing else breaks.

No real Redis, Sentinel or Cluster can be made to reply so; a fake server does (tests/support/fake_redis.py).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import hiredis
import pytest

from messaging_api.core.ratelimit import PendingCount
from messaging_api.core.store import Entry, Store
from messaging_api.errors import StoreError
from messaging_api.stores import StoreOptions, open_store
from messaging_api.stores.redis import sentinel
from messaging_api.stores.redis.hash_slot import SLOTS
from tests.support.fake_redis import OK, FakeRedis, encode, fake_redis
from tests.support.stores import HOUR, Clock, locator, message, receipt

TIMEOUT = 0.5
ODD = [
    7,
    -1,
    b"",
    b"x" * 40,
    b"\xff\xfe",
    [],
    [None] * 14,
    [b"x"],
    [1, 2],
    [b"1", b"2"],
    [[[]], [0, 1, [2]]],
    hiredis.ReplyError(""),
    hiredis.ReplyError("OOM command not allowed"),
    hiredis.ReplyError("MOVED 1 127.0.0.1:x"),
    hiredis.ReplyError("MOVED 1 127.0.0.1:99999999"),
    hiredis.ReplyError("ASK"),
    hiredis.ReplyError("ASK 1 a..b:1"),
]
"""Replies that no command of the service has, or with values that cannot be used."""
IDS = [repr(reply)[:40] for reply in ODD]


@contextlib.asynccontextmanager
async def store_at(url: str, replicas: int = 0) -> AsyncIterator[Store]:
    """Open a store for a block, in which no task and no callback of the loop may fail."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    store = open_store(url, Clock(), StoreOptions(TIMEOUT, replicas))
    try:
        yield store
    finally:
        await asyncio.wait_for(store.aclose(), 10 * TIMEOUT)
    assert failures == []


async def outcome(operation: Awaitable[Any]) -> Any:
    """Return the result of an operation, or its StoreError; it has to come in time."""
    begin = time.monotonic()
    try:
        return await asyncio.wait_for(operation, 10 * TIMEOUT)
    except StoreError as error:
        return error
    finally:
        assert time.monotonic() - begin < 5 * TIMEOUT


async def counted(store: Store) -> Any:
    pending = PendingCount((b"\x01" * 8, "read", "miss"))
    store.count(pending)
    return await pending


def operations(store: Store) -> dict[str, Awaitable[Any]]:
    return {
        "look": store.look(locator()),
        "take": store.take(locator()),
        "burn": store.burn(locator()),
        "receipt": store.receipt(locator()),
        "create": store.create(message(), receipt(), Entry(locator(), b"record", HOUR)),
        "stats": store.stats(),
        "count": counted(store),
        "ping": store.ping(),
    }


def healthy(fake: FakeRedis, command: list[bytes]) -> bytes:
    """Return the reply of a server without messages, which is also a sentinel and a cluster of one node."""
    match command:
        case [b"CLUSTER", *_]:
            return encode([[0, SLOTS - 1, [b"127.0.0.1", fake.port, b"id"]]])
        case [b"ROLE"]:
            return encode([b"master", 0, []])
        case [b"SENTINEL", b"MASTER", *_]:
            return encode([b"name", b"config-epoch", b"config-epoch", b"1"])
        case [b"SENTINEL", *_]:
            return encode([b"127.0.0.1", b"%d" % fake.port])
        case [b"GET", *_]:
            return encode(None)
        case _:
            return OK


FITS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("look", "take", "burn", "receipt", "create"), lambda odd: isinstance(odd, bytes)),
    "ping": lambda odd: not isinstance(odd, hiredis.ReplyError),  # it asks only whether there is an answer
}
"""Whether a reply has the shape that an operation expects; for other operations none of ODD has."""


@pytest.mark.parametrize("kind", ["redis", "redis+cluster", "redis+sentinel"])
@pytest.mark.parametrize("odd", ODD, ids=IDS)
def test_odd_replies_to_operations_are_store_errors(kind: str, odd: Any) -> None:
    """An operation whose reply has another shape than its command fails; the next one works."""
    good = (b"CLUSTER", b"ROLE", b"SENTINEL", b"SET")

    async def work() -> None:
        async with fake_redis() as fake:
            fake.reply = lambda command: healthy(fake, command) if command[0] in good else encode(odd)
            name = "/m" if kind == "redis+sentinel" else ""
            async with store_at(f"{kind}://127.0.0.1:{fake.port}{name}") as store:
                running = operations(store)
                results = dict(zip(running, await asyncio.gather(*map(outcome, running.values())), strict=True))
                assert {name: isinstance(result, StoreError) for name, result in results.items()} == {
                    name: not FITS.get(name, lambda _: False)(odd) for name in running
                }, results
                fake.reply = partial(healthy, fake)
                assert await outcome(store.receipt(locator())) is None

    asyncio.run(work())


@pytest.mark.parametrize("odd", ODD, ids=IDS)
def test_odd_replies_to_wait_are_missing_replicas(odd: Any) -> None:
    """A write that waits for replicas fails in time, and the next one too: the channel goes on."""

    async def work() -> None:
        async with fake_redis() as fake, store_at(f"redis://127.0.0.1:{fake.port}", replicas=1) as store:
            fake.reply = lambda command: encode(odd) if command[0] == b"WAIT" else OK
            for _ in range(2):
                assert isinstance(await outcome(store.take(locator())), StoreError) is (odd != 7)

    asyncio.run(work())


@pytest.mark.parametrize("odd", ODD, ids=IDS)
@pytest.mark.parametrize("command", [b"AUTH", b"SELECT", b"ROLE", b"SENTINEL", b"CLUSTER"])
def test_odd_replies_while_connecting_are_store_errors(command: bytes, odd: Any) -> None:
    """Operations fail in time while the connection cannot be made, and work once the server replies as it should."""

    async def work() -> None:
        async with fake_redis() as fake:
            fake.reply = lambda received: encode(odd) if received[0] == command else healthy(fake, received)
            url = {
                b"AUTH": f"redis://:secret@127.0.0.1:{fake.port}",
                b"SELECT": f"redis://127.0.0.1:{fake.port}/3",
                b"CLUSTER": f"redis+cluster://127.0.0.1:{fake.port}",
            }.get(command, f"redis+sentinel://127.0.0.1:{fake.port}/m")
            async with store_at(url) as store:
                login = command in (b"AUTH", b"SELECT") and not isinstance(odd, hiredis.ReplyError)
                for _ in range(2):
                    assert isinstance(await outcome(store.receipt(locator())), StoreError) is not login
                fake.reply = partial(healthy, fake)
                assert await outcome(store.receipt(locator())) is None

    asyncio.run(work())


@pytest.mark.parametrize("odd", ODD, ids=IDS)
@pytest.mark.parametrize("query", [b"MASTER", b"GET-MASTER-ADDR-BY-NAME"])
def test_odd_replies_of_a_sentinel_do_not_end_the_watch(
    query: bytes, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After odd replies the store still learns of a failover, and disconnects from the old master."""
    monkeypatch.setattr(sentinel, "_CHECK_INTERVAL", 0.01)
    odd_replies = 0

    def spoiled(master: FakeRedis, command: list[bytes]) -> bytes:
        nonlocal odd_replies
        if command[1] != query:
            return healthy(master, command)
        odd_replies += 1
        return encode(odd)

    async def work() -> None:
        async with (
            fake_redis() as old,
            fake_redis() as new,
            fake_redis() as watcher,
            store_at(f"redis+sentinel://127.0.0.1:{watcher.port}/m") as store,
        ):
            old.reply, new.reply, watcher.reply = (partial(healthy, master) for master in (old, new, old))
            assert await store.receipt(locator()) is None
            watcher.reply = partial(spoiled, old)
            await eventually(lambda: odd_replies)
            watcher.reply = partial(healthy, new)
            await eventually(lambda: not old.open)
            assert await outcome(store.receipt(locator())) is None
            assert (old.connections, new.connections) == (1, 1)

    asyncio.run(work())


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
