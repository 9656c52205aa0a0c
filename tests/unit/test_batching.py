"""What one turn of the loop asks is one round trip or one transaction; a lone request goes at once."""

import asyncio
import contextlib
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from messaging_api.core.store import Store
from messaging_api.errors import StoreUnavailable
from messaging_api.stores.batching import Batcher, PendingOperation
from tests.support.redis_server import RedisServer
from tests.support.stores import locator, message, on_store, receipt


def test_one_turn_is_one_batch() -> None:
    """What tasks of one turn submit is handed over together, in order; what comes after it is another batch."""
    batches: list[list[int]] = []

    def run(batch: list[PendingOperation[int, int]]) -> None:
        batches.append([pending.operation for pending in batch])
        for pending in batch:
            pending.resolve(pending.operation * 2)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(run)

        async def ask(n: int) -> int:
            return await batcher.submit(n)

        assert await asyncio.gather(*map(ask, range(5))) == [0, 2, 4, 6, 8]
        assert await ask(7) == 14
        behind, ahead = batcher.submit(8), batcher.submit(9, ahead=True)
        assert (await behind, await ahead) == (16, 18)

    asyncio.run(main())
    assert batches == [[0, 1, 2, 3, 4], [7], [9, 8]]


def test_several_wait_for_those_of_the_next_turn_and_one_does_not() -> None:
    """A lone operation goes at once; several go a turn later, with what that turn brings."""
    batches: list[list[int]] = []

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(lambda batch: batches.append([pending.operation for pending in batch]))
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


def test_whoever_has_gone_disturbs_nobody() -> None:
    """A cancelled request is settled without a sound; failures reach those who wait."""

    def run(batch: list[PendingOperation[int, int]]) -> None:
        for pending in batch:
            pending.resolve(StoreUnavailable("x") if pending.operation else 0)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(run)
        gone, fine, failed = batcher.submit(0), batcher.submit(0), batcher.submit(1)
        gone.cancel()
        assert await fine == 0
        with pytest.raises(StoreUnavailable):
            await failed

    asyncio.run(main())


@contextlib.contextmanager
def counting(port: int) -> Iterator[tuple[int, list[int]]]:
    """A port in front of a Redis, and the sizes of the packets that clients sent through it."""
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


def test_redis_32_at_once_are_one_round_trip(redis_server: RedisServer) -> None:
    """32 requests of one turn leave in one packet, and a lone one in its own."""
    with counting(redis_server.port) as (port, packets):

        async def work(store: Store) -> None:
            await store.ping()
            packets.clear()
            await asyncio.gather(*(store.look(locator()) for _ in range(32)))
            assert len(packets) == 1
            await store.look(locator())
            assert len(packets) == 2

        on_store(f"redis://127.0.0.1:{port}", work)


def test_what_nobody_waits_for_any_more_is_not_sent(redis_server: RedisServer) -> None:
    """Of what was held back while Redis was slow, only what is still wanted is asked."""
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


def test_sqlite_32_at_once_are_one_transaction(tmp_path: Path) -> None:
    """32 creates of one turn share one transaction, 32 looks one SELECT; a lone create has its own."""
    statements: list[str] = []

    async def work(store: Store) -> None:
        store._writer._database.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        store._reader.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        messages = [message() for _ in range(32)]
        await asyncio.gather(*(store.create(kept, receipt()) for kept in messages))
        assert statements.count("BEGIN IMMEDIATE") == 1
        assert statements.count("COMMIT") == 1
        statements.clear()
        assert None not in await asyncio.gather(*(store.look(kept.locator) for kept in messages))
        assert len(statements) == 1
        statements.clear()
        await store.create(message(), receipt())
        assert statements.count("BEGIN IMMEDIATE") == 1

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_gathers_while_it_commits(tmp_path: Path) -> None:
    """What comes in during a commit goes into the next one, however many turns it took."""
    statements: list[str] = []

    async def work(store: Store) -> None:
        begun, release = threading.Event(), threading.Event()
        held = store._writes.submit(lambda _: (begun.set(), release.wait(10)))  # type: ignore[attr-defined]
        await asyncio.to_thread(begun.wait, 10)
        creates = []
        for _ in range(5):
            creates.append(asyncio.ensure_future(store.create(message(), receipt())))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        store._writer._database.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        release.set()
        await asyncio.gather(held, *creates)
        assert statements.count("BEGIN IMMEDIATE") == 1

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_more_than_fit_one_select(tmp_path: Path) -> None:
    """A turn with very many looks is answered in full."""

    async def work(store: Store) -> None:
        messages = [message() for _ in range(200)]
        await asyncio.gather(*(store.create(kept, receipt()) for kept in messages))
        assert None not in await asyncio.gather(*(store.look(kept.locator) for kept in messages))

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_is_safe_and_forgets(tmp_path: Path) -> None:
    """WAL, synchronous=FULL, secure_delete; the file is its owner's alone."""

    async def work(store: Store) -> None:
        database: sqlite3.Connection = store._writer._database  # type: ignore[attr-defined]
        pragmas = ("journal_mode", "synchronous", "secure_delete")
        assert [database.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas] == ["wal", 2, 1]
        assert (tmp_path / "m.db").stat().st_mode & 0o777 == 0o600

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_sqlite_burned_text_leaves_no_trace(tmp_path: Path) -> None:
    """What was burned, read out or swept is in neither the file nor its log once the store had a quiet moment."""
    boxes = [b"burned-box" * 500, b"read-box--" * 500, b"expired-box" * 500]

    async def work(store: Store) -> None:
        burned, read, expired = message(boxes[0]), message(boxes[1], reads=1), message(boxes[2], ttl=1)
        for kept in (burned, read, expired):
            await store.create(kept, receipt())
        await store.burn(burned.locator)
        await store.take(read.locator)
        while await store.look(expired.locator) is not None:
            await store.sweep()  # type: ignore[attr-defined]
        await asyncio.to_thread(_quiet, store)
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert len(files) > 4096
        assert [box[:20] in files for box in boxes] == [False] * 3

    on_store(f"sqlite://{tmp_path}/m.db", work)


def _quiet(store: Store) -> None:
    while store._writer._log_in_use:  # type: ignore[attr-defined]
        pass


def test_sqlite_sweeps_in_small_steps(tmp_path: Path) -> None:
    """Many expired rows are removed in several transactions, what has not expired stays."""
    statements: list[str] = []

    async def work(store: Store) -> None:
        kept = message()
        await store.create(kept, receipt())
        gone = [message(ttl=1) for _ in range(450)]
        await asyncio.gather(*(store.create(one, receipt()) for one in gone))
        store._writer._database.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        while any(await asyncio.gather(*(store.look(one.locator) for one in gone))):
            await store.sweep()  # type: ignore[attr-defined]
        assert sum(text.startswith("DELETE") for text in statements) >= 3
        assert await store.look(kept.locator) is not None

    on_store(f"sqlite://{tmp_path}/m.db", work)
