"""Finds processes that are stuck: alive, but their heartbeat stands still."""

CHECK_INTERVAL = 1.0
"""Seconds between two checks."""
MAX_CHECKS = 30
"""Checks in a row without a new heartbeat, after which a process is stuck."""


class Watchdog:
    """A watchdog of processes.

    It counts its own checks, not seconds: when the whole machine has stood still, no process is stuck.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, int]] = {}

    def stuck(self, pid: int, heartbeat: int) -> bool:
        """Check a process, and return True once if it is stuck. A `heartbeat` is a number that keeps changing."""
        before, checks = self._seen.get(pid, (heartbeat, 0))
        checks = checks + 1 if heartbeat == before else 0
        self._seen[pid] = heartbeat, checks
        return checks == MAX_CHECKS

    def forget(self, pid: int) -> None:
        """Forget a process that has ended."""
        self._seen.pop(pid, None)
