"""The locks that keep tests marked `alone` apart from all others."""

import fcntl
import threading
from pathlib import Path

from tests.support.scheduling import AloneTests
from tests.support.service import wait_for


def test_alone_test_waits_and_blocks_others(tmp_path: Path) -> None:
    """It waits for running tests, and later tests wait for it; each process has locks of its own."""
    order: list[str] = []
    running, first, last = AloneTests(tmp_path), AloneTests(tmp_path), AloneTests(tmp_path)

    def run(tests: AloneTests, kind: int, name: str) -> None:
        with tests._lock(kind):
            order.append(name)

    with running._lock(fcntl.LOCK_SH):
        run(first, fcntl.LOCK_SH, "another")
        alone = threading.Thread(target=run, args=(first, fcntl.LOCK_EX, "alone"))
        alone.start()
        wait_for(lambda: waits(tmp_path / "running"))
        later = threading.Thread(target=run, args=(last, fcntl.LOCK_SH, "later"))
        later.start()
        wait_for(lambda: waits(tmp_path / "queue"))
        order.append("released")
    alone.join()
    later.join()
    for tests in (running, first, last):
        tests.pytest_unconfigure()
    assert order == ["another", "released", "alone", "later"]


def waits(file: Path) -> bool:
    """Return whether somebody waits for a lock on this file (/proc/locks marks waiters with an arrow)."""
    inode = f":{file.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())
