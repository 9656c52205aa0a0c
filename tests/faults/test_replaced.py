"""A database file that is deleted, replaced or restored from a backup while the service runs, and a Redis restored."""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import httpx
import pytest

from messaging_api.core.store import Store
from messaging_api.errors import NotExecuted
from messaging_api.stores import StoreOptions, open_store
from tests.faults.test_stores import recovers
from tests.support.redis_server import redis_running
from tests.support.service import Running, answers, sample, serving, wait_for
from tests.support.stores import Clock, message, on_store, receipt, taken

JSON = {"accept": "application/json"}


def back_up(path: Path, target: Path) -> None:
    """Copy a database while it is in use, as `sqlite3 path ".backup target"` does."""
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def delete(path: Path) -> None:
    """Remove all files of a database."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def post(service: Running, **options: object) -> httpx.Response:
    """Post a message on a new connection."""
    return httpx.post(service.url, json={"message": "x", **options}, timeout=10)


def statuses(link: str, times: int) -> set[int]:
    """Return the statuses of several reads, each on a connection of its own."""
    return {httpx.get(link, headers=JSON, timeout=10).status_code for _ in range(times)}


def test_deleted_file_and_a_restored_backup(tmp_path: Path) -> None:
    """After `rm` nothing is acknowledged, and a restarted worker makes no file; a backup is used once it is there."""
    path, backup = tmp_path / "data" / "m.db", tmp_path / "backup.db"
    with serving(tmp_path, f"sqlite://{path}", "--workers", "2") as service:
        kept, once = post(service).json()["url"], post(service, reads=1).json()["url"]
        back_up(path, backup)
        delete(path)
        assert {post(service).status_code for _ in range(20)} == {503}
        assert statuses(once, 4) == {503}
        assert httpx.get(f"{service.ops_url}/ready", timeout=10).status_code == 503
        metrics = httpx.get(f"{service.ops_url}/metrics", timeout=10)
        assert (metrics.status_code, sample(service.ops_url, "messaging_store_up")) == (200, 0)
        wait_for(lambda: statuses(kept, 8) == {503})
        before = service.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: service.console.read_text().count("process_ended") >= 3)
        assert not path.exists()
        shutil.move(backup, path)
        wait_for(lambda: answers(f"{service.ops_url}/ready"))
        wait_for(lambda: len(service.workers()) == len(before))
        wait_for(lambda: statuses(kept, 40) == {200})
        assert {post(service).status_code for _ in range(20)} == {200}
        read = [httpx.get(once, headers=JSON, timeout=10).status_code for _ in range(8)]
        assert sorted(read) == [200] + [404] * 7


def test_replaced_file_is_used(tmp_path: Path) -> None:
    """After another file was moved to the path, writes go to it at once, and look-ups within a second."""
    path, other = tmp_path / "m.db", tmp_path / "other" / "m.db"
    moved = message(reads=1)
    on_store(f"sqlite://{other}", lambda store: store.create(moved, receipt()))

    async def work(store: Store) -> None:
        old = message()
        await store.create(old, receipt())
        for file in (path, path.with_name("m.db-wal"), path.with_name("m.db-shm")):
            file.unlink()
        other.rename(path)
        assert await store.take(moved.locator) == taken(moved)
        while await store.look(old.locator) is not None:
            await asyncio.sleep(0.01)
        tombstone = await store.look(moved.locator)
        assert tombstone is not None
        assert tombstone.state == "read"

    on_store(f"sqlite://{path}", work)


def test_backup_restored_into_the_file_in_use(tmp_path: Path) -> None:
    """A backup that SQLite restores into the file is used by all workers at once, as a whole."""
    path, backup = tmp_path / "m.db", tmp_path / "backup.db"
    with serving(tmp_path, f"sqlite://{path}", "--workers", "2") as service:
        kept = post(service, reads=2).json()["url"]
        back_up(path, backup)
        later = post(service).json()["url"]
        assert [httpx.get(kept, headers=JSON).status_code for _ in range(3)] == [200, 200, 404]
        back_up(backup, path)
        assert [httpx.get(kept, headers=JSON).status_code for _ in range(3)] == [200, 200, 404]
        assert statuses(later, 10) == {404}
        assert {post(service).status_code for _ in range(10)} == {200}


def test_backup_copied_while_the_service_is_stopped(tmp_path: Path) -> None:
    """A copy in the place of a stopped service's database, without the log of the old one, is served."""
    path, backup = tmp_path / "data" / "m.db", tmp_path / "backup.db"
    with serving(tmp_path, f"sqlite://{path}") as service:
        kept = post(service).json()["message_id"]
        back_up(path, backup)
        later = post(service).json()["message_id"]
        service.stop(signal.SIGKILL)
        wait_for(lambda: not answers(f"{service.ops_url}/live"))
    delete(path)
    shutil.copy(backup, path)
    with serving(tmp_path, f"sqlite://{path}") as service:
        assert statuses(f"{service.url}/msg/{kept}", 4) == {200}
        assert statuses(f"{service.url}/msg/{later}", 4) == {404}


def test_missing_file_without_permission_to_create(tmp_path: Path) -> None:
    """A process that may not create the file does not; that is what a restarted worker does."""
    url, options = f"sqlite://{tmp_path}/m.db", StoreOptions(create=False)

    async def main() -> None:
        with pytest.raises(NotExecuted, match=r"m\.db"):
            open_store(url, Clock(), options)

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_redis_restored_from_an_older_dump(tmp_path: Path) -> None:
    """A Redis that comes back with an older dump is used without a restart, with what the dump holds."""
    with redis_running(tmp_path) as server:

        async def work(store: Store) -> None:
            kept, later = message(reads=1), message()
            await store.create(kept, receipt())
            server.client().save()
            assert await store.take(kept.locator) is not None
            await store.create(later, receipt())
            server.kill()
            server.start()
            await recovers(store)
            assert await store.look(later.locator) is None
            assert [await store.take(kept.locator) is not None for _ in range(2)] == [True, False]

        on_store(server.url, work)
