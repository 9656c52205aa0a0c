"""A SQLite file that another process has locked, and processes that hang while they hold a lock."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from messaging_api.core import record
from messaging_api.core.store import Store
from messaging_api.errors import NotExecuted, OutcomeUnknown
from tests.faults.test_stores import IN_TIME, fails_in_time, recovers
from tests.support.service import serving
from tests.support.stores import message, on_store, opened, receipt, taken

JSON = {"accept": "application/json"}
HOLD = """
import sys, time
from messaging_api.stores.sqlite.fair_lock import FairLock
with FairLock(sys.argv[1]).hold():
    print("in", flush=True)
    time.sleep(60)  # until the test ends this process
"""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the write lock of a database, as a backup or a shell does, until the end of the block or a ROLLBACK."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@pytest.mark.alone
def test_refused_reads_are_not_spent(tmp_path: Path) -> None:
    """A read that gets 503 while the file is locked is not spent when the lock is released."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "2") as service:
        posted = [httpx.post(service.url, json={"message": "x", "reads": 1}).json() for _ in range(16)]
        statuses: dict[int, int] = {}

        def read(n: int) -> None:
            time.sleep(0.02 * n)  # so that the readers do not all give up at the same moment
            statuses[n] = httpx.get(
                f"{service.url}/msg/{posted[n]['message_id']}", headers=JSON, timeout=10
            ).status_code

        threads = [threading.Thread(target=read, args=(n,)) for n in range(16)]
        with locked(tmp_path / "m.db") as lock:
            for thread in threads:
                thread.start()
            time.sleep(1.75)  # the fault: the lock is released when some have given up and others have not
            lock.execute("ROLLBACK")
            for thread in threads:
                thread.join()
        assert 503 in statuses.values()
        states = {n: httpx.get(posted[n]["receipt"]).json()["state"] for n in range(16)}
        assert states == {n: "read" if statuses[n] == 200 else "available" for n in range(16)}
        assert set(statuses.values()) <= {200, 503}


def test_timed_out_operations_do_not_take_place(tmp_path: Path) -> None:
    """Operations that wait for a lock end as not executed, in the order of their timeouts, and never take place."""

    async def work(store: Store) -> None:
        kept, late = message(reads=1), message()
        await store.create(kept, receipt())
        with locked(tmp_path / "m.db"):
            operations = [store.take(kept.locator), store.burn(kept.locator), store.create(late, receipt())]
            await asyncio.gather(*map(fails_in_time, operations))
        await recovers(store)
        assert await store.look(kept.locator) == record.unpack(kept.value)
        assert await store.look(late.locator) is None

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_operation_that_is_abandoned_before_commit_is_rolled_back(tmp_path: Path) -> None:
    """Of a transaction that is about to be committed, an operation whose caller has gone is left out."""

    async def work(store: Store) -> None:
        kept, other = message(reads=1), message(reads=1)
        await asyncio.gather(store.create(kept, receipt()), store.create(other, receipt()))
        begun, release = threading.Event(), threading.Event()

        def wait(_: object) -> None:
            if not begun.is_set():
                begun.set()
                release.wait(10)

        abandoned, take = (asyncio.ensure_future(store.take(one.locator)) for one in (kept, other))
        waiting = store._writes.submit(wait)  # type: ignore[attr-defined]
        await asyncio.to_thread(begun.wait, 10)
        abandoned.cancel()
        await asyncio.sleep(0)
        release.set()
        await waiting
        assert await take == taken(other)
        assert await store.look(kept.locator) == record.unpack(kept.value)

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_timeout_in_commit_is_unknown(tmp_path: Path) -> None:
    """An operation that times out after its COMMIT has begun has an unknown outcome; one that waits has not."""

    async def work(store: Store) -> None:
        begun, release = threading.Event(), threading.Event()

        def hang(statement: str) -> None:
            if statement == "COMMIT":
                begun.set()
                release.wait(10)

        first, second = message(), message()
        store._writer._transactions._database.set_trace_callback(hang)  # type: ignore[attr-defined]
        creates = asyncio.gather(fails_in_time(store.create(first, receipt()), OutcomeUnknown))
        await asyncio.to_thread(begun.wait, 10)
        await fails_in_time(store.create(second, receipt()))
        await creates
        release.set()
        await recovers(store)
        assert await store.look(first.locator) is not None
        assert await store.look(second.locator) is None

    on_store(f"sqlite://{tmp_path}/m.db", work)


@contextlib.contextmanager
def stopped_holder(queue: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that is suspended while it holds the lock of the writers."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(queue)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"in\n"
            holder.send_signal(signal.SIGSTOP)
            yield holder
        finally:
            holder.kill()


def test_suspended_writer_of_another_process(tmp_path: Path) -> None:
    """While a suspended process holds the lock of the writers, writes fail in time, and they never take place."""

    async def work(store: Store) -> None:
        kept = message(reads=1)
        await store.create(kept, receipt())
        with stopped_holder(tmp_path / "m.db-queue"):
            await asyncio.gather(fails_in_time(store.take(kept.locator)), fails_in_time(store.ping()))
        await recovers(store)
        assert await store.look(kept.locator) == record.unpack(kept.value)

    on_store(f"sqlite://{tmp_path}/m.db", work)


def test_store_closes_in_time_while_its_writer_hangs(tmp_path: Path) -> None:
    """A store whose writer waits for a suspended process can be closed; its operations have failed by then."""

    async def main() -> None:
        async with opened(f"sqlite://{tmp_path}/m.db") as store:
            create = asyncio.ensure_future(store.create(message(), receipt()))
            await asyncio.sleep(0)
            begin = time.monotonic()
        assert time.monotonic() - begin < 2 * IN_TIME
        with pytest.raises(NotExecuted):
            await create

    (tmp_path / "m.db-queue").touch(0o600)
    with stopped_holder(tmp_path / "m.db-queue"):
        asyncio.run(main())
