"""Stores that are stopped, hung, or something else, with faults made for real."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest

from messaging_api.core import record
from messaging_api.core.store import Store
from messaging_api.errors import NotExecuted, OutcomeUnknown, StoreError, StoreFull
from tests.support.redis_server import RedisServer, free_port, redis_running
from tests.support.stores import locator, message, on_store, receipt, writer_blocked

IN_TIME = 2.0


async def fails_in_time(operation: Awaitable[object], outcome: type[StoreError] = NotExecuted) -> None:
    """Check that the operation ends with this outcome in time."""
    begin = time.monotonic()
    with pytest.raises(outcome):
        await operation
    assert time.monotonic() - begin < IN_TIME


async def recovers(store: Store) -> None:
    """Wait until the same store object works again."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return await store.ping()
        except StoreError:
            assert time.monotonic() < deadline, "the store did not recover"


async def every_operation_fails(store: Store, outcome: type[StoreError]) -> None:
    """Check that operations without an effect end with NotExecuted in time, and the others with `outcome`."""
    place = locator()
    await asyncio.gather(
        *map(fails_in_time, (store.look(place), store.receipt(place), store.ping())),
        *(fails_in_time(operation, outcome) for operation in (store.take(place), store.burn(place))),
    )


class TestRedis:
    def test_restarted_server_is_used_again(self, tmp_path: Path) -> None:
        """After kill -9 all operations fail in time, also those in flight; a new server is found without a restart."""
        with redis_running(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:

            async def work(store: Store) -> None:
                kept = message()
                await store.create(kept, receipt())
                server.kill()
                await every_operation_fails(store, StoreError)  # unknown if the loss was not noticed yet
                server.start()
                await recovers(store)
                assert await store.look(kept.locator) is not None

            on_store(server.url, work)

    def test_hung_server_fails_operations_in_time(self, tmp_path: Path) -> None:
        """All operations on a stopped process fail in time; once it continues, it is used again."""
        with redis_running(tmp_path) as server:

            async def work(store: Store) -> None:
                await store.ping()
                with server.suspended():
                    await every_operation_fails(store, OutcomeUnknown)
                    await fails_in_time(store.ping())
                await recovers(store)

            on_store(server.url, work)

    def test_silent_server_fails_in_time(self) -> None:
        """The socket accepts the connection and never sends anything."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"redis://:secret@127.0.0.1:{listener.getsockname()[1]}"
            on_store(url, lambda store: fails_in_time(store.ping()))

    def test_closed_port_fails_in_time(self) -> None:
        """No process listens on the port."""
        on_store(f"redis://127.0.0.1:{free_port()}", lambda store: fails_in_time(store.ping()))

    @pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR\r\n-ERR\r\n", b"", b"$5\r\nhal"])
    def test_server_that_is_not_a_redis_fails_in_time(self, words: bytes) -> None:
        """The server sends other bytes, too many replies, or an incomplete one."""
        with talking(words) as port:
            on_store(f"redis://127.0.0.1:{port}", lambda store: fails_in_time(store.look(locator())))

    def test_connection_lost_within_a_batch_fails_the_rest(self) -> None:
        """Operations whose replies came before the loss have succeeded; the others fail."""
        with talking(b"$-1\r\n$-1\r\n$5\r\nha", greeting=b"+PONG\r\n") as port:

            async def work(store: Store) -> None:
                looks = await asyncio.gather(*(store.look(locator()) for _ in range(4)), return_exceptions=True)
                assert looks[:2] == [None, None]
                assert [type(look) for look in looks[2:]] == [NotExecuted] * 2

            on_store(f"redis://127.0.0.1:{port}", work)

    def test_wrong_password_is_unavailable(self, tmp_path: Path) -> None:
        """A rejected login raises NotExecuted, whose text does not contain the password."""
        with redis_running(tmp_path, "--requirepass", "right") as server:

            async def work(store: Store) -> None:
                with pytest.raises(NotExecuted) as raised:
                    await store.ping()
                assert "wrong" not in str(raised.value)

            on_store(server.url.replace("//", "//:wrong@"), work)
            on_store(server.url.replace("//", "//:right@") + "/3", lambda store: store.ping())

    def test_flushed_scripts_are_sent_again(self, redis_server: RedisServer) -> None:
        """After SCRIPT FLUSH, as after a failover, the next call sends the script; its batch is not affected."""

        async def work(store: Store) -> None:
            kept = message(reads=5)
            await store.create(kept, receipt())
            await store.take(kept.locator)
            redis_server.client().script_flush()
            taken = await asyncio.gather(*(store.take(kept.locator) for _ in range(8)))
            assert sum(one is not None for one in taken) == 4

        on_store(redis_server.url, work)

    def test_demoted_master_takes_no_writes(self, tmp_path: Path) -> None:
        """A master that became a replica takes no writes; once it is a master again, it is used without a restart."""
        with redis_running(tmp_path) as server:

            async def work(store: Store) -> None:
                kept = message(reads=1)
                await store.create(kept, receipt())
                server.client().replicaof("127.0.0.1", free_port())
                await fails_in_time(store.take(kept.locator))
                await fails_in_time(store.create(message(), receipt()))
                await fails_in_time(store.ping())
                server.client().replicaof("NO", "ONE")
                assert await store.take(kept.locator) == record.unpack(record.tombstone(kept.value))

            on_store(server.url, work)

    def test_rejected_command_does_not_affect_its_batch(self, redis_server: RedisServer) -> None:
        """A command that Redis rejects does not affect the others in its batch."""
        client = redis_server.client()
        kept = message()
        client.lpush(b"messaging_api:" + kept.locator, "not a string")

        async def work(store: Store) -> None:
            good = message()
            spoiled, fine = await asyncio.gather(
                store.look(kept.locator), store.create(good, receipt()), return_exceptions=True
            )
            assert isinstance(spoiled, NotExecuted)
            assert fine is None
            assert await store.look(good.locator) is not None

        on_store(redis_server.url, work)


class TestSqlite:
    def test_hung_writer_fails_operations_in_time(self, tmp_path: Path) -> None:
        """Operations that wait for a hung writer fail in time, and those that timed out are not carried out later."""

        async def work(store: Store) -> None:
            late = message()
            async with writer_blocked(store) as stuck:
                operations = (stuck, store.create(late, receipt()))
                await asyncio.gather(*(fails_in_time(operation, StoreError) for operation in operations))
            await recovers(store)
            assert await store.look(late.locator) is None

        on_store(f"sqlite://{tmp_path}/m.db", work)

    def test_too_large_create_fails_alone(self, tmp_path: Path) -> None:
        """In one batch, the create that does not fit fails, and those before and after it are stored."""

        async def work(store: Store) -> None:
            small, large, after = message(), message(b"x" * 900_000), message()
            outcomes = await asyncio.gather(
                *(store.create(kept, receipt()) for kept in (small, large, after)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [type(None), StoreFull, type(None)]
            there = [await store.look(kept.locator) is not None for kept in (small, large, after)]
            assert there == [True, False, True]

        on_store(f"sqlite://{tmp_path}/m.db?max_bytes=500000", work)

    def test_file_that_is_not_a_database_is_rejected(self, tmp_path: Path) -> None:
        """The error comes when the store is opened."""
        (tmp_path / "m.db").write_bytes(b"something else" * 1000)
        with pytest.raises(NotExecuted, match=r"m\.db"):
            on_store(f"sqlite://{tmp_path}/m.db", lambda store: store.ping())


@contextlib.contextmanager
def talking(words: bytes, greeting: bytes = b"") -> Iterator[int]:
    """Run a server that answers the next bytes of each connection with `words` and closes it. Yield its port.

    With a `greeting` it answers the first bytes with that.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        if greeting:
                            connection.recv(4096)
                            connection.sendall(greeting)
                        connection.recv(4096)
                        connection.sendall(words)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
