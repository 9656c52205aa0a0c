"""Batching: the operations of one turn share one round trip or transaction; a lone one goes at once."""

import asyncio
import contextlib
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from messaging_api.core.store import Store
from messaging_api.errors import NotExecuted
from messaging_api.stores.batching import Batcher, PendingOperation
from tests.support.redis_server import RedisServer
from tests.support.stores import locator, message, on_store, receipt, writer_blocked


def test_one_turn_is_one_batch() -> None:
    """Operations of one turn form one batch, in order; later ones form another."""
    batches: list[list[int]] = []

    def run(batch: list[PendingOperation[int, int]]) -> None:
        batches.append([ticket.operation for ticket in batch])
        for ticket in batch:
            ticket.resolve(ticket.operation * 2)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(run)

        async def double(n: int) -> int:
            return await batcher.submit(n)

        assert await asyncio.gather(*map(double, range(5))) == [0, 2, 4, 6, 8]
        assert await double(7) == 14
        behind, ahead = batcher.submit(8), batcher.submit(9, ahead=True)
        assert (await behind, await ahead) == (16, 18)

    asyncio.run(main())
    assert batches == [[0, 1, 2, 3, 4], [7], [9, 8]]


def test_several_operations_wait_one_turn_and_a_lone_one_does_not() -> None:
    """A lone operation goes at once; several go one turn later, together with those of that turn."""
    batches: list[list[int]] = []

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(lambda batch: batches.append([ticket.operation for ticket in batch]))
        batcher.submit(1)
        await asyncio.sleep(0)
        assert batches == [[1]]
        batcher.submit(2)
        batcher.submit(3)
        for n in (4, 5):
            await asyncio.sleep(0)
            batcher.submit(n)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert batches == [[1], [2, 3, 4], [5]]


def test_cancelled_caller_does_not_affect_others() -> None:
    """A cancelled operation is resolved silently; an error reaches only its own caller."""

    def run(batch: list[PendingOperation[int, int]]) -> None:
        for ticket in batch:
            ticket.resolve(NotExecuted("x") if ticket.operation else 0)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(run)
        cancelled, succeeding, failing = batcher.submit(0), batcher.submit(0), batcher.submit(1)
        cancelled.abandon()
        assert await succeeding == 0
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        with pytest.raises(NotExecuted):
            await failing

    asyncio.run(main())


