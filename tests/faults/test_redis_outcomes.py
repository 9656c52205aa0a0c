"""What a caller is told about an operation on Redis, compared with what took place."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from messaging_api.core import record
from messaging_api.core.pending import Driver
from messaging_api.core.store import Entry, Store
from messaging_api.errors import NotExecuted, OutcomeUnknown
from messaging_api.stores.redis.store import TAKE, TAKE_RESUMABLE
from tests.cluster.test_topology import succeeds_soon
from tests.support.clusters import QUICK
from tests.support.raw_http import raw
from tests.support.redis_relay import RedisRelay, relayed
from tests.support.redis_server import RedisServer, redis_running
from tests.support.service import Running, answers, serving, wait_for
from tests.support.stores import HOUR, locator, message, on_store, receipt

PREFIX = b"messaging_api:"
TAKE_HASH, TAKE_RESUMABLE_HASH = (str(script.call(0)[1]).encode() for script in (TAKE, TAKE_RESUMABLE))
TIMEOUT = 1.5
"""The timeout of a store in seconds, unless it is set."""
TEXT = {"accept": "text/plain"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Yield a Redis for one test."""
    with redis_running(tmp_path / "redis", *QUICK) as running:
        yield running


@pytest.fixture
def relay(server: RedisServer) -> Iterator[RedisRelay]:
    """Yield a relay before that Redis."""
    with relayed(server) as running:
        yield running


def reads_left(server: RedisServer, stored: Entry) -> int | None:
    """Return the reads left in the record on the server."""
    value = server.client().get(PREFIX + stored.locator)
    assert isinstance(value, bytes)
    return record.unpack(value).reads_left


async def outcomes(*operations: Awaitable[object]) -> list[type]:
    """Return the kind of each outcome: one of the two errors, or the type of the result."""
    return [
        next((kind for kind in (NotExecuted, OutcomeUnknown) if isinstance(outcome, kind)), type(outcome))
        for outcome in await asyncio.gather(*operations, return_exceptions=True)
    ]


async def posted(store: Store, count: int) -> list[Entry]:
    """Create messages with one read, on a server that knows the script of a take."""
    await succeeds_soon(lambda: store.take(locator()))
    entries = [message(reads=1) for _ in range(count)]
    for entry in entries:
        await store.create(entry, receipt())
    return entries


def test_take_sent_to_a_hung_server_is_unknown_and_the_one_behind_it_is_not_executed(
    server: RedisServer, relay: RedisRelay
) -> None:
    """The server carries out the first when it continues, and never the second."""

    async def work(store: Store) -> None:
        sent, queued = await posted(store, 2)
        relay.hold(TAKE_HASH)
        with server.suspended():
            first = asyncio.ensure_future(store.take(sent.locator))
            await asyncio.to_thread(wait_for, relay.holding)
            assert await outcomes(first, store.take(queued.locator)) == [OutcomeUnknown, NotExecuted]
        await asyncio.to_thread(wait_for, lambda: reads_left(server, sent) == 0)
        relay.release()
        await store.ping()
        assert reads_left(server, queued) == 1

    on_store(relay.url, work)


def test_demoted_master_executes_none_of_a_batch(server: RedisServer, relay: RedisRelay) -> None:
    """All 20 takes of a batch are known not to have been executed, although the replies come one after the other."""

    async def work(store: Store) -> None:
        entries = await posted(store, 20)
        server.client().replicaof("127.0.0.1", server.port)
        relay.hold(TAKE_HASH, after=100)
        takes = [asyncio.ensure_future(store.take(entry.locator)) for entry in entries]
        done, due = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
        assert done
        assert due
        relay.release()
        assert await outcomes(*takes) == [NotExecuted] * 20
        server.client().replicaof("NO", "ONE")
        assert [reads_left(server, entry) for entry in entries] == [1] * 20
        assert [await store.take(entry.locator) is not None for entry in entries] == [True] * 20

    on_store(relay.url, work)


def test_unknown_script_after_a_slow_connect_is_within_the_timeout(server: RedisServer, relay: RedisRelay) -> None:
    """The second attempt, with the text of the script, has what is left of the timeout, not all of it again."""

    async def work(store: Store) -> None:
        relay.hold(b"PING")
        begin = time.monotonic()
        take = asyncio.ensure_future(store.take(locator()))
        await asyncio.to_thread(wait_for, relay.holding)
        await asyncio.sleep(begin + 1.0 - time.monotonic())  # the fault itself: a server that needs a second
        relay.hold(b"EVAL\r\n")
        relay.release()
        assert await outcomes(take) == [OutcomeUnknown]
        assert TIMEOUT <= time.monotonic() - begin < TIMEOUT + 0.3
        assert relay.holding()

    server.client().script_flush()
    on_store(relay.url, work)


