"""pytest plugin: tests marked `alone` run while no other test runs, in any process that shares a folder of locks."""

import contextlib
import fcntl
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

FOLDER = "TEST_LOCKS"
"""Environment variable: the folder of locks that several runs of pytest share."""


class AloneTests:
    """Locks around each test: shared ones, or for a test marked `alone` an exclusive one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._queue = (folder / "queue").open("w")
        self._running = (folder / "running").open("w")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run a test with its set-up and teardown under the lock that it needs."""
        os.environ.pop(FOLDER, None)  # a pytest that this test starts runs under the lock of this test
        alone = item.get_closest_marker("alone") is not None
        with self._lock(fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            return (yield)

    def pytest_unconfigure(self) -> None:
        """Close the lock files."""
        self._queue.close()
        self._running.close()

    @contextlib.contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        # Who waits for the exclusive lock holds the queue, so that shared locks cannot be taken again and again.
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        fcntl.flock(self._running, kind)
        fcntl.flock(self._queue, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._running, fcntl.LOCK_UN)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move tests marked `alone` to the end, where other processes have less to wait for."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)
