"""A clock that is never ahead of the time because of a jump: what it says has expired can be deleted for good."""

import time
from collections.abc import Callable

CONFIRM_MS = 600_000
"""How long a clock must stay ahead, in ms, before its jump forward is believed."""


def boot_time_ms() -> int:
    """Return ms since the machine was started, those in which it was suspended included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class ConfirmedClock:
    """A clock that returns ms since the epoch.

    `current` is the clock that it follows, which can be set; `steady`, in ms, cannot. When `current` jumps back, so
    does this. When it jumps forward, this goes on at its pace, and follows after `CONFIRM_MS` in which `current`
    stayed ahead.
    """

    def __init__(self, clock: Callable[[], int], steady: Callable[[], int]) -> None:
        self.current = clock
        self._steady = steady
        self._offset = clock() - steady()
        self._ahead: int | None = None
        self._ahead_since = 0

    def __call__(self) -> int:
        """Return the time that is confirmed."""
        steady = self._steady()
        offset = self.current() - steady
        if offset <= self._offset:
            self._offset, self._ahead = offset, None
        elif self._ahead is None:
            self._ahead, self._ahead_since = offset, steady
        else:
            self._ahead = min(self._ahead, offset)
            if steady - self._ahead_since >= CONFIRM_MS:
                self._offset, self._ahead = self._ahead, None
        return steady + self._offset