def test_server_with_too_many_clients_executes_nothing(tmp_path: Path) -> None:
    """A take that needs a connection which the server refuses is known not to have been executed."""
    entry = message(reads=1)
    with redis_running(tmp_path, "--maxclients", "10") as server, contextlib.ExitStack() as others:
        server.client().set(PREFIX + entry.locator, entry.value)
        while others.enter_context(socket.create_connection(("127.0.0.1", server.port))) is not None:
            if server_is_full(server):
                break

        async def work(store: Store) -> None:
            assert await outcomes(store.take(entry.locator)) == [NotExecuted]
            others.close()
            await asyncio.to_thread(wait_for, lambda: not server_is_full(server))
            assert await store.take(entry.locator) == record.unpack(record.tombstone(entry.value))

        on_store(server.url, work)


def server_is_full(server: RedisServer) -> bool:
    """Tell whether the server refuses a connection because it has too many."""
    with socket.create_connection(("127.0.0.1", server.port)) as probe:
        probe.sendall(b"PING\r\n")
        return probe.recv(100).startswith(b"-ERR max number of clients")


class TestReplicas:
    """A master that waits for the confirmation of one replica."""

    @pytest.fixture
    def replica(self, server: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
        """Yield a connected replica of the server."""
        with redis_running(tmp_path / "replica", "--replicaof", f"127.0.0.1 {server.port}") as running:
            wait_for(lambda: server.client().wait(1, 100) == 1)
            yield running

    def test_unconfirmed_take_is_unknown_and_the_next_is_not_executed(
        self, server: RedisServer, replica: RedisServer
    ) -> None:
        """The first was counted on the master; after that nothing is sent there."""

        async def work(store: Store) -> None:
            sent, behind = await posted(store, 2)
            with replica.suspended():
                assert await outcomes(store.take(sent.locator)) == [OutcomeUnknown]
                assert await outcomes(store.take(behind.locator)) == [NotExecuted]
                assert [reads_left(server, entry) for entry in (sent, behind)] == [0, 1]

        on_store(server.url + "#1", work)

    def test_resumed_read_is_confirmed_as_well(self, server: RedisServer, replica: RedisServer) -> None:
        """The text of a read that no replica has is not shown: after a failover somebody else could read it."""
        resume = Entry(locator(), b"box", HOUR)

        async def work(store: Store) -> None:
            (entry,) = await posted(store, 1)
            with replica.suspended():
                assert await outcomes(store.take(entry.locator, resume)) == [OutcomeUnknown]
                assert await outcomes(store.resume(entry.locator, resume.locator)) == [NotExecuted]
            await succeeds_soon(lambda: store.burn(locator()))
            resumed = await store.resume(entry.locator, resume.locator)
            assert resumed == record.unpack(record.resume_record(entry.value, b"box"))

        on_store(server.url + "#1", work)


class TestAbandoned:
    """Operations whose caller has gone before they were sent."""

    def test_take_abandoned_in_its_turn_does_not_take_place(self, server: RedisServer) -> None:
        """Of two takes in one batch, which waits a turn for more, the abandoned one is not sent."""

        async def work(store: Store) -> None:
            gone, present = await posted(store, 2)
            drivers = [Driver[object](), Driver[object]()]
            ended = asyncio.Event()
            for driver, entry in zip(drivers, (gone, present), strict=True):
                driver.run(store.take(entry.locator), lambda _: ended.set())
            drivers[0].close()
            await ended.wait()
            assert [reads_left(server, entry) for entry in (gone, present)] == [1, 0]

        on_store(server.url, work)

    def test_take_abandoned_behind_another_batch_does_not_take_place(
        self, server: RedisServer, relay: RedisRelay
    ) -> None:
        """A take that waits for the replies of the batch before it is not sent when its caller goes."""

        async def work(store: Store) -> None:
            before, gone = await posted(store, 2)
            relay.hold(TAKE_HASH)
            first = asyncio.ensure_future(store.take(before.locator))
            await asyncio.to_thread(wait_for, relay.holding)
            second = asyncio.ensure_future(store.take(gone.locator))
            await asyncio.wait([second], timeout=0.05)  # it is queued: the test would fail if it were sent
            second.cancel()
            relay.release()
            assert await first is not None
            await store.ping()
            assert reads_left(server, gone) == 1

        on_store(relay.url, work)


def read_one(service: Running) -> None:
    """Read a message, without a key and with one, so that the server knows both scripts of a take."""
    for key in ({}, {"idempotency-key": os.urandom(16).hex()}):
        posted = httpx.post(service.url, json={"message": "x", "reads": 1}).json()
        assert httpx.get(posted["url"], headers=TEXT | key).status_code == 200


class TestOverHttp:
    """The statuses of the service, and the receipts afterwards."""

    def test_late_reply_to_a_take_gives_504(self, tmp_path: Path, relay: RedisRelay) -> None:
        """The read is spent. A reader with a key gets the text when it comes back, and nobody else does."""
        with serving(tmp_path, relay.url, "--workers", "1") as service:
            read_one(service)
            for key, script in (({}, TAKE_HASH), ({"idempotency-key": os.urandom(16).hex()}, TAKE_RESUMABLE_HASH)):
                posted = httpx.post(service.url, json={"message": "x", "reads": 1}).json()
                relay.hold(script)
                read = httpx.get(posted["url"], headers=TEXT | key, timeout=10)
                assert (read.status_code, "retry-after" in read.headers) == (504, False)
                relay.release()
                receipt = httpx.get(posted["receipt"], headers={"accept": "application/json"})
                assert receipt.json()["state"] == "read"
                again = httpx.get(posted["url"], headers=TEXT | key)
                assert (again.status_code, again.text == "x") == ((200, True) if key else (404, False))
                assert httpx.get(posted["url"], headers=TEXT).status_code == 404

    @pytest.mark.parametrize("victim", ["worker", "redis"])
    def test_reader_with_a_key_survives_a_kill_between_take_and_response(self, tmp_path: Path, victim: str) -> None:
        """The read is counted, then a process is killed: the reader comes back and has the text, nobody else has."""
        durable = ("--appendonly", "yes", "--appendfsync", "always")
        with (
            redis_running(tmp_path / "redis", *durable) as server,
            relayed(server) as relay,
            serving(tmp_path, relay.url, "--workers", "1", "--store-timeout", "10") as service,
            raw(service.url) as (reader,),
        ):
            read_one(service)
            posted = httpx.post(service.url, json={"message": "x", "reads": 1}).json()
            key = {"idempotency-key": os.urandom(16).hex()}
            relay.hold(TAKE_RESUMABLE_HASH)
            path = urlsplit(posted["url"]).path
            lines = "".join(f"{name}: {value}\r\n" for name, value in (TEXT | key | {"host": "x"}).items())
            reader.send(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
            wait_for(lambda: server.client().keys("*resume*"))
            if victim == "redis":
                server.kill()
                server.start()
            else:
                for pid in service.workers():
                    os.kill(pid, signal.SIGKILL)
            status = reader.line()
            relay.release()
            assert status == {"redis": b"HTTP/1.1 504 Gateway Timeout\r\n", "worker": b""}[victim]
            wait_for(lambda: answers(f"{service.ops_url}/ready"))
            assert httpx.get(posted["url"], headers=TEXT | key).text == "x"
            assert httpx.get(posted["url"], headers=TEXT).status_code == 404

    def test_client_that_resets_behind_another_batch_spends_no_read(self, tmp_path: Path, relay: RedisRelay) -> None:
        """Two readers look in one batch. The first take waits for the second look, and its reader goes."""
        with serving(tmp_path, relay.url, "--workers", "1", "--store-timeout", "10") as service:
            read_one(service)
            posts = [httpx.post(service.url, json={"message": "x" * 100, "reads": 1}).json() for _ in range(2)]
            with raw(service.url, 2) as readers:
                for reader in readers:  # each is accepted
                    reader.send(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")
                    reader.line()
                for pid in service.workers():
                    os.kill(pid, signal.SIGSTOP)
                relay.hold(b"GET", after=200)  # one reply and a part of the other
                for reader, post in zip(readers, posts, strict=True):
                    path = urlsplit(post["url"]).path
                    reader.send(f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n".encode())
                for pid in service.workers():
                    os.kill(pid, signal.SIGCONT)
                wait_for(relay.holding)
                for reader in readers:  # a close alone could be that of a client that still reads
                    reader.reset()
            wait_for(lambda: service.console.read_text().count("client_gone") == 2)
            relay.release()
            states = [httpx.get(post["receipt"], headers={"accept": "text/plain"}).text for post in posts]
            assert states == ["available\n"] * 2
