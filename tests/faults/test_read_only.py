"""Files and file systems that are or become read-only."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from messaging_api.core import record
from messaging_api.core.store import Store
from messaging_api.errors import NotExecuted, StoreError
from tests.faults.test_stores import fails_in_time, recovers
from tests.support.disks import small_disk
from tests.support.service import answers, serving, wait_for
from tests.support.stores import message, on_store, receipt, taken

JSON = {"accept": "application/json"}


@contextlib.contextmanager
def immutable(*files: Path) -> Iterator[None]:
    """Make the kernel reject writes to these files for a block, also through descriptors that are open (needs root).

    A file system with open files cannot be mounted read-only by hand; when the kernel does it after an error of a disk,
    it rejects writes in this way.
    """
    made = subprocess.run(["chattr", "+i", *files], capture_output=True, check=False)
    assert made.returncode == 0, f"this test makes files immutable, which failed: {made.stderr.decode()}"
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *(file for file in files if file.exists())], check=True)


def test_files_that_become_read_only(tmp_path: Path) -> None:
    """Writes fail in time, also a ping, and spend nothing; look-ups go on; then everything works again."""
    path = tmp_path / "m.db"

    async def work(store: Store) -> None:
        kept = message(reads=1)
        await store.create(kept, receipt())
        with immutable(path, path.with_name("m.db-wal")):
            await fails_in_time(store.ping(), StoreError)
            for operation in (store.take(kept.locator), store.create(message(), receipt())):
                await fails_in_time(operation, StoreError)
            assert await store.look(kept.locator) == record.unpack(kept.value)
        await recovers(store)
        assert await store.take(kept.locator) == taken(kept)

    on_store(f"sqlite://{path}", work)


def test_read_only_file_system_is_rejected(tmp_path: Path) -> None:
    """A store on a file system that is mounted read-only cannot be opened, and the error names the file."""
    with small_disk(tmp_path, "16m") as disk:
        url = f"sqlite://{disk}/m.db"
        on_store(url, lambda store: store.create(message(), receipt()))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(NotExecuted, match=r"m\.db"):
            on_store(url, lambda store: store.ping())
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        on_store(url, lambda store: store.ping())


def test_service_on_a_file_system_that_becomes_read_only(tmp_path: Path) -> None:
    """No post is acknowledged and no read spent; the service is not ready, and recovers by itself.

    The kernel ends a process that writes to a mapped file of such a file system (SIGBUS); it is restarted.
    """
    folder = tmp_path / "data"
    with serving(tmp_path, f"sqlite://{folder}/m.db", "--workers", "2") as service:
        posted = httpx.post(service.url, json={"message": "x", "reads": 1}).json()
        with immutable(*folder.iterdir()):
            for _ in range(4):
                assert not posts(service.url)
            assert not answers(f"{service.ops_url}/ready")
        wait_for(lambda: answers(f"{service.ops_url}/ready"))
        wait_for(lambda: posts(service.url))
        assert httpx.get(f"{service.url}/msg/{posted['message_id']}", headers=JSON).status_code == 200


def posts(url: str) -> bool:
    """Tell whether a post is acknowledged."""
    try:
        return httpx.post(url, json={"message": "x"}, timeout=3).status_code == 200
    except httpx.TransportError:
        return False
