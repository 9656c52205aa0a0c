"""The timeout of writes: an operation that the writer does not finish in time fails, whatever the writer does."""

import asyncio
from collections import deque
from collections.abc import Callable

from messaging_api.stores.batching import OldestFirstTimeout
from messaging_api.stores.sqlite.transactions import WriteGroup


class WriteTimeout:
    """Passes each group with an operation that is unresolved after `timeout` seconds to `fail`."""

    def __init__(self, timeout: float, fail: Callable[[WriteGroup], None]) -> None:
        self._groups: deque[tuple[float, WriteGroup]] = deque()
        self._fail = fail
        self._timer = OldestFirstTimeout(timeout, self._oldest, self._fail_oldest)

    def add(self, group: WriteGroup) -> None:
        """Begin to wait for `group`."""
        self._oldest()
        self._groups.append((asyncio.get_running_loop().time(), group))
        self._timer.start()

    def _oldest(self) -> float | None:
        """Return when the oldest unresolved group was added; forget the groups before it."""
        while self._groups and not any(pending.wanted for pending in self._groups[0][1]):
            self._groups.popleft()
        return self._groups[0][0] if self._groups else None

    def _fail_oldest(self) -> None:
        self._fail(self._groups.popleft()[1])