@contextlib.contextmanager
def counting(port: int) -> Iterator[tuple[int, list[int]]]:
    """Proxy a Redis; yield the port, and a list that collects the sizes of the packets that clients send."""
    packets: list[int] = []

    def pump(source: socket.socket, target: socket.socket, sizes: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                sizes.append(len(data))
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []
        sockets: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    server = socket.create_connection(("127.0.0.1", port))
                    sockets.extend((client, server))
                    for pipe in ((client, server, packets), (server, client, [])):
                        threads.append(threading.Thread(target=pump, args=pipe))
                        threads[-1].start()

        acceptor = threading.Thread(target=serve)
        acceptor.start()
        try:
            yield listener.getsockname()[1], packets
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for one in sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for thread in (acceptor, *threads):
                thread.join()
            for one in sockets:
                one.close()


def test_redis_sends_32_operations_in_one_packet(redis_server: RedisServer) -> None:
    """32 operations of one turn leave in one packet, and a lone one in its own."""
    with counting(redis_server.port) as (port, packets):

        async def work(store: Store) -> None:
            await store.ping()
            packets.clear()
            await asyncio.gather(*(store.look(locator()) for _ in range(32)))
            assert len(packets) == 1
            await store.look(locator())
            assert len(packets) == 2

        on_store(f"redis://127.0.0.1:{port}", work)


def test_redis_abandoned_operations_are_not_sent(redis_server: RedisServer) -> None:
    """Of the operations queued behind a slow Redis, cancelled ones are not sent."""
    assert redis_server.process is not None
    stop, go_on = (partial(redis_server.process.send_signal, how) for how in (signal.SIGSTOP, signal.SIGCONT))
    with counting(redis_server.port) as (port, packets):

        async def work(store: Store) -> None:
            await store.ping()
            packets.clear()
            stop()
            try:
                first = asyncio.ensure_future(store.look(locator()))
                while len(packets) == 0:
                    await asyncio.sleep(0)
                late = [asyncio.ensure_future(store.look(locator())) for _ in range(2)]
                for _ in range(5):
                    await asyncio.sleep(0)
                late[0].cancel()
            finally:
                go_on()
            await asyncio.gather(first, late[1])
            assert packets == [packets[0]] * 2

        on_store(f"redis://127.0.0.1:{port}", work)


def test_sqlite_32_operations_share_one_transaction(tmp_path: Path) -> None:
    """32 creates of one turn share one transaction, 32 looks one SELECT; a lone create has its own."""
    statements: list[str] = []

    async def work(store: Store) -> None:
        store._writer._transactions._database.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        store._reader.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        messages = [message() for _ in range(32)]
        await asyncio.gather(*(store.create(stored, receipt()) for stored in messages))
        assert statements.count("BEGIN IMMEDIATE") == 1
        assert statements.count("COMMIT") == 1
        statements.clear()
        assert None not in await asyncio.gather(*(store.look(stored.locator) for stored in messages))
        assert len(statements) == 1
        statements.clear()
        await store.create(message(), receipt())
        assert statements.count("BEGIN IMMEDIATE") == 1

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_writes_during_a_commit_share_the_next(tmp_path: Path) -> None:
    """Writes that arrive during a commit share the next one, even from several turns."""
    statements: list[str] = []

    async def work(store: Store) -> None:
        async with writer_blocked(store) as blocking:
            creates = []
            for _ in range(5):
                creates.append(asyncio.ensure_future(store.create(message(), receipt())))
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            store._writer._transactions._database.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        await asyncio.gather(blocking, *creates)
        assert statements.count("BEGIN IMMEDIATE") == 1

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_answers_more_looks_than_one_statement_holds(tmp_path: Path) -> None:
    """A turn with 200 looks gets all results."""

    async def work(store: Store) -> None:
        messages = [message() for _ in range(200)]
        await asyncio.gather(*(store.create(stored, receipt()) for stored in messages))
        assert None not in await asyncio.gather(*(store.look(stored.locator) for stored in messages))

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_durability_and_permissions(tmp_path: Path) -> None:
    """The file has WAL, synchronous=FULL and secure_delete, and only its owner can read it."""

    async def work(store: Store) -> None:
        database: sqlite3.Connection = store._writer._transactions._database  # type: ignore[attr-defined]
        pragmas = ("journal_mode", "synchronous", "secure_delete")
        assert [database.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas] == ["wal", 2, 1]
        assert (tmp_path / "m.db").stat().st_mode & 0o777 == 0o600

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_removed_text_is_not_in_the_files(tmp_path: Path) -> None:
    """Text that was burned, read out or swept is in neither the file nor its log after an idle moment."""
    boxes = [b"burned-box" * 500, b"read-box--" * 500, b"expired-box" * 500]

    async def work(store: Store) -> None:
        burned, read, expired = message(boxes[0]), message(boxes[1], reads=1), message(boxes[2], ttl=1)
        for stored in (burned, read, expired):
            await store.create(stored, receipt())
        await store.burn(burned.locator)
        await store.take(read.locator)
        while await store.look(expired.locator) is not None:
            await store.sweep()  # type: ignore[attr-defined]
        await asyncio.to_thread(_wait_for_checkpoint, store)
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert len(files) > 4096
        assert [box[:20] in files for box in boxes] == [False] * 3

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_removed_text_leaves_the_log_under_load(tmp_path: Path) -> None:
    """While posts go on, text that was read out is gone from the file and its log within seconds."""
    box = b"read-box--" * 500

    async def work(store: Store) -> None:
        read = message(box, reads=1)
        await store.create(read, receipt())
        await store.take(read.locator)
        deadline = time.monotonic() + 5
        while any(box[:20] in path.read_bytes() for path in tmp_path.iterdir()):
            assert time.monotonic() < deadline, "the text is still there"
            await store.create(message(), receipt())
            await asyncio.sleep(0.4)  # 2.5 posts a second: the store is never idle for a second

    on_store(f"sqlite://{tmp_path}/m.db", work)


def _wait_for_checkpoint(store: Store) -> None:
    while store._writer._checkpoint_at is not None:  # type: ignore[attr-defined]
        pass


def test_sqlite_sweeps_in_several_transactions(tmp_path: Path) -> None:
    """Many expired records are removed in several transactions; others stay."""
    statements: list[str] = []

    async def work(store: Store) -> None:
        stored = message()
        await store.create(stored, receipt())
        gone = [message(ttl=1) for _ in range(450)]
        await asyncio.gather(*(store.create(one, receipt()) for one in gone))
        store._writer._transactions._database.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        while any(await asyncio.gather(*(store.look(one.locator) for one in gone))):
            await store.sweep()  # type: ignore[attr-defined]
        assert sum(text.startswith("DELETE") for text in statements) >= 3
        assert await store.look(stored.locator) is not None

    on_store(f"sqlite://{tmp_path}/m.db", work)
